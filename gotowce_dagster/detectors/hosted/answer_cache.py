"""Answers of servers, kept on disk so that none is paid for twice."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from gotowce_dagster.core.errors import InputError


def default_folder() -> Path:
    """Below the user's cache folder, so that answers outlive projects, clones and `dvc gc`."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gotowce" / "answers"


def image_hash(image: np.ndarray) -> str:
    """Digest of an image's pixels and shape."""
    digest = hashlib.blake2b(repr((image.shape, str(image.dtype))).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def question_key(**told: Any) -> str:
    """Digest of everything an answer depends on."""
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=20).hexdigest()


class AnswerCache:
    """A folder of JSON files, one an answer, each written whole or not at all."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer kept under a key, or None.

        Raises:
            InputError: its file is damaged.
        """
        path = self._path(key)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            raise InputError(f"{path}: damaged; remove it, and the question will be asked again") from None

    def put(self, key: str, answer: dict[str, Any]) -> None:
        """Keep an answer. Several runs may keep the same one at once: the last stays."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(answer)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, suffix=".new", encoding="utf-8", delete=False
        ) as new:
            new.write(text)
        Path(new.name).replace(path)
