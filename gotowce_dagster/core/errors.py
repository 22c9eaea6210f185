"""Errors for users. Each message names the file or field, what was expected, and what to do."""

import errno
import os
import sqlite3
from collections.abc import Iterator


class GotowceError(Exception):
    """An error described in one sentence. The command line ends with exit code 1."""


class InputError(GotowceError):
    """Invalid input: a file, a table, a parameter. The command line ends with exit code 2."""


class PartlyDoneError(InputError):
    """Some of the input is invalid; everything that does not depend on it was done."""


class MissingExtraError(InputError):
    """An optional dependency is not installed; the message says how to install it."""


class MissingWeightsError(GotowceError):
    """Weights are neither on this machine nor downloadable; the message says how to get them."""


class BusyError(GotowceError):
    """Another process uses a needed file; the same call works once that process is done."""


_ADVICE = {
    errno.EACCES: "no permission; check who owns it and its access rights",
    errno.EPERM: "not permitted; check who owns it and its access rights",
    errno.ENOSPC: "no space left on the disk; free some, then run this again",
    errno.EDQUOT: "your disk quota is used up; free some space, then run this again",
    errno.EROFS: "lies on a read-only file system; use a folder that can be written to",
    errno.ENAMETOOLONG: "its name is too long for the file system; use a shorter one",
    errno.EISDIR: "a folder, expected a file",
    errno.ENOTDIR: "a part of this path is a file, expected a folder",
    errno.ENOENT: "does not exist",
    errno.EEXIST: "exists already, perhaps created by another process just now; run this again",
    errno.ELOOP: "circular links; replace them with the file itself",
    errno.EIO: "cannot be read or written, the disk reports a fault; copy it from elsewhere",
    errno.EMFILE: "too many files are open; raise the limit with `ulimit -n 4096`",
    errno.ENFILE: "too many files are open on this machine; close other programs",
    errno.EFBIG: "too large for its file system",
    errno.ENOTEMPTY: "another process is writing to this folder; run this again",
    errno.ETXTBSY: "in use by another program; close it, then run this again",
    errno.EBUSY: "in use by another program; close it, then run this again",
    errno.ESTALE: "stale file handle on a network file system; mount it again",
}
_ON_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_MEMORY = "not enough memory; close other programs, use smaller models or smaller batches"
_TEXTS = {
    "no space left on device": _ADVICE[errno.ENOSPC],
    "disk is full": _ADVICE[errno.ENOSPC],
    "disk quota exceeded": _ADVICE[errno.EDQUOT],
    "readonly database": _ADVICE[errno.EROFS],
    "unable to open database file": "a database there cannot be opened; check access rights and free space",
    "pytorchstreamwriter failed writing": "a model could not be written; check the free space of the disk",
    "out of memory": _MEMORY,
    "can't allocate memory": _MEMORY,
    "insufficient memory": _MEMORY,
}
"""Messages of libraries that hide a system error behind one of their own."""


def system_sentence(error: BaseException) -> str | None:
    """Describe a system error in one sentence: disk, access rights, names, memory, encoding, nesting.

    Libraries wrap such errors, so the causes of ``error`` count too.

    Returns:
        The sentence, with the name of the file if known; None if this is not a system error.
    """
    return next((sentence for one in _chain(error) if (sentence := _sentence(one))), None)


def one_sentence(error: BaseException, about: object) -> str:
    """Describe an error in one sentence, without the leading name of ``about``."""
    message = str(error) if isinstance(error, GotowceError) else system_sentence(error) or str(error)
    return message.removeprefix(f"{about}: ")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _sentence(error: BaseException) -> str | None:
    match error:
        case MemoryError() | OSError(errno=errno.ENOMEM):
            return _MEMORY
        case RecursionError():
            return "the input is nested too deeply to be read; make it flatter"
        case UnicodeDecodeError():
            return f"a text file is not UTF-8 (byte 0x{error.object[error.start]:02x}); save it as UTF-8"
        case OSError(errno=number) if number in _ADVICE:
            return f"{_where(error)}{_ADVICE[number]}"
    if isinstance(error, OSError | RuntimeError | sqlite3.Error) or type(error).__module__ == "cv2":
        text = str(error).lower()
        return next((advice for sign, advice in _TEXTS.items() if sign in text), None)
    return None


def _where(error: OSError) -> str:
    """The files that the error names, as a prefix of its sentence; empty if it names none.

    If no space is left, only the target file, which comes second.
    """
    names = [
        os.fsdecode(name) for name in (error.filename, error.filename2) if not isinstance(name, int | None)
    ]
    if error.errno in _ON_WRITING:
        names = names[-1:]
    return f"{' and '.join(names)}: " if names else ""
