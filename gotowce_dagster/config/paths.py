"""File layout of a project."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The files of a project below its root folder. A video is named by its key, a slug."""

    root: Path

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def videos(self) -> Path:
        """The generated list of videos: key -> file and profile."""
        return self.data / "videos.yaml"

    @property
    def pipelines(self) -> Path:
        """The folders of the videos' pipelines, one a video."""
        return self.root / "videos"

    @property
    def template(self) -> Path:
        """The one pipeline that every video's dvc.yaml is a copy of."""
        return self.pipelines / "template.yaml"

    @property
    def studies_pipeline(self) -> Path:
        """The dvc.yaml of the studies, which run only when asked for."""
        return self.root / "studies" / "dvc.yaml"

    def pipeline(self, video: str) -> Path:
        """A video's own dvc.yaml, dvc.lock and video.yaml; small, so that its cost is that of one video."""
        return self.pipelines / video

    @property
    def engines(self) -> Path:
        """The generated choice of engines for this machine."""
        return self.data / "engines.yaml"

    def code(self, stage: str) -> Path:
        """The generated list of the source files that a stage runs, each with its digest."""
        return self.data / "code" / f"{stage}.txt"

    @property
    def raw(self) -> Path:
        return self.data / "raw"

    @property
    def profiles(self) -> Path:
        return self.data / "profiles"

    def profile(self, name: str) -> Path:
        return self.profiles / f"{name}.toml"

    def points(self, name: str) -> Path:
        """Point prompts of a video, or ``none``: the columns of propagation.points.read_points."""
        return self.data / "points" / f"{name}.csv"

    def truth(self, video: str) -> Path:
        """Hand-checked boxes of a video (optional): the columns of truth.read_truth."""
        return self.data / "truth" / f"{video}.csv"

    def complete_truth(self, video: str) -> Path:
        """Frames of a video in which every object is boxed: the columns of truth.read_complete_truth."""
        return self.data / "truth" / f"{video}.complete.csv"

    def frames(self, video: str) -> Path:
        return self.data / "frames" / video

    def frame_index(self, video: str) -> Path:
        return self.frames(video) / "index.parquet"

    def fly_bys(self, video: str) -> Path:
        return self.frames(video) / "fly_bys.parquet"

    def detections(self, video: str) -> Path:
        return self.data / "detections" / f"{video}.parquet"

    def masks(self, video: str) -> Path:
        return self.data / "masks" / f"{video}.parquet"

    def labels(self, video: str) -> Path:
        return self.data / "labels" / f"{video}.parquet"

    @property
    def reviewed_videos(self) -> Path:
        return self.data / "reviewed"

    def reviewed(self, video: str) -> Path:
        """Reviews of a video's frames, a source like the video."""
        return self.reviewed_videos / f"{video}.json"

    def reviewed_tracks(self, video: str) -> Path:
        """Reviewed tracks of a video, a source too."""
        return self.reviewed_videos / "tracks" / f"{video}.json"

    @property
    def dataset(self) -> Path:
        return self.data / "dataset"

    @property
    def model(self) -> Path:
        return self.data / "model"

    @property
    def evaluation(self) -> Path:
        return self.data / "evaluation"

    def study(self, name: str) -> Path:
        return self.data / "studies" / name

    @property
    def trash(self) -> Path:
        """The data of removed videos, one folder each."""
        return self.data / ".trash"

    def kept_lock(self, folder: str) -> Path:
        """The last complete copy of the dvc.lock in a folder below the root, to repair it from."""
        return self.work("dvc") / folder / "dvc.lock.good"

    def pictures(self, asset: str, video: str | None) -> Path:
        """The folder of an asset's pictures in full size; Dagster's event log contains small ones."""
        return self.work("previews") / asset / (video or "")

    def work(self, stage: str) -> Path:
        """Unfinished work, from which an interrupted run resumes; never an output."""
        return self.data / ".work" / stage
