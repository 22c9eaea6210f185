"""A cache of server answers on disk, so that none is paid for twice."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from gotowce_dagster.core.errors import InputError


def default_folder() -> Path:
    """A folder in the user's cache folder, so that answers survive projects, clones and `dvc gc`."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gotowce" / "answers"


def image_hash(image: np.ndarray) -> str:
    """Digest of an image's pixels and shape."""
    digest = hashlib.blake2b(repr((image.shape, str(image.dtype))).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def question_key(**inputs: Any) -> str:
    """Digest of everything that an answer depends on."""
    return hashlib.blake2b(json.dumps(inputs, sort_keys=True).encode(), digest_size=20).hexdigest()


class AnswerCache:
    """A folder of JSON files, one per answer, written atomically."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def get(self, key: str) -> dict[str, Any] | None:
        """The cached answer of a key, or None.

        Raises:
            InputError: the file is damaged.
        """
        path = self._path(key)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            raise InputError(f"{path}: damaged; remove it to ask the question again") from None

    def put(self, key: str, answer: dict[str, Any]) -> None:
        """Store an answer. Of several processes that store the same key, the last one wins."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(answer)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, suffix=".new", encoding="utf-8", delete=False
        ) as new:
            new.write(text)
        Path(new.name).replace(path)
