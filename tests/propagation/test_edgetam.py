"""Compare with the session of transformers, on a small model with random weights loaded from a folder."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gotowce_dagster.config.params import MasksParams, read_params
from gotowce_dagster.core import device, weights
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.propagation import edgetam
from gotowce_dagster.propagation.base import Observation
from gotowce_dagster.propagation.edgetam import EdgeTamPropagator
from gotowce_dagster.propagation.memory import Memory
from gotowce_dagster.propagation.streaming import Decoded
from gotowce_dagster.segmenters import edgetam_model
from gotowce_dagster.segmenters.edgetam import EdgeTam
from gotowce_dagster.segmenters.prompts import Prompt
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

NAME = "EdgeTAM-hf"
SIDE = 64
HEIGHT, WIDTH = 48, 80
FIRST = {
    "a": Prompt(np.array([(15.0, 21), (2, 2)]), np.array([1, 0])),
    "b": Prompt(np.array([(60.0, 30)]), np.ones(1)),
}
AGAIN = {"a": Prompt(np.array([(30.0, 20)]), np.ones(1))}
AT = 28
PASSES = [*((index, False) for index in range(36)), *((index, True) for index in range(AT, 19, -1))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder with a small EdgeTAM, saved by transformers."""
    import timm
    import torch
    from transformers import (
        EdgeTamVideoConfig,
        EdgeTamVideoModel,
        EdgeTamVisionConfig,
        TimmWrapperConfig,
    )

    levels: dict[str, Any] = {"features_only": True, "out_indices": [1, 2, 3, 4]}
    described: Any = timm.create_model("test_resnet", **levels).feature_info
    channels = described.channels()
    backbone = TimmWrapperConfig(architecture="test_resnet", model_args={"in_chans": 3, **levels})
    config = EdgeTamVideoConfig(
        vision_config=EdgeTamVisionConfig(backbone_config=backbone, backbone_channel_list=channels[::-1]),
        perceiver_resampler_num_latents=4,
        perceiver_resampler_num_latents_2d=4,
        memory_attention_rope_k_sizes=[2, 2],
    )
    with torch.random.fork_rng(), torch.no_grad():
        # Else the encoder would differ with the tests that came before, and how rounding grows in 45 frames.
        torch.manual_seed(1)
        model = EdgeTamVideoModel(config)
        torch.manual_seed(2)
        for name, tensor in model.named_parameters():
            # Weights under which masks depend on prompts and on memory.
            if "norm" in name and name.endswith("weight"):
                tensor.fill_(1)
            elif not name.startswith("vision_encoder"):
                tensor.normal_(0, 0.1 if tensor.ndim > 1 else 0.2)
    folder = tmp_path_factory.mktemp("weights")
    model.save_pretrained(folder / NAME)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _use_stand_in_weights(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOTOWCE_WEIGHTS_DIR", str(folder))
        known = weights.WEIGHTS[NAME]  # the stand-in is not the published file
        patch.setitem(weights.WEIGHTS, NAME, replace(known, files=dict.fromkeys(known.files)))
        patch.setattr(edgetam, "best_device", lambda: "cpu")
        patch.setattr(device, "half_precision", lambda _: False)
        yield


@pytest.fixture(scope="module")
def params() -> MasksParams:
    masks = read_params(ROOT / "params.yaml").masks
    propagation = masks.propagation.model_copy(update={"input_px": SIDE})
    return masks.model_copy(update={"propagation": propagation, "input_px": SIDE})


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    back = rng.integers(0, 255, (HEIGHT, 3 * WIDTH, 3), np.uint8)
    return [back[:, 2 * index : 2 * index + WIDTH] for index in range(36)]


class Spy(EdgeTamPropagator):
    """Records the logits (h, w) of the objects in the order of decoding."""

    def __init__(self, weights: str, params: MasksParams) -> None:
        super().__init__(weights, params)
        self.logits: list[np.ndarray] = []

    def _decoded(self, frame: Any, found: Any, from_prompt: bool) -> Decoded:
        one = super()._decoded(frame, found, from_prompt)
        self.logits.append(one.logits[0, 0].numpy())
        return one


def _session(params: MasksParams, images: list[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Low logits (2, h, w) and object scores (2,) of transformers' own streaming session."""
    import torch
    from transformers.models.edgetam_video.modeling_edgetam_video import EdgeTamVideoInferenceSession

    model = edgetam_model.model("video", NAME, SIDE, "cpu")
    session = EdgeTamVideoInferenceSession(dtype=torch.float32)
    ours = EdgeTamPropagator(NAME, params)
    for index, reverse in PASSES:
        prompts = {} if reverse else {0: FIRST, AT: AGAIN}.get(index, {})
        for name, prompt in prompts.items():
            points = ours._points(prompt, (HEIGHT, WIDTH))
            session.add_point_inputs(session.obj_id_to_idx(ord(name)), index, points)
            session.obj_with_new_inputs.append(ord(name))
        frame = edgetam_model.pixels([images[index]], SIDE, "cpu")
        found = model(session, frame=frame, frame_idx=index, reverse=reverse)
        yield found.pred_masks[:, 0].numpy().copy(), found.object_score_logits[:, 0].numpy().copy()


def _ours(
    model: EdgeTamPropagator, images: list[np.ndarray], passes: list[tuple[int, bool]] = PASSES
) -> Iterator[dict[str, Observation]]:
    for index, reverse in passes:
        if not reverse and (prompts := {0: FIRST, AT: AGAIN}.get(index)):
            model.prompt(index, images[index], prompts)
        yield model.step(index, images[index], ["a", "b"], reverse)


def test_logits_and_scores_equal_those_of_the_session(params: MasksParams, images: list[np.ndarray]) -> None:
    spy = Spy(NAME, params)
    theirs = _session(params, images)
    ours = []
    for found, (logits, scores) in zip(_ours(spy, images), theirs, strict=True):
        for index, name in enumerate("ab"):
            assert found[name].object_score == pytest.approx(float(scores[index]), abs=1e-3)
        # When the backward pass starts, the observation of the prompt is not computed again.
        assert len(spy.logits) == 2 or len(ours) == PASSES.index((AT, True))
        if len(spy.logits) == 2:
            assert np.allclose(spy.logits, logits, atol=1e-3)
        spy.logits.clear()
        ours.append(found)
    assert all(np.any(found["a"].mask != found["b"].mask) for found in ours)
    assert len({round(found["a"].object_score, 2) for found in ours}) > 5


def test_shorter_memory_changes_the_scores(params: MasksParams, images: list[np.ndarray]) -> None:
    short = EdgeTamPropagator(NAME, params)
    short._memory = Memory(6, 7, "object_pointer")
    pairs = zip(
        _ours(EdgeTamPropagator(NAME, params), images, PASSES[:25]),
        _ours(short, images, PASSES[:25]),
        strict=True,
    )
    assert max(abs(one["a"].object_score - other["a"].object_score) for one, other in pairs) > 1e-3


def test_interrupted_run_resumes_identically(
    params: MasksParams, images: list[np.ndarray], tmp_path: Path
) -> None:
    killed, other = EdgeTamPropagator(NAME, params), EdgeTamPropagator(NAME, params)
    for _ in _ours(killed, images, PASSES[:20]):
        pass
    killed.save(tmp_path / "memory.pt")
    other.load(tmp_path / "memory.pt")
    for mine, theirs in zip(
        _ours(killed, images, PASSES[20:26]), _ours(other, images, PASSES[20:26]), strict=True
    ):
        for name in "ab":
            assert np.array_equal(mine[name].mask, theirs[name].mask)
            assert mine[name].object_score == theirs[name].object_score


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(box=np.array([8.0, 8, 24, 24])),
        Prompt(mask=np.pad(np.ones((9, 9), bool), ((10, 29), (10, 61)))),
    ],
    ids=["box", "mask"],
)
def test_takes_boxes_and_masks(prompt: Prompt, params: MasksParams, images: list[np.ndarray]) -> None:
    model = EdgeTamPropagator(NAME, params)
    observation = model.prompt(0, images[0], {"a": prompt})["a"]
    if prompt.mask is not None:
        assert observation.object_score == 10 and np.mean(observation.mask != prompt.mask) < 0.01
    assert model.step(1, images[1], ["a"])["a"].mask.shape == (HEIGHT, WIDTH)


def test_memory_does_not_grow_with_frames(params: MasksParams, images: list[np.ndarray]) -> None:
    model = EdgeTamPropagator(NAME, params)
    model.prompt(0, images[0], FIRST)
    held: list[int] = []
    for index in range(1, 81):
        model.step(index, images[index % 36], ["a", "b"])
        outputs: list[dict[str, Any]] = [
            out for trace in model._memory.objects.values() for out in trace.tracked.values()
        ]
        held.append(sum(tensor.untyped_storage().nbytes() for out in outputs for tensor in out.values()))
    assert held[79] == held[39] > 0


def test_unsupported_input_size_is_refused(params: MasksParams) -> None:
    propagation = params.propagation.model_copy(update={"input_px": 80})
    with pytest.raises(InputError, match="a multiple of 32 pixels, not of 80"):
        EdgeTamPropagator(NAME, params.model_copy(update={"propagation": propagation}))


def test_incomplete_weights_folder_is_refused(
    folder: Path, tmp_path: Path, params: MasksParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert weights.find(NAME) == folder / NAME
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "config.json").write_bytes((folder / NAME / "config.json").read_bytes())
    assert weights.find(NAME) is None
    (tmp_path / NAME / "model.safetensors").write_bytes(b"cut short")
    edgetam_model.model.cache_clear()
    with pytest.raises(MissingWeightsError, match=r"EdgeTAM-hf: not the published EdgeTAM-hf .*cut short"):
        EdgeTamPropagator(NAME, params)
    monkeypatch.setattr(edgetam_model, "require", lambda name: tmp_path / NAME)
    with pytest.raises(MissingWeightsError, match="EdgeTAM-hf: damaged, or not EdgeTAM"):
        EdgeTamPropagator(NAME, params)


def test_image_model_predicts_three_masks_per_prompt(params: MasksParams, images: list[np.ndarray]) -> None:
    model = EdgeTam(NAME, params)
    crops = [images[0], images[1][:30, :40]]
    prompts = [[FIRST["a"], Prompt(box=np.array([5.0, 5, 30, 30]))], [FIRST["b"]]]
    predictions = model.predict(crops, prompts)
    alone = model.predict(crops[1:], prompts[1:])

    assert [[prediction.logits.shape for prediction in of_crop] for of_crop in predictions] == [
        [(3, HEIGHT, WIDTH), (3, HEIGHT, WIDTH)],
        [(3, 30, 40)],
    ]
    assert np.allclose(predictions[1][0].logits, alone[0][0].logits, atol=1e-4)
    assert not np.allclose(predictions[0][0].logits, predictions[0][1].logits, atol=1e-2)
    candidates = model.segment(images[0], np.array([(10.0, 10, 30, 30)]))[0]
    assert len(candidates) == 3 * 3 * len(params.crop_scales)
    assert all(candidate.mask.shape == (HEIGHT, WIDTH) for candidate in candidates)
