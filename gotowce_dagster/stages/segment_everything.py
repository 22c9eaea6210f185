"""Study: segmentation without prompts, by the masks engine and by superpixels, on the same frames."""

import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.segmenters.base import Interactive
from gotowce_dagster.segmenters.registry import build_segmenter
from gotowce_dagster.studies.everything import Cut, Cutter, best_fit, cut_up, merged, superpixels
from gotowce_dagster.studies.everything_frames import Shown, shown_frames
from gotowce_dagster.studies.everything_pictures import closeup_of, with_pieces
from gotowce_dagster.studies.everything_report import (
    CUTS,
    FITS,
    PICTURE,
    REPORT,
    SIZES,
    by_size,
    caption,
    report,
)
from gotowce_dagster.studies.everything_tiles import generator, tiled_generator

NAME = "segment_everything"
COLUMNS = ["video", "frame_index", "method", "pieces", "seconds", "memory_mb"]


def run(project: Project, progress: Progress = silent) -> None:
    """Write data/studies/segment_everything: cuts, objects and sizes as CSV, pieces.png and report.html.

    Raises:
        InputError: a video or its truth cannot be read, or a video is not pulled.
        MissingExtraError: scikit-image is not installed.
        MissingWeightsError: the weights of the masks engine are not on this machine and cannot be fetched.
    """
    project.require_raw()
    params = project.params.segment_everything
    of_model = _of_model(project)
    cutters = of_model | {"SLIC superpixels": superpixels(params)}
    frames = list(shown_frames(project, params.frames))
    cuts, fits, shown = [], [], list[tuple[Shown, Cut, pd.DataFrame]]()
    total = len(frames) * len(cutters)
    progress(0, total)
    for place, one in enumerate(frames):
        made = []
        for number, (method, cutter) in enumerate(cutters.items(), start=1):
            made.append(cut_up(method, cutter, one.image))
            progress(place * len(cutters) + number, total)
        if of_model:
            made.insert(2, merged("whole frame and tiles", finer=made[1], coarser=made[0]))
        for cut in made:
            fit = best_fit(cut, one.objects)
            about = {"video": one.video, "frame_index": one.index, "method": cut.method}
            own = {"pieces": len(cut.pieces), "seconds": cut.seconds, "memory_mb": cut.memory_mb}
            cuts.append(about | own)
            fits.append(fit.assign(**about))
            shown.append((one, cut, fit))
    _write(project, pd.DataFrame(cuts, columns=COLUMNS), fits, shown, is_of_model=bool(of_model))


def _of_model(project: Project) -> dict[str, Cutter]:
    """The methods of the masks engine: on the whole frame, then in tiles; none if it takes no points."""
    params, masks = project.params.segment_everything, project.params.masks
    model = build_segmenter(project.engines["masks"], masks.model_copy(update={"input_px": params.input_px}))
    if not isinstance(model, Interactive):
        return {}
    return {
        "whole frame": generator(model, params),
        f"tiles of {params.tile_px} px": tiled_generator(model, params),
    }


def _write(
    project: Project,
    cuts: pd.DataFrame,
    fits: list[pd.DataFrame],
    shown: list[tuple[Shown, Cut, pd.DataFrame]],
    *,
    is_of_model: bool,
) -> None:
    params = project.params.segment_everything
    fitted = pd.concat(fits) if fits else pd.DataFrame(columns=["method", "size", "box_iou"])
    missing = f"No model was run: the masks engine of this project is {project.engines['masks']}"
    columns = cuts["method"].nunique()
    whole = contact_sheet(
        [with_pieces(one.image, cut, one.objects, fit["piece"]) for one, cut, fit in shown],
        [caption(one.video, one.index, cut, fit) for one, cut, fit in shown],
        columns,
        tile_width=620,
    )
    near = [(one, cut, fit) for one, cut, fit in shown if len(fit)]
    close = contact_sheet(
        [closeup_of(one.image, cut, one.objects, fit) for one, cut, fit in near],
        [caption(one.video, one.index, cut, fit) for one, cut, fit in near],
        columns,
        tile_width=400,
    )
    sheets = [("The smallest target of each frame", close)] if near else []
    with fresh_dir(project.paths.study(NAME)) as new:
        cuts.to_csv(new / CUTS, index=False)
        fitted.to_csv(new / FITS, index=False)
        by_size(fitted, params).to_csv(new / SIZES, index=False)
        write_picture(close if near else whole, new / PICTURE)
        engine = project.engines["masks"] if is_of_model else ""
        page = report(
            cuts,
            fitted,
            params,
            [*sheets, ("", whole)],
            engine=engine,
            missing="" if engine else missing,
        )
        (new / REPORT).write_text(page, encoding="utf-8")
