"""The errors people see. Each message names the file or field, what was expected, and what to do."""

import errno
import os
import sqlite3
from collections.abc import Iterator


class GotowceError(Exception):
    """Something that cannot go on, said in one sentence. The command line ends with exit code 1."""


class InputError(GotowceError):
    """Bad input from outside: a file, a table, a parameter. The command line ends with exit code 2."""


class PartlyDoneError(InputError):
    """Some of the input is bad; what does not depend on it was done."""


class MissingWeightsError(GotowceError):
    """Weights that are neither on this machine nor reachable; the message says how to get them."""


class BusyError(GotowceError):
    """Another process uses what is needed; the same will work when that is done."""


_ADVICE = {
    errno.EACCES: "no permission; check who owns it and its access rights",
    errno.EPERM: "not permitted; check who owns it and its access rights",
    errno.ENOSPC: "no space left on the disk; free some, then run this again",
    errno.EDQUOT: "your disk quota is used up; free some space, then run this again",
    errno.EROFS: "lies on a read-only file system; use a folder that can be written to",
    errno.ENAMETOOLONG: "its name is too long for the file system; use a shorter one",
    errno.EISDIR: "a folder, expected a file",
    errno.ENOTDIR: "a part of this path is a file, expected a folder",
    errno.ENOENT: "not there",
    errno.EEXIST: "exists already, perhaps made by another process at this moment; run this again",
    errno.ELOOP: "links that lead in a circle; replace them by the file itself",
    errno.EIO: "cannot be read or written, the disk reports a fault; copy it from elsewhere",
    errno.EMFILE: "too many files are open; raise the limit with `ulimit -n 4096`",
    errno.ENFILE: "too many files are open on this machine; close other programs",
    errno.EFBIG: "too large for its file system",
    errno.ENOTEMPTY: "a folder that something else writes to at this moment; run this again",
    errno.ETXTBSY: "in use by another program; close it, then run this again",
    errno.EBUSY: "in use by another program; close it, then run this again",
    errno.ESTALE: "its network file system has lost it; mount it again",
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
"""What libraries say when they hide the error of the system behind one of their own."""


def system_sentence(error: BaseException) -> str | None:
    """One sentence for an error of the system: disk, access rights, names, memory, text encoding, nesting.

    Libraries wrap such errors, so the errors behind ``error`` count too.

    Returns:
        The sentence, naming the file where it is known; None if this is no error of the system.
    """
    return next((told for one in _chain(error) if (told := _sentence(one))), None)


def one_sentence(error: BaseException, about: object) -> str:
    """An error in one sentence, without the name of what it is about at its beginning."""
    told = str(error) if isinstance(error, GotowceError) else system_sentence(error) or str(error)
    return told.removeprefix(f"{about}: ")


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
    """The files that the error names, as a beginning of its sentence; nothing if it names none.

    Where no space is left it is the file that was to be written, which comes second.
    """
    names = [
        os.fsdecode(name) for name in (error.filename, error.filename2) if not isinstance(name, int | None)
    ]
    if error.errno in _ON_WRITING:
        names = names[-1:]
    return f"{' and '.join(names)}: " if names else ""
