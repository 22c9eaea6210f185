"""Model weights: from the user's folder or their official URL, and never another model.

Search order: $GOTOWCE_WEIGHTS_DIR, then weights/ in the user's cache folder, which also stores downloads; for
weights of a hub also the hub's own cache ($HF_HOME). A known digest is checked wherever the file comes from.
trust.py decides which files a model may be built from.
"""

import os
import shlex
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gotowce_dagster.core import fetch
from gotowce_dagster.core.errors import MissingWeightsError
from gotowce_dagster.core.progress import Progress, silent


@dataclass(frozen=True)
class Weights:
    """Published weights: a file behind a URL, or a folder of files in a repository of a hub."""

    name: str
    url: str | None
    """None: no download; the file must be in the user's folder."""
    licence: str
    sha256: str | None = None
    """SHA-256 of the file. None: not published; only length and format are checked."""
    repo: str | None = None
    """OWNER/NAME of the hub's repository, if the weights are a folder."""
    revision: str = "main"
    """Commit of the repository."""
    files: Mapping[str, str | None] = field(default_factory=dict)
    """The files of the folder with their SHA-256; None if not published."""

    @property
    def is_verified(self) -> bool:
        """Whether the digests of all tensor files are known."""
        tensors = [d for name, d in self.files.items() if name.endswith((".safetensors", ".bin"))]
        return None not in tensors if self.files else self.sha256 is not None


_ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
_META = "https://dl.fbaipublicfiles.com/segment_anything_2/092824"
_HUB = "https://huggingface.co"
_FAST = ("preprocessor_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
_BPE = (
    "merges.txt",
    "preprocessor_config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "vocab.json",
)


def _hub(name: str, revision: str, licence: str, tensors: str, *files: str, repo: str = "") -> Weights:
    """Define weights that are a folder on the hub.

    Args:
        name: OWNER/NAME, or another name for ``repo``.
        tensors: SHA-256 of model.safetensors.
        files: The other files that transformers reads.
    """
    digests = {"config.json": None, "model.safetensors": tensors} | dict.fromkeys(files)
    return Weights(
        name, f"{_HUB}/{repo or name}", licence, repo=repo or name, revision=revision, files=digests
    )


# Digests and commits as published or as recorded by several independent users of the same files.
WEIGHTS = {
    w.name: w
    for w in (
        Weights(
            "yolo26n.pt",
            f"{_ULTRALYTICS}/yolo26n.pt",
            "AGPL-3.0",
            "9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef",
        ),
        Weights(
            "yolov8n.pt",
            f"{_ULTRALYTICS}/yolov8n.pt",
            "AGPL-3.0",
            "f59b3d833e2ff32e194b5bb8e08d211dc7c5bdf144b90d2c8412c47ccfc83b36",
        ),
        Weights("yolov8s-worldv2.pt", f"{_ULTRALYTICS}/yolov8s-worldv2.pt", "AGPL-3.0"),
        Weights("yolov8m-worldv2.pt", f"{_ULTRALYTICS}/yolov8m-worldv2.pt", "AGPL-3.0"),
        Weights("yolov8l-worldv2.pt", f"{_ULTRALYTICS}/yolov8l-worldv2.pt", "AGPL-3.0"),
        Weights(
            "mobile_sam.pt",
            f"{_ULTRALYTICS}/mobile_sam.pt",
            "Apache-2.0",
            "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
        ),
        Weights(
            "sam2.1_hiera_tiny.pt",
            f"{_META}/sam2.1_hiera_tiny.pt",
            "Apache-2.0",
            "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
        ),
        Weights(
            "sam2.1_hiera_small.pt",
            f"{_META}/sam2.1_hiera_small.pt",
            "Apache-2.0",
            "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
        ),
        Weights(
            "sam2.1_hiera_base_plus.pt",
            f"{_META}/sam2.1_hiera_base_plus.pt",
            "Apache-2.0",
            "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
        ),
        Weights(
            "sam2.1_hiera_large.pt",
            f"{_META}/sam2.1_hiera_large.pt",
            "Apache-2.0",
            "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
        ),
        _hub(
            "EdgeTAM-hf",
            "c266ce53b3fc00f0f495b583f6a116c4e57f53bb",
            "Apache-2.0",
            "8858f8e4757b0b96dab8763f296ecffd845efbbbf698f64163cfa20a63d5fff4",
            repo="yonigozlan/EdgeTAM-hf",
        ),
        Weights(
            "openai/clip-vit-base-patch32",
            f"{_HUB}/openai/clip-vit-base-patch32",
            "MIT",
            repo="openai/clip-vit-base-patch32",
            revision="3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
            files={
                "config.json": None,
                "pytorch_model.bin": "a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f",
            }
            | dict.fromkeys(_BPE),
        ),
        _hub(
            "IDEA-Research/grounding-dino-tiny",
            "a2bb814dd30d776dcf7e30523b00659f4f141c71",
            "Apache-2.0",
            "1a2412ef99bd74bcd3c2a246fa1e48581f8889a1300c9051974741314fc042f3",
            *_FAST,
            "vocab.txt",
        ),
        _hub(
            "IDEA-Research/grounding-dino-base",
            "12bdfa3120f3e7ec7b434d90674b3396eccf88eb",
            "Apache-2.0",
            "5548f844c928c4b6f411fa8cbcc2bfa8dbbba437cb1d513975519f93c2a9ed21",
            *_FAST,
            "vocab.txt",
        ),
        _hub(
            "google/owlv2-base-patch16-ensemble",
            "cfd3195ba4ea9592eec887ded089f4c08eff231d",
            "Apache-2.0",
            "e1e130b9e404cf91a75ad45644c1da9d7fa5284085eecc864266a6923efb99e7",
            *_BPE,
        ),
        _hub(
            "microsoft/kosmos-2-patch14-224",
            "e91cfbcb4ce051b6a55bfb5f96165a3bbf5eb82c",
            "MIT",
            "051bf4b62a25429f4d542d11ec0c07a4ac1aac91003d3bf301133c6913008cbf",
            *_FAST,
            "generation_config.json",
        ),
        _hub(
            "ustc-community/dfine-nano-coco",
            "066438d3d8f0da137a37b38fdf3368fd4afceced",
            "Apache-2.0",
            "19e06bdc873da819920a8d373b879721a5b9759d822f8213220bb09abbdab58b",
            "preprocessor_config.json",
        ),
        # The image part of SAM 2 tiny: encoder, prompt encoder and mask decoder, enough for images.
        Weights("sam2_hiera_tiny_image.pt", None, "Apache-2.0"),
    )
}

BY_HAND: Mapping[str, str] = {
    "Roboflow/rf-detr-nano": "hf download Roboflow/rf-detr-nano",
    "florence-community/Florence-2-base": "hf download florence-community/Florence-2-base",
    "facebook/sam3": (
        "hf auth login && hf download facebook/sam3 --revision 3c879f39826c281e95690f02c7821c4de09afae7"
    ),
}
"""Folders that people download themselves, with the command: their digests are not known here, and SAM 3 is
gated."""


def folders() -> list[Path]:
    """The folders to search, in order."""
    given = os.environ.get("GOTOWCE_WEIGHTS_DIR")
    return [*([Path(given).expanduser()] if given else []), _cache()]


def command_by_hand(name: str) -> str:
    """The command that downloads weights of BY_HAND into the first folder that is searched."""
    return f"{BY_HAND[name]} --local-dir {shlex.quote(str(folders()[0] / name))}"


def find(name: str) -> Path | None:
    """Find the weights' file on this machine, or their folder with all its files; None if there is none.

    A file that differs from the published one counts as absent (see ``faults``). Weights not in WEIGHTS may
    be any file or folder in these folders, or a path relative to the project.
    """
    return next((path for path in _candidates(name) if _fault(name, path) is None), None)


def faults(name: str) -> list[str]:
    """List the faults of the weights' local files, each as PATH: REASON, including files set aside."""
    found = [f"{path}: {problem}" for path in _candidates(name) if (problem := _fault(name, path))]
    aside = fetch.aside(_cache() / name)
    return [*found, *([f"{aside}: set aside, not the published file"] if aside.exists() else [])]


def reachable(name: str, timeout_s: float = 5.0) -> bool:
    """Whether the official URL responds."""
    weights = WEIGHTS.get(name)
    if weights is None or weights.url is None:
        return False
    if weights.repo is not None:
        return fetch.hub_has_file(weights.repo, weights.revision, next(iter(weights.files)), timeout_s)
    request = urllib.request.Request(weights.url, method="HEAD")  # noqa: S310 - our own https addresses
    try:
        with urllib.request.urlopen(request, timeout=timeout_s):  # noqa: S310
            return True
    except OSError:
        return False


def obstacle(name: str, responds: Callable[[str], bool] | None = None) -> str | None:
    """Explain why the weights are not available, and what to do; None if they are.

    Args:
        responds: Whether the official URL of weights responds; default: ask it.
    """
    if find(name) or (not _has_fault_in_user_folder(name) and (responds or reachable)(name)):
        return None
    searched = " nor in ".join(map(str, folders()))
    if problems := faults(name):
        return f"{name} is not usable: {'; '.join(problems)}; remove the file and download it again"
    return f"{name} is neither in {searched} nor reachable"


def require(name: str, progress: Progress = silent) -> Path:
    """Get the weights' file or folder, downloaded from the official URL if missing.

    A damaged file in our own cache is set aside as NAME.bad and downloaded again. One in the user's folder
    stays, and the error asks the user to remove it.

    Args:
        progress: Called with bytes done and in total while downloading.

    Raises:
        MissingWeightsError: The weights are missing and not downloadable, or not the published ones.
    """
    for path in _candidates(name):
        problem = _fault(name, path)
        if problem is None:
            return path
        if _is_in_user_folder(path):
            raise MissingWeightsError(
                f"{path}: not the published {name} ({problem}); remove or rename it, then it is downloaded"
            )
        _set_aside(name, path)
    searched = " and ".join(str(folder) for folder in folders())
    weights = WEIGHTS.get(name)
    if weights is None or weights.url is None:
        raise MissingWeightsError(f"{name}: not in {searched}; put the file there or set GOTOWCE_WEIGHTS_DIR")
    try:
        if weights.repo is not None:
            return fetch.hub_folder(weights.repo, weights.revision, weights.files, progress)
        return fetch.file(weights.url, _cache() / name, weights.sha256, progress)
    except OSError as error:
        raise MissingWeightsError(
            f"{name}: not in {searched}, and {weights.url} does not provide it ({error}); download it "
            f"elsewhere, put it in a folder and set GOTOWCE_WEIGHTS_DIR to that folder"
        ) from None


def is_published(path: Path, digest: str) -> bool:
    """Whether a file's digest is a published one, or the one recorded when we downloaded it."""
    published = {d for w in WEIGHTS.values() for d in (w.sha256, *w.files.values()) if d}
    return digest in published or digest == fetch.noted_digest(path, _cache())


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gotowce" / "weights"


def _candidates(name: str) -> Iterator[Path]:
    """Local paths of the weights, valid or not, in order of precedence."""
    weights = WEIGHTS.get(name)
    if weights is None:
        project = Path(os.environ.get("GOTOWCE_ROOT", "."))
        yield from (folder / name for folder in (*folders(), project) if (folder / name).exists())
        return
    inside = list(weights.files) or [""]
    yield from (f / name for f in folders() if all((f / name / file).is_file() for file in inside))
    if weights.repo is not None and (cached := fetch.in_hub_cache(weights.repo, weights.revision, inside)):
        yield cached


def _fault(name: str, path: Path) -> str | None:
    weights = WEIGHTS.get(name)
    if weights is None:
        return None
    if not weights.files:
        return fetch.fault(path, weights.sha256 or fetch.noted_digest(path, _cache()))
    for file, expected in weights.files.items():
        if problem := fetch.fault(path / file, expected):
            return f"{file}: {problem}"
    return None


def _is_in_user_folder(path: Path) -> bool:
    given = os.environ.get("GOTOWCE_WEIGHTS_DIR")
    return bool(given) and path.is_relative_to(Path(given or "").expanduser())


def _has_fault_in_user_folder(name: str) -> bool:
    return any(_is_in_user_folder(path) and _fault(name, path) for path in _candidates(name))


def _set_aside(name: str, path: Path) -> None:
    files = WEIGHTS[name].files
    if not files:
        fetch.set_aside(path)
    for file, expected in files.items():
        if fetch.fault(path / file, expected):
            fetch.set_aside(path / file)
