from collections.abc import Iterator
from pathlib import Path

import cv2
import hydra
import numpy as np
import pandas as pd
import pytest
import supervision as sv
from hydra.core.global_hydra import GlobalHydra

from gotowce_dagster.core import device, weights
from gotowce_dagster.core.boxes import BOX, xyxy
from gotowce_dagster.core.crops import Crop, around
from gotowce_dagster.core.device import inference
from gotowce_dagster.core.errors import MissingWeightsError
from gotowce_dagster.core.truth import read_truth
from gotowce_dagster.labels.cleaning import clean
from gotowce_dagster.segmenters.base import Segmenter
from gotowce_dagster.segmenters.mobile_sam import MobileSam
from gotowce_dagster.segmenters.prompts import PROMPTS, Prompt
from gotowce_dagster.segmenters.registry import build_segmenter, forget_models
from gotowce_dagster.segmenters.sam2 import Sam2
from gotowce_dagster.segmenters.targets import segment_targets
from gotowce_dagster.video.decode import read_frames
from tests.shipped import labels_params, masks_params
from tests.support.synthetic import Bracket, Scene, Target

SAMPLES = Path(__file__).parent.parent.parent / "data" / "samples"
SAM2, MOBILE_SAM = "sam2_hiera_tiny_image.pt", "mobile_sam.pt"

pytestmark = pytest.mark.weights


def needs(name: str) -> None:
    if weights.find(name) is None:
        pytest.skip(f"{name} is not on this machine; set GOTOWCE_WEIGHTS_DIR")


@pytest.fixture(scope="module")
def sam2() -> Segmenter:
    needs(SAM2)
    return build_segmenter(f"sam2:{SAM2}", masks_params())


@pytest.fixture(scope="module")
def thorough() -> Segmenter:
    """A segmenter that encodes every crop of every target."""
    needs(SAM2)
    return build_segmenter(f"sam2:{SAM2}", masks_params().model_copy(update={"second_look": 1.0}))


