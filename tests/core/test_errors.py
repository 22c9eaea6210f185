"""Errors of the system in one sentence, however libraries wrap them."""

import errno
import sqlite3

import pytest

from gotowce_dagster.core.errors import GotowceError, InputError, one_sentence, system_sentence


def wrapped(cause: BaseException) -> Exception:
    try:
        try:
            raise cause
        except BaseException as error:
            raise ValueError("something of a library's own") from error
    except ValueError as error:
        return error


class Cv2Error(Exception):
    __module__ = "cv2"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "x", "/a"), "/a: no space left on the disk"),
        (OSError(errno.ENOSPC, "x", "/from", None, "/to"), "/to: no space left on the disk"),
        (OSError(errno.ENOSPC, "x"), "no space left on the disk; free some"),
        (PermissionError(errno.EACCES, "x", "/a"), "/a: no permission"),
        (PermissionError(errno.EPERM, "x", b"/a\xff"), "/a\udcff: not permitted"),
        (OSError(errno.EROFS, "x", "/a"), "/a: lies on a read-only file system"),
        (OSError(errno.ENAMETOOLONG, "x", "/" + "a" * 300), "its name is too long"),
        (IsADirectoryError(errno.EISDIR, "x", "/a"), "/a: a folder, expected a file"),
        (NotADirectoryError(errno.ENOTDIR, "x", "/a/b"), "/a/b: a part of this path is a file"),
        (FileNotFoundError(errno.ENOENT, "x", "/a"), "/a: does not exist"),
        (OSError(errno.ELOOP, "x", "/a"), "/a: circular links"),
        (OSError(errno.EMFILE, "x", "/a"), "too many files are open"),
        (OSError(errno.EDQUOT, "x", "/a"), "quota"),
        (OSError(errno.EIO, "x", "/a"), "the disk reports a fault"),
        (OSError(errno.EBADF, "x", 7), None),
        (OSError("[Errno 28] Error writing bytes to file. Detail: No space left on device"), "no space left"),
        (OSError(errno.ENOMEM, "x"), "not enough memory"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "not enough memory"),
        (RuntimeError("PytorchStreamWriter failed writing file data/12"), "a model could not be written"),
        (Cv2Error("error: (-4:Insufficient memory) Failed to allocate"), "not enough memory"),
        (sqlite3.OperationalError("database or disk is full"), "no space left"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "read-only"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (UnicodeDecodeError("utf-8", b"caf\xe9", 3, 4, "x"), "not UTF-8 (byte 0xe9)"),
        (wrapped(OSError(errno.ENOSPC, "x", "/a")), "/a: no space left"),
        (wrapped(MemoryError()), "not enough memory"),
        (ValueError("a mistake of ours"), None),
        (RuntimeError("a mistake of ours"), None),
        (KeyError("a"), None),
        (wrapped(KeyError("a")), None),
    ],
    ids=lambda value: ascii(str(value))[:40],
)
def test_one_sentence_for_each_kind(error: BaseException, words: str | None) -> None:
    sentence = system_sentence(error)
    if words is None:
        assert sentence is None
    else:
        assert sentence is not None
        assert words in sentence
        assert "\n" not in sentence


def test_causes_in_a_circle_end() -> None:
    one, other = ValueError(), ValueError()
    one.__cause__, other.__cause__ = other, one
    assert system_sentence(one) is None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InputError("a.mp4: an empty file"), "an empty file"),
        (GotowceError("DVC is busy"), "DVC is busy"),
        (OSError(errno.EISDIR, "x", "a.mp4"), "a folder, expected a file"),
        (OSError("what nobody foresaw"), "what nobody foresaw"),
    ],
)
def test_the_name_is_not_repeated(error: BaseException, words: str) -> None:
    assert one_sentence(error, "a.mp4") == words
