"""Which boxes of a frame training in rounds would adopt as labels, to compare them with complete truth."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

import numpy as np
import supervision as sv

from gotowce_dagster.config.params import RoundsParams
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.tables import PROVENANCE, read_table
from gotowce_dagster.training.crops import target_sides
from gotowce_dagster.training.hud import hud_panels, usual_of
from gotowce_dagster.training.look_alikes import in_crowds
from gotowce_dagster.training.model import Predict
from gotowce_dagster.training.proposals import searched_frames, surely_seen


@dataclass(frozen=True, eq=False)
class Search:
    """What the search for proposals knows of each video before it looks at a frame."""

    params: RoundsParams
    profiles: Mapping[str, str]
    """By video."""
    hud: Mapping[str, np.ndarray]
    """Panels of the HUD by profile, bool (H, W)."""
    usual: Mapping[str, np.ndarray | None]
    """The median picture of each video."""
    smallest_px: Mapping[str, float]
    """Long side of the smallest labelled targets by profile."""
    crowds: Set[str]
    """Profiles of games whose targets have many look-alikes."""

    @classmethod
    def of(cls, project: Project) -> "Search":
        """Read the training frames of a project's dataset."""
        dataset, params = project.paths.dataset, project.params.finetuned_model.rounds
        provenance = read_table(dataset / "provenance.parquet", PROVENANCE)
        frames = searched_frames(provenance, params.frames, params.hold)
        return cls(
            params,
            {video: project.video(video).profile for video in project.videos},
            hud_panels(dataset, provenance),
            {str(video): usual_of(dataset, some) for video, some in frames.groupby("video")},
            {profile: small for profile, (small, _) in target_sides(dataset, provenance).items()},
            in_crowds(dataset, provenance),
        )

    def surely_seen(self, video: str, image: np.ndarray, predict: Predict) -> sv.Detections:
        """The boxes that would be adopted whatever is found in the frames around this one."""
        profile = self.profiles[video]
        return surely_seen(
            image,
            predict,
            self.params,
            hud=self.hud.get(profile),
            usual=self.usual.get(video),
            smallest_px=self.smallest_px.get(profile, 0.0),
            rare=profile not in self.crowds,
        )
