"""Where model weights come from: a folder of yours first, then their official home, never another model.

Looked in, in this order: $GOTOWCE_WEIGHTS_DIR, then weights/ in the user's cache folder, where what is
fetched is kept.
"""

import hashlib
import os
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gotowce_dagster.errors import MissingWeightsError
from gotowce_dagster.files import fresh_dir, fresh_file
from gotowce_dagster.progress import Progress, silent

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Weights:
    """Weights: their official address (None: they have none and must be in your folder) and digest."""

    name: str
    url: str | None
    licence: str
    sha256: str | None = None
    files: tuple[str, ...] = ()
    """Where the weights are a folder: the files in it, each under the address."""


_ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
_HUB = "https://huggingface.co"
_FAST = ("preprocessor_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
_BPE = (
    "merges.txt",
    "preprocessor_config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "vocab.json",
)


def _hub(name: str, licence: str, *files: str) -> Weights:
    """A folder of the hub: OWNER/NAME, and the files that transformers reads in it."""
    return Weights(name, f"{_HUB}/{name}/resolve/main", licence, files=("config.json", *files))


_META = "https://dl.fbaipublicfiles.com/segment_anything_2"

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
        Weights("sam2.1_hiera_tiny.pt", f"{_META}/092824/sam2.1_hiera_tiny.pt", "Apache-2.0"),
        Weights("sam2.1_hiera_small.pt", f"{_META}/092824/sam2.1_hiera_small.pt", "Apache-2.0"),
        Weights("sam2.1_hiera_base_plus.pt", f"{_META}/092824/sam2.1_hiera_base_plus.pt", "Apache-2.0"),
        Weights("sam2.1_hiera_large.pt", f"{_META}/092824/sam2.1_hiera_large.pt", "Apache-2.0"),
        Weights(
            "EdgeTAM-hf",
            "https://huggingface.co/yonigozlan/EdgeTAM-hf/resolve/main",
            "Apache-2.0",
            files=("config.json", "model.safetensors"),
        ),
        _hub("openai/clip-vit-base-patch32", "MIT", "pytorch_model.bin", *_BPE),
        _hub("IDEA-Research/grounding-dino-tiny", "Apache-2.0", "model.safetensors", *_FAST, "vocab.txt"),
        _hub("IDEA-Research/grounding-dino-base", "Apache-2.0", "model.safetensors", *_FAST, "vocab.txt"),
        _hub("google/owlv2-base-patch16-ensemble", "Apache-2.0", "model.safetensors", *_BPE),
        _hub("microsoft/kosmos-2-patch14-224", "MIT", "model.safetensors", *_FAST, "generation_config.json"),
        # The image half of SAM 2 tiny: encoder, prompt encoder and mask decoder, enough for image prompts.
        Weights("sam2_hiera_tiny_image.pt", None, "Apache-2.0"),
    )
}


def folders() -> list[Path]:
    """The folders looked in, first to last."""
    told = os.environ.get("GOTOWCE_WEIGHTS_DIR")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gotowce" / "weights"
    return [*([Path(told).expanduser()] if told else []), cache]


def find(name: str) -> Path | None:
    """The weights' file on this machine, or their folder with all its files; or None.

    What is not in the table may be any file or folder there, or a path from the project's folder.
    """
    if name in WEIGHTS:
        files = WEIGHTS[name].files or ("",)
        whole = (f for f in folders() if all((f / name / file).is_file() for file in files))
    else:
        project = Path(os.environ.get("GOTOWCE_ROOT", "."))
        whole = (f for f in (*folders(), project) if (f / name).exists())
    return next((folder / name for folder in whole), None)


def reachable(name: str, timeout_s: float = 5.0) -> bool:
    """Whether the official address answers."""
    weights = WEIGHTS.get(name)
    if weights is None or weights.url is None:
        return False
    url = f"{weights.url}/{weights.files[0]}" if weights.files else weights.url
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - our own https addresses
    try:
        with urllib.request.urlopen(request, timeout=timeout_s):  # noqa: S310
            return True
    except OSError:
        return False


def require(name: str, progress: Progress = silent) -> Path:
    """The weights' file or folder, fetched from their official home if they are not here yet.

    Args:
        progress: told bytes done and in all, while fetching.

    Raises:
        MissingWeightsError: not here and not reachable, or damaged on the way.
    """
    if found := find(name):
        return found
    looked = " and ".join(str(folder) for folder in folders())
    weights = WEIGHTS.get(name)
    if weights is None or weights.url is None:
        raise MissingWeightsError(f"{name}: not in {looked}; put the file there or set GOTOWCE_WEIGHTS_DIR")
    target = folders()[-1] / name
    try:
        if weights.files:
            with fresh_dir(target) as new:
                for file in weights.files:
                    _download(f"{weights.url}/{file}", None, new / file, progress)
        else:
            _download(weights.url, weights.sha256, target, progress)
    except OSError as error:
        raise MissingWeightsError(
            f"{name}: not in {looked}, and {weights.url} does not answer ({error}); fetch it elsewhere, "
            f"put it into a folder and set GOTOWCE_WEIGHTS_DIR to that folder"
        ) from None
    return target


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(url: str, sha256: str | None, target: Path, progress: Progress) -> None:
    with (
        urllib.request.urlopen(url, timeout=60) as answer,  # noqa: S310 - our own https addresses
        fresh_file(target) as new,
    ):
        total = int(answer.headers.get("Content-Length") or 0)
        with new.open("wb") as file:
            _copy(answer.read, file.write, total, progress)
        if sha256 and (got := digest(new)) != sha256:
            raise OSError(f"SHA-256 is {got}, expected {sha256}")


def _copy(
    read: Callable[[int], bytes], write: Callable[[bytes], int], total: int, progress: Progress
) -> None:
    done = 0
    while block := read(_BLOCK):
        write(block)
        done += len(block)
        progress(done, max(total, done))
