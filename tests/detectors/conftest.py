"""Stand-ins of models, and no way out of this machine."""

import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gotowce_dagster.core import trust


def _refuse(*where: object) -> None:
    raise AssertionError(f"asked the network for {where}")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever asks the network fails the test."""
    monkeypatch.setattr(socket.socket, "connect", _refuse)
    monkeypatch.setattr(socket, "getaddrinfo", _refuse)


@pytest.fixture(scope="session")
def vouching(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that trusts every stand-in."""
    root = tmp_path_factory.mktemp("project")
    (root / "data").mkdir()
    (root / "params.yaml").touch()
    return root


@pytest.fixture(autouse=True)
def _in_the_project(vouching: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOTOWCE_ROOT", str(vouching))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, vouching: Path) -> Callable[..., Path]:
    """Build a stand-in once, and trust it; gives its parent folder."""
    folder = tmp_path_factory.mktemp("standins")

    def make(build: Callable[..., Path], name: str, *arguments: object) -> Path:
        if not (folder / name).exists():
            build(folder / name, *arguments)
            trust.add(folder / name, vouching)
        return folder

    return make


@pytest.fixture
def placed(made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, offline: None) -> Callable[..., str]:
    """Build a stand-in once and make its folder the one for weights; gives the name of the weights."""

    def place(build: Callable[..., Path], name: str, *arguments: object) -> str:
        monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(made(build, name, *arguments)))
        return name

    return place


@pytest.fixture
def picture() -> np.ndarray:
    """RGB noise, 160 by 90 pixels."""
    return np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)
