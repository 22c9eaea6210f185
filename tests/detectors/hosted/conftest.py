import pytest

from tests.detectors.hosted.asking import GOOD, KEY, KEYS
from tests.detectors.servers import Turn, serving


@pytest.fixture
def server():
    with serving(Turn(GOOD)) as one:
        yield one


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEYS.values(), "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in (*KEYS.values(), "MY_KEY"):
        monkeypatch.setenv(name, KEY)
