import pytest

from gotowce_dagster.core import device
from gotowce_dagster.core.device import inference, store_in_half_precision


def test_weights_stored_in_half_precision_give_equal_results(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(device, "half_precision", lambda _: True)
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3),
        torch.nn.GroupNorm(2, 8),
        torch.nn.ConvTranspose2d(8, 4, 2, stride=2),
        torch.nn.Flatten(2),
        torch.nn.LayerNorm(36),
        torch.nn.Linear(36, 5),
    )
    images = torch.randn(2, 3, 5, 5)
    with inference("cpu"):
        before = model(images)
    store_in_half_precision(model, "cpu")
    with inference("cpu"):
        after = model(images)
    assert [str(layer.weight.dtype) for layer in (model[0], model[1], model[5])] == [
        "torch.bfloat16",
        "torch.float32",
        "torch.bfloat16",
    ]
    assert torch.equal(before, after)


def test_weights_stay_in_full_precision_where_inference_computes_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr(device, "half_precision", lambda _: False)
    model = torch.nn.Linear(2, 2)
    store_in_half_precision(model, "cpu")
    assert model.weight.dtype == torch.float32
