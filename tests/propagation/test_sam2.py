"""Compare with the package's own video predictor, on a small model with random weights."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from gotowce_dagster.config.params import MasksParams, read_params
from gotowce_dagster.core import device, weights
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.propagation import sam2
from gotowce_dagster.propagation.memory import Memory
from gotowce_dagster.propagation.sam2 import Sam2Propagator
from gotowce_dagster.propagation.streaming import Decoded
from gotowce_dagster.segmenters.prompts import Prompt
from gotowce_dagster.segmenters.sam2_model import CONFIGS, build
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

WEIGHTS = "sam2.1_hiera_tiny.pt"
SIDE = 64
HEIGHT, WIDTH, FRAMES = 72, 96, 60
NAMES = ["a", "b", "late"]
TOLERANCE = 1e-3
MOST = 2
"""Maximum number of prompted frames attended to: fewer than "a" has."""

PROMPTS = {
    0: {
        "a": Prompt(np.array([(15, 21), (2, 2)]), np.array([1, 0])),
        "b": Prompt(np.array([(71, 41)]), np.ones(1)),
    },
    25: {"late": Prompt(np.array([(52, 52), (4, 68), (90, 4)]), np.array([1, 0, 0]))},
    30: {"a": Prompt(np.array([(45, 22)]), np.ones(1))},
    48: {"a": Prompt(np.array([(61, 26), (20, 60)]), np.array([1, 0]))},
}
PASSES = [*((index, False) for index in range(FRAMES)), *((index, True) for index in range(30, -1, -1))]


class Spy(Sam2Propagator):
    """Records the logits (H, W) of each object in the last frame."""

    def __init__(self, params: MasksParams) -> None:
        super().__init__(WEIGHTS, params)
        self.logits: list[np.ndarray] = []

    def _decode_prompt(self, frame: Any, prompt: Prompt, shape: tuple[int, int]) -> Decoded:
        one = super()._decode_prompt(frame, prompt, shape)
        self.logits.append(_large(one.logits))
        return one

    def _track(self, frame: Any, views: Any, reverse: bool) -> list[Decoded]:
        decoded = super()._track(frame, views, reverse)
        self.logits += [_large(one.logits) for one in decoded]
        return decoded

    def prompted(self, index: int, image: np.ndarray, prompts: dict[str, Prompt]) -> dict[str, np.ndarray]:
        self.logits.clear()
        self.prompt(index, image, prompts)
        return dict(zip(prompts, self.logits, strict=True))

    def tracked(
        self, index: int, image: np.ndarray, names: list[str], reverse: bool
    ) -> dict[str, np.ndarray]:
        """Logits of the objects that were not prompted in this frame."""
        self.logits.clear()
        self.step(index, image, names, reverse)
        open_ = [name for name in names if index not in self._memory.objects[name].prompted]
        return dict(zip(open_, self.logits, strict=True))


def _large(logits: Any) -> np.ndarray:
    from torch.nn.functional import interpolate

    return interpolate(logits, (HEIGHT, WIDTH), mode="bilinear", align_corners=False)[0, 0].numpy()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[np.ndarray]]:
    """Three squares that cross a dark pattern: a folder of JPEG files, and the decoded images."""
    rng = np.random.default_rng(0)
    back = cv2.resize(
        rng.integers(0, 90, (9, 12, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST
    )
    folder = tmp_path_factory.mktemp("jpeg")
    for index in range(FRAMES):
        image = back.copy()
        for colour, side, x, y, speed in (
            ((220, 60, 40), 13, 8, 15, 0.9),
            ((40, 200, 80), 10, 66, 36, -0.6),
            ((60, 90, 240), 16, 38, 45, 0.4),
        ):
            left, top = int(x + index * speed), int(y + 7 * np.sin(index / 9))
            image[top : top + side, left : left + side] = colour
        cv2.imwrite(str(folder / f"{index}.jpg"), image[..., ::-1])
    return folder, [_read(folder / f"{index}.jpg") for index in range(FRAMES)]


def _read(path: Path) -> np.ndarray:
    return np.array(Image.open(path).convert("RGB"))


@pytest.fixture(scope="module")
def model() -> Iterator[Any]:
    """A small predictor of the package, with weights that make masks depend on prompts and memory."""
    import torch

    grid = f"[{SIDE // 16},{SIDE // 16}]"
    with torch.random.fork_rng():
        torch.manual_seed(6)
        model = build(
            CONFIGS[WEIGHTS],
            SIDE,
            "++model._target_=sam2.sam2_video_predictor.SAM2VideoPredictor",
            "++model.binarize_mask_from_pts_for_mem_enc=true",
            f"++model.memory_attention.layer.self_attention.feat_sizes={grid}",
            f"++model.memory_attention.layer.cross_attention.feat_sizes={grid}",
            "++model.memory_attention.num_layers=2",
            "++model.image_encoder.trunk.stages=[1,1,2,1]",
            "++model.image_encoder.trunk.global_att_blocks=[3]",
            f"++model.max_cond_frames_in_attn={MOST}",
        ).eval()
    with torch.no_grad():
        for part in (model.sam_mask_decoder, model.memory_attention, model.memory_encoder):
            for name, tensor in part.named_parameters():
                if tensor.ndim > 1:
                    tensor.mul_(4 if "cross" in name and part is model.memory_attention else 2)
        for tensor in model.sam_prompt_encoder.parameters():
            tensor.mul_(2)
        model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.add_(0.15)
    # Without earlier object pointers the predictor passes memory to attention in half precision and fails.
    model.memory_attention.register_forward_pre_hook(
        lambda _, args, named: (args, named | {"memory": named["memory"].float()}), with_kwargs=True
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sam2, "_model", lambda *_: model)
        patch.setattr(sam2, "best_device", lambda: "cpu")
        patch.setattr(device, "half_precision", lambda _: False)
        yield model


@pytest.fixture(scope="module")
def params() -> MasksParams:
    masks = read_params(ROOT / "params.yaml").masks
    return masks.model_copy(
        update={"propagation": masks.propagation.model_copy(update={"max_conditioning": MOST})}
    )


@pytest.fixture(scope="module")
def reference(model: Any, images: tuple[Path, list[np.ndarray]]) -> dict[tuple[int, bool], np.ndarray]:
    """The predictor's logits (3, H, W) by frame and direction."""
    state = _prompted(model, images[0], PROMPTS)
    passes = [(0, False), (30, True)]
    return {
        (index, reverse): logits
        for start, reverse in passes
        for index, logits in _propagated(model, state, start, reverse)
    }


