"""Study: segmentation without prompts, by SAM 2 and by superpixels, on the same frames."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from gotowce_dagster.config.engine_spec import EngineSpec
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import xyxy
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.core.tables import read_truth
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.segmenters.sam2 import predictor_of
from gotowce_dagster.studies.everything import best_fit, cut_up, sam2_generator, superpixels
from gotowce_dagster.studies.everything_pictures import with_pieces
from gotowce_dagster.studies.everything_report import CUTS, FITS, PICTURE, REPORT, caption, report
from gotowce_dagster.video.decode import probe, read_frames

NAME = "segment_everything"


def run(project: Project, progress: Progress = silent) -> None:
    """Write data/studies/segment_everything: cuts.csv, objects.csv, pieces.png and report.html.

    Raises:
        InputError: a video or its truth cannot be read, or a video is not pulled.
    """
    project.require_raw()
    params, engine = project.params.segment_everything, project.engines["masks"]
    cutters = {"SLIC superpixels": superpixels(params)}
    spec = EngineSpec.parse(engine)
    missing = f"SAM 2 was not run: the masks engine of this project is {engine}"
    if spec.name == "sam2":
        cutters = {
            f"SAM 2, {spec.weights}": sam2_generator(predictor_of(spec.weights, params.input_px), params)
        } | cutters
        missing = ""
    chosen = list(_frames(project))
    cuts, fits, pictures, captions = [], [], [], []
    done = 0
    progress(0, len(chosen) * len(cutters))
    for video, index, image, objects in chosen:
        for method, cutter in cutters.items():
            cut = cut_up(method, cutter, image)
            fit = best_fit(cut, objects)
            cuts.append((video, index, method, len(cut.pieces), cut.seconds))
            fits.append(fit.assign(video=video, frame_index=index, method=method))
            pictures.append(with_pieces(image, cut, objects, fit["piece"]))
            captions.append(caption(video, index, cut, fit))
            done += 1
            progress(done, len(chosen) * len(cutters))
    with fresh_dir(project.paths.study(NAME)) as new:
        table = pd.DataFrame(cuts, columns=["video", "frame_index", "method", "pieces", "seconds"])
        table.to_csv(new / CUTS, index=False)
        fitted = pd.concat(fits) if fits else pd.DataFrame(columns=["method", "box_iou", "covered", "piece"])
        fitted.to_csv(new / FITS, index=False)
        sheet = contact_sheet(pictures, captions, columns=len(cutters), tile_width=620)
        write_picture(sheet, new / PICTURE)
        page = report(table, fitted, sheet, missing)
        (new / REPORT).write_text(page, encoding="utf-8")


def _frames(project: Project) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:
    """Video, frame_index, image and ground-truth boxes of the chosen frames, spread over the videos."""
    videos = list(project.videos)
    count = project.params.segment_everything.frames
    for place, video in enumerate(videos):
        wanted = count // len(videos) + (place < count % len(videos))
        truth = project.paths.truth(video)
        rows = read_truth(truth, probe(project.raw(video))) if truth.exists() else None
        objects = rows[rows["label"] == "object"] if rows is not None else None
        if objects is not None and len(objects):
            named = np.unique(objects["frame_index"])
        else:
            named = np.arange(probe(project.raw(video)).frames)
        some = named[_evenly(len(named), wanted)].tolist()
        for frame in read_frames(project.raw(video), some) if some else ():
            of_frame = objects[objects["frame_index"] == frame.index] if objects is not None else None
            boxes = xyxy(of_frame) if of_frame is not None else np.zeros((0, 4))
            yield video, frame.index, frame.rgb(), boxes


def _evenly(count: int, wanted: int) -> np.ndarray:
    """Places of some of ``count`` things, away from both ends."""
    return np.unique(((np.arange(wanted) + 0.5) * count / max(wanted, 1)).astype(int))
