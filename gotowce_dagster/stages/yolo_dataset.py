"""Stage 6: a YOLO dataset of accepted and reviewed labels, with leak-free splits."""

import numpy as np
import pandas as pd
import yaml

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.progress import Progress
from gotowce_dagster.core.sources import require_pulled, tracked_files
from gotowce_dagster.core.tables import LABELS, PROVENANCE, read_table, write_table
from gotowce_dagster.labels.dataset_frames import kept_frames
from gotowce_dagster.labels.in_force import all_reviews_in_force
from gotowce_dagster.labels.provenance import left_out, origins, provenance_of, rejected_proposals
from gotowce_dagster.labels.reviewed import apply_reviews
from gotowce_dagster.labels.split import (
    SPLITS,
    choose_negatives,
    choose_unknown,
    split_frames,
)
from gotowce_dagster.training import fly_bys
from gotowce_dagster.training.dataset_images import image_path, write_images


def run(project: Project, progress: Progress) -> None:
    """Split the frames; write images, labels, data.yaml and tables.

    provenance.parquet, rejected.csv, fly_bys.csv and left_out.csv.

    Raises:
        InputError: no leak-free split exists, a table is missing, or a file of reviews is not pulled.
    """
    params, paths = project.params.yolo_dataset, project.paths
    require_pulled(tracked_files(paths.reviewed_videos))
    ready = [video for video in project.videos if paths.labels(video).exists()]
    if not ready:
        raise InputError(f"{paths.data / 'labels'}: no video has labels yet; run the earlier stages first")
    reviews = all_reviews_in_force(project, ready)
    labels = {
        video: apply_reviews(read_table(paths.labels(video), LABELS), reviews[video], video)
        for video in ready
    }
    kept = kept_frames(project, labels, reviews)
    sound = kept[~kept[["doubtful", "rejected", "damaged", "unanswered"]].any(axis=1)]
    # A frame without a mark may contain unmarked targets, so it is not a negative by itself.
    negative = [video for video in ready if project.video(video).negative]
    is_known = sound["objects"].gt(0) | sound["reviewed"] | sound["video"].isin(negative)
    sound = sound.assign(unknown=~is_known)
    frames = choose_negatives(sound[is_known], params.negative_share, params.seed)
    unknown = choose_unknown(sound[~is_known], params.unknown_frames, params.seed)
    settled = split_frames(pd.concat([frames, unknown], ignore_index=True), params)
    used = settled[settled["split"] != ""]
    names = sorted(set(used["classes"].explode().dropna()))
    numbers = {name: number for number, name in enumerate(names)}
    used = used.assign(
        image=[image_path(row) for row in used.to_dict("records")],
        kind=np.where(used["unknown"], "unknown", "as-is"),
        origin=origins(used, labels),
    )
    with fresh_dir(paths.dataset) as new:
        erased = write_images(
            project, new, used, kept=kept, labels=labels, numbers=numbers, progress=progress
        )
        # Without `path`, ultralytics takes the folder of data.yaml, wherever it is called from.
        data = {split: f"images/{split}" for split in SPLITS} | {"names": dict(enumerate(names))}
        (new / "data.yaml").write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), "utf-8")
        images = pd.concat([used, pd.DataFrame(erased, columns=used.columns)], ignore_index=True)
        write_table(provenance_of(project, images, labels), PROVENANCE, new / "provenance.parquet")
        rejected_proposals(used, reviews).to_csv(new / "rejected.csv", index=False, lineterminator="\n")
        flying = fly_bys.of_dataset(project, used, labels)
        flying.to_csv(new / fly_bys.FILE, index=False, lineterminator="\n")
        absent = [video for video in project.videos if video not in ready]
        left_out(kept, settled, absent).to_csv(new / "left_out.csv", index=False, lineterminator="\n")
