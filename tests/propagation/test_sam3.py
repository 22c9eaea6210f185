"""Compare with the session of transformers, on a small tracker of random weights loaded from a folder."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gotowce_dagster.config import engines
from gotowce_dagster.config.params import MasksParams, read_params
from gotowce_dagster.core import device
from gotowce_dagster.core.errors import MissingWeightsError
from gotowce_dagster.propagation import sam3
from gotowce_dagster.propagation.registry import build_propagator
from gotowce_dagster.propagation.sam3 import Sam3Propagator
from gotowce_dagster.segmenters.prompts import Prompt
from tests.conftest import ROOT
from tests.propagation.test_edgetam import AGAIN, FIRST, HEIGHT, WIDTH

pytestmark = pytest.mark.slow

SIDE, AT = 112, 8
PASSES = [*((index, False) for index in range(12)), *((index, True) for index in range(AT, 4, -1))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder with a small tracker, saved by transformers."""
    import torch
    from transformers import Sam3TrackerVideoConfig, Sam3TrackerVideoModel

    sides = SIDE // 14
    small = {"hidden_size": 32, "num_attention_heads": 2}
    config = Sam3TrackerVideoConfig(
        vision_config={
            "model_type": "sam3_vision_model",
            "backbone_config": small
            | {
                "model_type": "sam3_vit_model",
                "intermediate_size": 37,
                "num_hidden_layers": 2,
                "pretrain_image_size": SIDE,
                "patch_size": 14,
                "window_size": 2,
                "global_attn_indexes": [1],
            },
            "fpn_hidden_size": 128,
            "backbone_feature_sizes": [[times * sides, times * sides] for times in (4, 2, 1)],
        },
        prompt_encoder_config={"hidden_size": 128, "image_size": SIDE, "patch_size": 14},
        mask_decoder_config=small | {"hidden_size": 128, "mlp_dim": 64, "iou_head_hidden_dim": 32},
        memory_attention_hidden_size=128,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=64,
        memory_attention_rope_feat_sizes=[sides, sides],
        memory_encoder_hidden_size=128,
        mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=64,
    )
    config.image_size = SIDE
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(2)
        model = Sam3TrackerVideoModel(config)
        for name, tensor in model.named_parameters():
            # Weights under which masks depend on prompts and on memory.
            if not name.startswith("vision_encoder") and "norm" not in name:
                tensor.normal_(0, 0.1 if tensor.ndim > 1 else 0.2)
    folder = tmp_path_factory.mktemp("weights")
    model.save_pretrained(folder / "tracker")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _use_stand_in_weights(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOTOWCE_WEIGHTS_DIR", str(folder))
        patch.setattr(sam3, "best_device", lambda: "cpu")
        patch.setattr(device, "half_precision", lambda _: False)
        yield


@pytest.fixture(scope="module")
def params() -> MasksParams:
    return read_params(ROOT / "params.yaml").masks


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    back = np.random.default_rng(0).integers(0, 255, (HEIGHT, 3 * WIDTH, 3), np.uint8)
    return [back[:, 4 * index : 4 * index + WIDTH] for index in range(12)]


def _session(params: MasksParams, images: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Object scores (2,) of transformers' own streaming session."""
    import torch
    from transformers import Sam3TrackerVideoInferenceSession

    session = Sam3TrackerVideoInferenceSession(dtype=torch.float32)
    ours = Sam3Propagator("tracker", params)
    for index, reverse in PASSES:
        for name, prompt in ({} if reverse else {0: FIRST, AT: AGAIN}.get(index, {})).items():
            points = ours._points(prompt, (HEIGHT, WIDTH))
            session.add_point_inputs(session.obj_id_to_idx(ord(name)), index, points)
            session.obj_with_new_inputs.append(ord(name))
        found = ours._model(session, frame=ours._pixels(images[index]), frame_idx=index, reverse=reverse)
        yield found.object_score_logits[:, 0].detach().numpy().copy()


def test_scores_equal_those_of_the_session(params: MasksParams, images: list[np.ndarray]) -> None:
    model = build_propagator("sam3:tracker", params)
    scores = []
    for (index, reverse), theirs in zip(PASSES, _session(params, images), strict=True):
        if not reverse and (prompts := {0: FIRST, AT: AGAIN}.get(index)):
            model.prompt(index, images[index], prompts)
        found = model.step(index, images[index], ["a", "b"], reverse)
        assert [found[name].object_score for name in "ab"] == pytest.approx(theirs.tolist(), abs=1e-3)
        assert found["a"].mask.shape == (HEIGHT, WIDTH)
        scores.append(found["a"].object_score)
    assert len({round(score, 3) for score in scores}) > 5


def test_takes_boxes_and_masks(params: MasksParams, images: list[np.ndarray]) -> None:
    model = Sam3Propagator("tracker", params)
    mask = np.pad(np.ones((9, 9), bool), ((10, 29), (10, 61)))
    observed = model.prompt(
        0, images[0], {"a": Prompt(mask=mask), "b": Prompt(box=np.array([8.0, 8, 24, 24]))}
    )
    assert np.mean(observed["a"].mask != mask) < 0.01
    assert observed["b"].mask.shape == (HEIGHT, WIDTH)


def test_gated_weights_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: MasksParams
) -> None:
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "facebook/sam3" in str(engines.obstacle("sam3:facebook/sam3", lambda name: False))
    with pytest.raises(MissingWeightsError, match="facebook/sam3"):
        Sam3Propagator("", params)