def truth_frames(clip: str, limit: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Image, designator and object of the first frames with ground truth for both."""
    rows = read_truth(SAMPLES / "truth.csv").query("clip == @clip").set_index(["frame_index", "label"])
    both = [
        index
        for index in rows.index.get_level_values(0).unique()
        if {"designator", "object"} <= set(rows.loc[index].index)
    ][:limit]
    frames = {frame.index: frame.rgb() for frame in read_frames(SAMPLES / clip, set(both))}
    return [
        (
            frames[index],
            *(xyxy(rows.loc[[(index, label)]])[0] for label in ("designator", "object")),
        )
        for index in both
    ]


def ious(segmenter: Segmenter, clip: str, limit: int) -> list[float]:
    found = []
    for image, designator, target in truth_frames(clip, limit):
        rows = segment_targets(image, sv.Detections(designator[None]), segmenter, masks_params())
        found.append(float(sv.box_iou_batch(xyxy(rows), target[None]).max(initial=0)))
    return found


@pytest.mark.parametrize(
    ("clip", "at_least"), [("naev_hostile_sample.mp4", 0.93), ("oolite_red_sample.mp4", 0.85)]
)
def test_boxes_on_real_footage(sam2: Segmenter, clip: str, at_least: float) -> None:
    found = ious(sam2, clip, 4)
    assert len(found) >= 2
    assert np.median(found) >= at_least


@pytest.mark.parametrize(
    ("target", "at_least"),
    [
        (Target("dart", 5, (420, 310), colour=(200, 205, 215)), 0.6),
        (Target("freighter", 9, (420, 310), colour=(190, 195, 205)), 0.7),
        (Target("dart", 330, (640, 360), bracket=Bracket(margin=0.01, thickness=3)), 0.9),
        (Target("freighter", 300, (640, 360), bracket=Bracket(margin=0.01)), 0.9),
        (Target("cross", 120, (640, 360), bracket=Bracket(margin=0.0)), 0.9),
    ],
    ids=["5 px", "9 px", "large dart that fills it", "large freighter", "cross that fills it"],
)
def test_targets_of_very_different_size_in_their_designator(
    sam2: Segmenter, target: Target, at_least: float
) -> None:
    scene = Scene((target,), frames=1)
    truth = scene.truth("clip").set_index("label")
    designator, box = (xyxy(truth.loc[[label]]) for label in ("designator", "object"))
    rows = segment_targets(scene.picture(0), sv.Detections(designator), sam2, masks_params())
    assert sv.box_iou_batch(xyxy(rows), box).max(initial=0) >= at_least


@pytest.mark.parametrize("corner", [(150, 120), (900, 500)], ids=["sky", "more sky"])
def test_empty_designator_is_never_accepted(sam2: Segmenter, corner: tuple[int, int]) -> None:
    image = truth_frames("oolite_red_sample.mp4", 1)[0][0]
    (x, y), side = corner, 60
    for cx, cy, right, down in (
        (x, y, 1, 1),
        (x + side, y, -1, 1),
        (x, y + side, 1, -1),
        (x + side, y + side, -1, -1),
    ):
        cv2.line(image, (cx, cy), (cx + right * 15, cy), (180, 10, 5), 2)
        cv2.line(image, (cx, cy), (cx, cy + down * 15), (180, 10, 5), 2)
    box = np.array([[x, y, x + side, y + side]], float)
    rows = segment_targets(image, sv.Detections(box), sam2, masks_params())
    assert _verdict(rows, box[0]) == "reject"


def _verdict(rows: pd.DataFrame, box: np.ndarray) -> str:
    key = {"video": "v", "frame_index": 0}
    found = {"detection_id": 0, "confidence": 0.9, "class_name": "a", "detector": "d", "prompt": "p"}
    sides = dict(zip(BOX, box, strict=True))
    detections = pd.DataFrame([{**key, **found, **sides, "visible_corners": 4, "votes": None}])
    frames = pd.DataFrame([{"frame_index": 0, "time_s": 0.0, "shot": 0, "sharpness": 1.0, "kept": True}])
    labels = clean(detections, rows.assign(**key, object_id="0/0"), frames, labels_params())
    return labels["verdict"].iloc[0]


def test_mobile_sam_predictions_equal_those_of_its_own_predictor() -> None:
    needs(MOBILE_SAM)
    segmenter = build_segmenter(f"mobile_sam:{MOBILE_SAM}", masks_params())
    assert isinstance(segmenter, MobileSam)
    image, designator, _ = truth_frames("naev_hostile_sample.mp4", 1)[0]
    crop = Crop(400, 200, 700, 420)
    prompts = [way(crop.to_crop(designator)) for way in PROMPTS.values()]
    (predictions,) = segmenter.predict([crop.cut(image)], [prompts])
    segmenter._predictor.set_image(np.ascontiguousarray(crop.cut(image)[..., ::-1]))
    for prompt, prediction in zip(prompts, predictions, strict=True):
        points, labels = (value if value is None else value[None] for value in (prompt.points, prompt.labels))
        found = segmenter._predictor(points=points, labels=labels, bboxes=prompt.box, multimask_output=True)[
            0
        ]
        assert prediction.scores == pytest.approx(found.boxes.conf.numpy(), abs=0.01)
        assert mask_iou(prediction.logits > 0, found.masks.data.numpy().astype(bool)).min() > 0.97


def test_mobile_sam_on_real_footage() -> None:
    needs(MOBILE_SAM)
    segmenter = build_segmenter(f"mobile_sam:{MOBILE_SAM}", masks_params())
    assert ious(segmenter, "naev_hostile_sample.mp4", 1)[0] >= 0.8


def test_frame_gives_the_same_alone_and_in_a_batch(thorough: Segmenter) -> None:
    image, designator, _ = truth_frames("naev_hostile_sample.mp4", 1)[0]
    elsewhere = designator + np.array([200.0, 60, 200, 60])
    alone = thorough.segment(image, designator[None])[0]
    among = thorough.segment(image, np.stack([elsewhere, designator]))[1]
    assert [c.prompt for c in alone] == [c.prompt for c in among]
    assert {c.prompt for c in alone} == {f"{p}@{s}" for p in ("point", "ring", "box") for s in (2, 3)}
    for one, other in zip(alone, among, strict=True):
        assert one.mask.shape == image.shape[:2]
        differing = np.count_nonzero(one.mask ^ other.mask)
        assert differing <= 0.02 * max(np.count_nonzero(one.mask), 100)


def test_clear_target_is_encoded_once(sam2: Segmenter) -> None:
    image, designator, _ = truth_frames("naev_hostile_sample.mp4", 2)[1]
    elsewhere = designator + np.array([200.0, 60, 200, 60])
    found, nothing = sam2.segment(image, np.stack([designator, elsewhere]))
    assert {c.prompt for c in found} == {"point@2", "ring@2", "box@2"}
    assert {c.prompt for c in nothing} >= {"point@2", "point@3"}


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sam2]:
    """A segmenter that computes in full precision on every CPU."""
    needs(SAM2)
    monkeypatch.setattr(device, "half_precision", lambda _: False)
    forget_models()  # loaded models keep weights in the precision that they compute in
    yield Sam2(SAM2, masks_params())
    forget_models()


def test_predictions_equal_those_of_the_packages_own_predictor(exact: Sam2) -> None:
    image, designator, _ = truth_frames("naev_hostile_sample.mp4", 1)[0]
    crops = [around(designator, 2, *image.shape[:2]), Crop(400, 200, 700, 420)]
    asked = [[way(crop.to_crop(designator)) for way in PROMPTS.values()] for crop in crops]
    both = Prompt(asked[0][0].points, asked[0][0].labels, asked[0][2].box)
    pictures = [crop.cut(image) for crop in crops]
    predictions = exact.predict(pictures, [[*asked[0], both], asked[1]])
    assert [len(of_crop) for of_crop in predictions] == [4, 3]
    for picture, prompts, of_crop in zip(pictures, [[*asked[0], both], asked[1]], predictions, strict=True):
        with inference(exact.device):
            exact._predictor.set_image(picture)
            for prompt, prediction in zip(prompts, of_crop, strict=True):
                logits, scores, _ = exact._predictor.predict(
                    prompt.points, prompt.labels, prompt.box, return_logits=True
                )
                assert prediction.logits.shape == (3, *picture.shape[:2])
                assert prediction.logits.dtype == np.float32
                assert prediction.scores == pytest.approx(scores, abs=1e-4)
                assert prediction.logits == pytest.approx(logits, abs=5e-3)


def mask_iou(masks: np.ndarray, others: np.ndarray) -> np.ndarray:
    both, either = (masks & others).sum(axis=(1, 2)), (masks | others).sum(axis=(1, 2))
    return (both + 1) / (either + 1)


def test_designator_cut_by_the_frame_is_segmented(thorough: Segmenter) -> None:
    image, designator, _ = truth_frames("naev_hostile_sample.mp4", 1)[0]
    x1 = int(designator[0]) + 12
    cut = np.ascontiguousarray(image[:, x1:])
    found = thorough.segment(cut, (designator - [x1, 0, x1, 0])[None])[0]
    assert len(found) == 18
    assert all(c.mask.shape == cut.shape[:2] for c in found)


@pytest.mark.parametrize("content", ["another model", "half a file", "no weights at all"])
def test_wrong_weights_are_refused(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs(SAM2)
    found = weights.find(SAM2)
    assert found is not None
    path = tmp_path / "sam2.1_hiera_small.pt"
    if content == "another model":
        path.symlink_to(found)
    else:
        path.write_bytes(found.read_bytes()[:1_000_000] if content == "half a file" else b"<html>")
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(MissingWeightsError, match=r"hiera_small\.pt: not the published .* \(.*SHA-256"):
        build_segmenter("sam2:sam2.1_hiera_small.pt", masks_params(input_px=64))
    # Without a digest the loader detects it.
    monkeypatch.setattr("gotowce_dagster.segmenters.sam2.require", lambda name: path)
    with pytest.raises(MissingWeightsError, match=r"sam2\.1_hiera_small\.pt: damaged, or not the weights"):
        build_segmenter("sam2:sam2.1_hiera_small.pt", masks_params(input_px=64))


@pytest.mark.parametrize("used_before", [True, False], ids=["used before", "not used before"])
def test_hydra_state_is_restored(used_before: bool) -> None:
    needs(SAM2)
    if used_before:
        hydra.initialize_config_module("sam2")
    # A size that no other test uses, so that a new model is built.
    build_segmenter(f"sam2:{SAM2}", masks_params(input_px=96 if used_before else 160))
    assert not GlobalHydra.instance().is_initialized()
    with hydra.initialize_config_module("sam2"):
        assert "model" in hydra.compose("configs/sam2/sam2_hiera_t.yaml")
