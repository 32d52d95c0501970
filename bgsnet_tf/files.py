"""Files that are whole or not there: the one way to write them, checksums, and folders that one process works in.

Nothing here removes a file that the project did not make, and it knows its own by their names.
"""

import contextlib
import errno
import fcntl
import fnmatch
import json
import os
import pathlib
import shutil
import socket
import zipfile
import zlib

import numpy as np

from bgsnet_tf.errors import UserError

CHUNK = 1 << 24  # bytes
UNFINISHED = ".bgsnet-unfinished"  # ends the name of all that the project is writing, and of nothing else
HOLDER = "process "  # begins the content of a lock
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)


def unfinished(path, within=None):
    """The name of `path` while it is written, in the folder `within` or, by default, in its own."""
    directory, name = os.path.split(path)
    return os.path.join(within or directory, f"{name}{UNFINISHED}")


@contextlib.contextmanager
def replacing(path):
    """Yields a temporary name; the file or folder that the block makes there takes the place of `path` when it is whole.

    Where the block fails, what it made is removed and what was at `path` stays.
    """
    with _temporary(path) as part:
        yield part
        if os.path.isdir(part):
            _remove(path)  # the system replaces no folder that holds files
        os.replace(part, path)


@contextlib.contextmanager
def laying_over(directory, own, within=None):
    """Yields the name of a folder to make; its files move into `directory` when they are whole, in place of those of an earlier call.

    Args:
      directory: where to; it is made if need be, and files of others in it stay.
      own: patterns of the names of files that the project puts there.
      within: folder of the temporary name, on the same disk; that of `directory` by default.
    """
    with _temporary(directory, within) as part:
        yield part
        source, directory = pathlib.Path(part), pathlib.Path(directory)
        for path in list(directory.rglob("*")):
            if path.is_file() and any(fnmatch.fnmatch(path.name, pattern) for pattern in own):
                path.unlink()
        for path in (path for path in source.rglob("*") if path.is_file()):
            target = directory / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
        for path in sorted(directory.rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
                path.rmdir()


def write(path, contents):
    """Writes text, as UTF-8 with line ends as they are, or bytes; the file appears whole or not at all."""
    with replacing(path) as part, open(part, "wb") as file:
        file.write(contents.encode() if isinstance(contents, str) else contents)


def write_json(path, value, **options):
    """Writes `value` with the options of `json.dumps`, whole or not at all."""
    write(path, json.dumps(value, **options))


def read_json(path):
    """The content of a file, None where it is missing or damaged."""
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError, RecursionError):
        return None


def write_arrays(path, arrays):
    """Writes a .npz file of name to array, whole or not at all."""
    directory = os.path.dirname(path)
    make_folder(directory)
    with naming_unwritable(directory), replacing(path) as part, open(part, "wb") as file:
        np.savez(file, **arrays)


def read_arrays(path):
    """Name to array of a .npz file, None where it is missing or damaged."""
    try:
        with np.load(path) as stored:  # which compares checksums
            return dict(stored)
    except (OSError, ValueError, zipfile.BadZipFile):
        return None


def checksum(path):
    """CRC-32 of a file, None where there is none."""
    if not os.path.exists(path):
        return None
    value = 0
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            value = zlib.crc32(chunk, value)
    return value


def remove_unfinished(directory, places):
    """Removes what processes that were killed while they wrote have left.

    Args:
      directory: of a run.
      places: patterns of the folders in it that the project writes to; "" for itself.
    """
    root = pathlib.Path(directory).resolve()
    for path in [path for place in places for path in root.glob(os.path.join(place, f"*{UNFINISHED}"))]:
        if path.parent.resolve() != path.parent:
            continue  # a stage or cache of another run, linked
        _remove(path)


def make_folder(directory):
    """Makes a folder, and those above it, where it is not there; a `UserError` where that is not possible."""
    with naming_unwritable(directory):
        os.makedirs(directory, exist_ok=True)


@contextlib.contextmanager
def naming_unwritable(directory):
    """Turns a failure to write below `directory`, for want of space or permission, into a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if _words(error, FULL_DISK):
            free = shutil.disk_usage(os.path.dirname(os.path.abspath(directory))).free
            raise UserError(
                f"{directory} cannot be written: the disk is full, or a quota or file-size limit is reached ({free / 1e6:.0f} MB free); "
                "make room, and the same command continues from what was written before"
            ) from error
        if words := _words(error, NOT_ALLOWED):
            raise UserError(f"{directory} cannot be written: {words}; mend that, or give another folder") from error
        raise


def _words(error, numbers):
    """Which of these errors of the system it is, None for another; TensorFlow reports them as text, among much of its own."""
    if getattr(error, "errno", None) in numbers:
        return str(error)
    return next((os.strerror(number) for number in numbers if os.strerror(number) in str(error)), None)


@contextlib.contextmanager
def locked(directory):
    """Holds a folder for this process; the system frees it when the process ends, however it ends.

    Raises:
      UserError: where another process holds it, or its `.lock` is a link or somebody else's file.
    """
    path = os.path.join(directory, ".lock")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if os.path.islink(path):
            raise UserError(f"{path} is a link, which is not followed: remove it") from error
        raise UserError(f"{directory} cannot be written: {error.strerror}") from error
    with open(handle, "r+", errors="replace") as file:
        if not held(file):
            raise UserError(f"{directory} is in use by {file.read() or 'another process'}; wait for it or stop it")
        if file.read(len(HOLDER)) not in ("", HOLDER):
            raise UserError(f"{path} is no lock of this project, and is not overwritten: move it, or give another folder")
        file.seek(0)
        file.truncate()
        file.write(f"{HOLDER}{os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def held(file):
    """Takes an open file for this process until it is closed. Returns whether that was possible: no other process holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def turn_in(directory):
    """Waits until no other process is in this block with the same folder. Yields whether the file system has such locks."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        alone = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            alone = False
        yield alone
    finally:
        os.close(handle)


@contextlib.contextmanager
def _temporary(path, within=None):
    part = unfinished(path, within)
    _remove(part)
    try:
        yield part
    finally:
        _remove(part)


def _remove(path):
    """Removes a file, a link or a whole folder, where there is one."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
