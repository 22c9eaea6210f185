"""Metrics of reviews: coverage, error rate of automatic labels, and corrections."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from statistics import median

from gotowce_dagster.config.params import Params, ReviewAuditParams
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.intervals import wilson
from gotowce_dagster.core.sources import require_pulled, tracked_files
from gotowce_dagster.core.tables import LABELS, read_table
from gotowce_dagster.labels.reviews import Change, Review, ReviewedFrame, ReviewedVideo, read_reviewed


@dataclass(frozen=True)
class ErrorRate:
    """Share of audited frames whose automatic labels are wrong, with its Wilson interval."""

    frames: int
    wrong: int
    rate: float
    low: float
    high: float


def error_rate(frames: Iterable[ReviewedFrame], params: ReviewAuditParams) -> ErrorRate | None:
    """Error rate of automatic labels in the audit sample; None while none of its frames is reviewed.

    A frame counts once, however many of its labels are wrong, because labels of one frame fail together. The
    interval is Wilson's (1927), which holds for few frames and for zero errors too.
    """
    judged = [frame.decision for frame in frames if frame.sample == "audit"]
    verdicts = [is_wrong(review, params) for review in judged if review]
    if not verdicts:
        return None
    count, wrong = len(verdicts), sum(verdicts)
    return ErrorRate(count, wrong, wrong / count, *wilson(wrong, count, params.interval))


def is_wrong(review: Review, params: ReviewAuditParams) -> bool:
    """Whether a review found its labels wrong: rejected, corrected beyond the tolerance, or marked `fix`
    without a change.
    """
    corrected = any(_matters(change, params) for change in review.changes)
    return corrected or review.verdict == "reject" or (review.verdict == "fix" and not review.edits)


def reviewed_so_far(paths: Paths, videos: Iterable[str], params: Params) -> dict[str, float | int]:
    """Summary of all pulled reviews; without any, only their number.

    Raises:
        InputError: A review file is damaged or not pulled, or labels have another schema version.
    """
    require_pulled(tracked_files(paths.reviewed_videos))
    tables = [read_table(paths.labels(video), LABELS) for video in videos if paths.labels(video).exists()]
    shown = [labels[labels["verdict"].isin(params.review.tasks.verdicts)] for labels in tables]
    labelled = {key for rows in shown for key in zip(rows["video"], rows["frame_index"], strict=True)}
    reviewed = [read_reviewed(file) for file in sorted(paths.reviewed_videos.glob("*.json"))]
    return summary(reviewed, labelled, params.review.audit)


def summary(
    videos: Iterable[ReviewedVideo], labelled: Set[tuple[str, int]], params: ReviewAuditParams
) -> dict[str, float | int]:
    """Compute the metrics of reviews; metrics without data are left out.

    Args:
        labelled: (video, frame_index) of the frames that have labels.
    """
    frames = [(video.video, frame) for video in videos for frame in video.frames]
    judged = [(video, frame, review) for video, frame in frames if (review := frame.decision)]
    seen = {(video, frame.frame_index) for video, frame, _ in judged}
    numbers: dict[str, float | int] = {
        "frames_reviewed": len(seen),
        "frames_skipped": sum(
            any(r.state == "skipped" for r in frame.reviews) for _, frame in frames if not frame.decision
        ),
        "reviewers": len({review.annotator for _, _, review in judged}),
    }
    numbers |= {
        f"verdict_{verdict}": sum(review.verdict == verdict for _, _, review in judged)
        for verdict in ("accept", "fix", "reject")
    }
    if labelled:
        numbers["share_reviewed"] = len(seen & labelled) / len(labelled)
    if judged:
        numbers["edits_per_100_frames"] = 100 * sum(r.edits for _, _, r in judged) / len(judged)
    if spent := [review.seconds for _, _, review in judged if review.seconds is not None]:
        numbers["median_seconds_a_frame"] = median(spent)
    if found := error_rate((frame for _, frame in frames), params):
        numbers |= {
            "audit_frames": found.frames,
            "audit_wrong": found.wrong,
            "error_rate": found.rate,
            "error_rate_low": found.low,
            "error_rate_high": found.high,
        }
    return numbers


def _matters(change: Change, params: ReviewAuditParams) -> bool:
    return (
        change.kind in {"added", "deleted"}
        or change.class_before is not None
        or change.moved_px > params.error_px
        or (change.mask_iou is not None and change.mask_iou < params.error_mask_iou)
    )