def _prompted(model: Any, folder: Path, prompts: dict[int, dict[str, Prompt]]) -> Any:
    state = model.init_state(str(folder))
    for index, prompted in prompts.items():
        for name, prompt in prompted.items():
            _add_prompt(model, state, index, name, prompt)
    return state


def _add_prompt(model: Any, state: Any, index: int, name: str, prompt: Prompt) -> None:
    if prompt.mask is not None:
        model.add_new_mask(state, index, name, prompt.mask)
    else:
        model.add_new_points_or_box(state, index, name, prompt.points, prompt.labels, box=prompt.box)


def _propagated(
    model: Any, state: Any, start: int, reverse: bool, most: int | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    for index, _, logits in model.propagate_in_video(state, start, most, reverse):
        yield index, logits[:, 0].numpy().copy()


def _run(
    spy: Spy, frames: list[np.ndarray], passes: Iterable[tuple[int, bool]] = PASSES, stride: int = 1
) -> Iterator[tuple[tuple[int, bool], dict[str, np.ndarray]]]:
    prompted = {
        index: spy.prompted(index * stride, frames[index], prompts) for index, prompts in PROMPTS.items()
    }
    for index, reverse in passes:
        found = spy.tracked(index * stride, frames[index], NAMES, reverse)
        yield (index, reverse), found | prompted.get(index, {})


def _worst(ours: dict[str, np.ndarray], theirs: np.ndarray) -> dict[str, float]:
    return {name: float(np.abs(ours[name] - theirs[NAMES.index(name)]).max()) for name in ours}


def test_unknown_weights_are_refused(params: MasksParams) -> None:
    with pytest.raises(InputError, match=r"no configuration for weights 'sam9\.pt'"):
        Sam2Propagator("sam9.pt", params)


@pytest.mark.weights
def test_error_for_image_weights_names_a_propagator_for_them(params: MasksParams) -> None:
    name = "sam2_hiera_tiny_image.pt"
    if weights.find(name) is None:
        pytest.skip(f"the weights {name} are missing")
    with pytest.raises(MissingWeightsError, match=f"sam2_image_track:{name}"):
        Sam2Propagator(name, params)


@pytest.mark.slow
def test_logits_equal_the_reference_for_every_frame_and_object(
    model: Any, params: MasksParams, images: Any, reference: dict[tuple[int, bool], np.ndarray]
) -> None:
    ours = dict(_run(Spy(params), images[1]))

    assert ours.keys() == reference.keys()
    for key, logits in ours.items():
        assert logits.keys() == set(NAMES)
        assert max(_worst(logits, reference[key]).values()) < TOLERANCE, key


@pytest.mark.slow
def test_the_reference_comparison_is_sensitive(
    model: Any, params: MasksParams, images: Any, reference: dict[tuple[int, bool], np.ndarray]
) -> None:
    """Masks differ between objects, frames and directions, objects come and go, and memory matters."""
    forward = np.stack([reference[index, False] for index in range(FRAMES)])
    masks = forward > 0
    present = np.count_nonzero(masks.any((2, 3)), axis=0)
    short = Spy(params)
    short._memory = Memory(6, 7, "obj_ptr")
    forgetful = [_worst(found, reference[key]) for key, found in _run(short, images[1], PASSES[:45])]

    assert np.any((present > 0) & (present < FRAMES)), present
    assert np.abs(forward[40, 0] - forward[40, 1]).max() > 0.1
    assert all(np.any(masks[35, index] != masks[45, index]) for index in range(3))
    assert any(np.any((reference[index, True] > 0) != masks[index]) for index in range(25))
    assert all(max(worst.get(name, 0) for worst in forgetful) > 5 * TOLERANCE for name in NAMES)


@pytest.mark.slow
def test_frames_with_gaps_count_as_neighbours(
    model: Any, params: MasksParams, images: Any, reference: dict[tuple[int, bool], np.ndarray]
) -> None:
    for key, logits in _run(Spy(params), images[1], PASSES[:20], stride=3):
        assert max(_worst(logits, reference[key]).values()) < TOLERANCE, key


@pytest.mark.slow
def test_interrupted_run_resumes_identically(
    model: Any,
    params: MasksParams,
    images: Any,
    tmp_path: Path,
    reference: dict[tuple[int, bool], np.ndarray],
) -> None:
    killed, other = Spy(params), Spy(params)
    for _ in _run(killed, images[1], PASSES[:20]):
        pass
    killed.save(tmp_path / "memory.pt")
    other.load(tmp_path / "memory.pt")

    for index, reverse in [*PASSES[20:24], *PASSES[60:64]]:
        mine = killed.step(index, images[1][index], NAMES, reverse)
        theirs = other.step(index, images[1][index], NAMES, reverse)
        for name in NAMES:
            assert np.array_equal(mine[name].mask, theirs[name].mask)
            assert mine[name].predicted_iou == theirs[name].predicted_iou
            assert mine[name].object_score == theirs[name].object_score


@pytest.mark.parametrize(
    "content", [b"", b"not a memory", None], ids=["empty", "other bytes", "other weights"]
)
def test_foreign_or_damaged_memory_is_refused(
    content: bytes | None, model: Any, params: MasksParams, tmp_path: Path
) -> None:
    path = tmp_path / "memory.pt"
    spy = Spy(params)
    spy.save(path)
    if content is None:
        spy.weights = "sam2.1_hiera_large.pt"
    else:
        path.write_bytes(content)

    with pytest.raises(InputError, match=r"memory\.pt: .*remove it"):
        spy.load(path)


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(box=np.array([8.0, 15, 21, 28])),
        Prompt(np.array([(15.0, 21)]), np.zeros(1), np.array([6.0, 10, 30, 40])),
        Prompt(mask=np.pad(np.ones((13, 13), bool), ((15, 44), (8, 75)))),
        Prompt(mask=np.zeros((HEIGHT, WIDTH), bool)),
    ],
    ids=["box", "box with a negative point", "mask", "empty mask"],
)
def test_every_kind_of_prompt_equals_the_reference(
    prompt: Prompt, model: Any, params: MasksParams, images: Any
) -> None:
    state = _prompted(model, images[0], {0: {"a": prompt}})
    spy = Spy(params)
    ours = [spy.prompted(0, images[1][0], {"a": prompt})]
    ours += [spy.tracked(index, images[1][index], ["a"], False) for index in (1, 2, 3)]

    for index, logits in _propagated(model, state, 0, False, 3):
        assert np.abs(ours[index]["a"] - logits[0]).max() < TOLERANCE, index


