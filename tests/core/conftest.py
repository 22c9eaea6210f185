from collections.abc import Iterator

import pytest

from tests.core.files_server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()
