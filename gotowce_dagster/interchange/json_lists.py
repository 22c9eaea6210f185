"""JSON files with long lists, written item by item in constant memory."""

import json
import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

Add = dict[str, "_Items"]


class _Items:
    """A list whose items are stored in a temporary file."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._count = 0

    def append(self, item: Any) -> None:
        """Append a JSON-serializable item."""
        self._file.write(("" if self._count == 0 else ",\n") + json.dumps(item, ensure_ascii=False))
        self._count += 1

    def copy_to(self, target: IO[str]) -> None:
        """Write the list, in brackets."""
        self._file.seek(0)
        target.write("[\n")
        shutil.copyfileobj(self._file, target)
        target.write("\n]")


@contextmanager
def json_lists(path: Path, head: Mapping[str, Any], names: Sequence[str]) -> Generator[Add]:
    """Yield lists to append to; on exit, write ``head`` and the named lists as one JSON object."""
    with ExitStack() as stack:
        files = {name: stack.enter_context(TemporaryFile("w+", encoding="utf-8")) for name in names}
        lists = {name: _Items(file) for name, file in files.items()}
        yield lists
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as out:
            out.write("{")
            for key, value in head.items():
                out.write(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)},\n")
            for place, (name, items) in enumerate(lists.items()):
                out.write(("" if place == 0 else ",\n") + f"{json.dumps(name)}: ")
                items.copy_to(out)
            out.write("}\n")


@contextmanager
def json_list(path: Path) -> Generator[_Items]:
    """Yield a list to append to; on exit, write it as the whole file."""
    with TemporaryFile("w+", encoding="utf-8") as file:
        items = _Items(file)
        yield items
        with path.open("w", encoding="utf-8") as out:
            items.copy_to(out)
            out.write("\n")