@pytest.mark.slow
def test_prompt_in_a_tracked_frame_conditions_later_frames(
    model: Any, params: MasksParams, images: Any
) -> None:
    again = Prompt(np.array([(60.0, 40)]), np.ones(1))
    state = _prompted(model, images[0], {0: {"a": PROMPTS[0]["a"]}})
    before = dict(_propagated(model, state, 0, False, 10))
    # The reference treats a prompt as a new one only if the frame was never tracked.
    state["frames_tracked_per_obj"][0].pop(6)
    state["output_dict_per_obj"][0]["non_cond_frame_outputs"].pop(6)
    _add_prompt(model, state, 6, "a", again)
    after = dict(_propagated(model, state, 6, False, 6))

    spy = Spy(params)
    spy.prompt(0, images[1][0], {"a": PROMPTS[0]["a"]})
    for index in range(11):
        spy.step(index, images[1][index], ["a"])
    prompted = spy.prompt(6, images[1][6], {"a": again})["a"]
    seen = spy.step(6, images[1][6], ["a"])["a"]

    assert np.array_equal(prompted.mask, seen.mask) and prompted.predicted_iou == seen.predicted_iou
    assert np.abs(after[8] - before[8]).max() > 10 * TOLERANCE
    for index in range(7, 13):
        ours = spy.tracked(index, images[1][index], ["a"], False)["a"]
        assert np.abs(ours - after[index][0]).max() < TOLERANCE, index


