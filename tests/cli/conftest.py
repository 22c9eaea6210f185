from collections.abc import Callable

import pytest

from tests.cli.running import run


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Run a command that ends with exit code 2; gives its error message as one line."""

    def refuse(*words: str) -> str:
        assert run(monkeypatch, *words) == 2
        error = " ".join(capsys.readouterr().err.split())
        assert "Traceback" not in error
        return error

    return refuse
