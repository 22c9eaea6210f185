"""COCO's average precision of cases, by the reference implementation and by a second one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import supervision as sv

from gotowce_dagster.evaluation.scoring import Case

REFERENCES = ("pycocotools", "faster_coco_eval")


def reference_average_precision(
    cases: Sequence[Case], reference: str, by_class: bool = False, first_id: int = 1
) -> dict[str, float]:
    """mAP50_95 and mAP50; ignored boxes are COCO's crowds, of every class.

    Args:
        reference: one of REFERENCES.
        first_id: id of the first annotation.
    """
    names = sorted({name for case in cases for part in (case.truth, case.found) for name in _names(part)})
    classes = {name: number if by_class else 0 for number, name in enumerate(names)}
    numbers = sorted(set(classes.values())) or [0]
    annotations: list[dict[str, Any]] = []
    results: list[list[float]] = []
    for image, case in enumerate(cases):
        boxes = [
            (box, classes[name], 0) for box, name in zip(case.truth.xyxy, _names(case.truth), strict=True)
        ]
        boxes += [(box, number, 1) for box in case.ignored for number in numbers]
        for (x1, y1, x2, y2), number, crowd in boxes:
            annotations.append(
                {
                    "id": first_id + len(annotations),
                    "image_id": image,
                    "category_id": number,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": crowd,
                }
            )
        for (x1, y1, x2, y2), score, name in zip(
            case.found.xyxy, case.confidence, _names(case.found), strict=True
        ):
            results.append([image, x1, y1, x2 - x1, y2 - y1, score, classes[name]])
    content = {
        "info": {},
        "images": [{"id": image} for image in range(len(cases))],
        "categories": [{"id": number, "name": str(number)} for number in numbers],
        "annotations": annotations,
    }
    stats = _STATS[reference](content, np.array(results, float).reshape(-1, 7))
    return {"mAP50_95": float(stats[0]), "mAP50": float(stats[1])}


def _pycocotools(content: dict[str, Any], results: np.ndarray) -> Sequence[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO()
    truth.dataset = content
    truth.createIndex()
    judge = COCOeval(truth, truth.loadRes(results), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return judge.stats


def _faster_coco_eval(content: dict[str, Any], results: np.ndarray) -> Sequence[float]:
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(content)
    judge = COCOeval_faster(truth, truth.loadRes(results), "bbox", print_function=lambda *_: None)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return judge.stats


_STATS = {"pycocotools": _pycocotools, "faster_coco_eval": _faster_coco_eval}


def _names(boxes: sv.Detections) -> list[str]:
    return [str(name) for name in boxes.data.get("class_name", [""] * len(boxes))]