def test_scores_are_those_of_the_decoder_and_absent_objects_have_no_mask(
    model: Any, params: MasksParams, images: Any
) -> None:
    spy = Spy(params)
    seen = []
    decoder = model.sam_mask_decoder.register_forward_hook(lambda _, __, out: seen.append(out))
    spy.prompt(0, images[1][0], PROMPTS[0])
    seen.clear()
    found = [spy.step(index, images[1][index], ["a", "b"]) for index in range(1, 20)]
    decoder.remove()

    for observed, (_, ious, _, scores) in zip(found, seen, strict=True):
        for name, iou, score in zip(["a", "b"], ious.amax(1), scores[:, 0], strict=True):
            assert observed[name].predicted_iou == pytest.approx(float(iou))
            assert observed[name].object_score == pytest.approx(float(score))
            assert observed[name].mask.any() == (score > 0)
            assert 0 <= observed[name].stability <= 1


@pytest.mark.slow
def test_memory_does_not_grow_with_frames(model: Any, params: MasksParams, images: Any) -> None:
    spy = Spy(params)
    spy.prompt(0, images[1][0], PROMPTS[25])
    held = []
    for index in range(1, 81):
        spy.step(index, images[1][index % FRAMES], ["late"])
        held.append(
            sum(_bytes(output) for trace in spy._memory.objects.values() for output in trace.tracked.values())
        )

    assert held[79] == held[39] > 0
    assert all(len(trace.tracked) <= 2 * 16 for trace in spy._memory.objects.values())


def _bytes(output: dict[str, Any]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in output.values())


def test_forgetting_an_object_does_not_affect_the_others(
    model: Any, params: MasksParams, images: Any, reference: dict[tuple[int, bool], np.ndarray]
) -> None:
    spy = Spy(params)
    for _ in _run(spy, images[1], PASSES[:8]):
        pass
    spy.forget("b")

    found = spy.tracked(8, images[1][8], ["a", "late"], False)
    assert max(_worst(found, reference[8, False]).values()) < TOLERANCE
    assert "b" not in spy._memory.objects
    spy.begin()
    assert not spy._memory.objects and not spy._memory.frames
