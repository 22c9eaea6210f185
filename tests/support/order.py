"""In which order files of tests start, and which of them one worker takes.

A worker takes a file when it is free: one that takes a minute and starts last keeps the others waiting.
"""

from pathlib import Path

from xdist.scheduler import LoadFileScheduling

LABEL_STUDIO = (
    "review/test_thousands.py",
    "review/test_loop.py",
    "review/test_loop_of_proposals.py",
    "review/test_room.py",
    "review/test_browser.py",
    "review/test_assist.py",
    "review/test_killed.py",
    "review/test_server.py",
    "review/test_video_room.py",
)
"""Files with tests of a real Label Studio: one worker takes them all, and starts one."""

LONGEST = (
    *LABEL_STUDIO,
    "assets/test_one_pipeline.py",
    "test_benchmarks.py",
    "designators/test_families.py",
    "cluster/test_node.py",
    "stages/test_evaluation.py",
    "comparison/test_misbehaviour.py",
    "test_wheel.py",
    "faults/test_campaign.py",
    "faults/test_full_disk.py",
    "training/test_finetune.py",
    "training/test_engines.py",
    "training/test_rounds.py",
    "cluster/test_worker.py",
    "comparison/test_fresh.py",
    "stages/test_same_boxes.py",
    "intake/test_removal.py",
    "intake/test_migration.py",
    "test_remote.py",
    "comparison/test_stand_ins.py",
    "stages/test_detector_comparison.py",
    "stages/test_masks_in_video.py",
    "video/test_extract.py",
    "segmenters/test_sam2.py",
    "propagation/test_sam2.py",
    "stages/test_finetuned_model.py",
    "test_second_person.py",
    "assets/test_webserver.py",
    "assets/test_runs.py",
    "assets/test_sensors.py",
    "test_hostile.py",
)
"""In the order of seconds by the clock, about fifteen at the end; the rest keeps pytest's order."""


IMPORTING = (
    "detectors/local/",
    "detectors/test_ask.py",
    "detectors/test_fetched.py",
    "detectors/test_registry.py",
    "inference/",
    "labels/test_export.py",
    "propagation/",
    "segmenters/",
    "stages/test_finetuned_model.py",
    "stages/test_vocabulary.py",
    "stages/test_crop_sensitivity.py",
    "stages/test_yolo_dataset.py",
    "studies/",
    "training/",
)
"""Folders and files whose tests import PyTorch and what is built on it, for seconds.

One worker takes them all where tests that take long are left out: the others do without."""


def place(file: Path, tests: Path) -> int:
    """Where a file of the folder ``tests`` stands in the order."""
    name = file.relative_to(tests).as_posix() if file.is_relative_to(tests) else ""
    if name in LONGEST:
        return LONGEST.index(name)
    return len(LONGEST) + (not name.startswith(IMPORTING))


class OneServer(LoadFileScheduling):
    """Gives each file to one worker, and some of them to the same."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return together(file.removeprefix("tests/"), "not slow" in self.config.option.markexpr) or file


def together(name: str, is_fast: bool) -> str:
    """What a file of the folder of tests shares a worker for; empty if for nothing."""
    if name in LABEL_STUDIO or (is_fast and name.startswith("review/")):  # its client is imported for seconds
        return "Label Studio"
    return "PyTorch" if is_fast and name.startswith(IMPORTING) else ""
