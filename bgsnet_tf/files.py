"""Files that are whole or not there: temporary names, checksums, and a folder that one process works in."""

import contextlib
import errno
import fcntl
import json
import os
import pathlib
import shutil
import socket
import zlib

from bgsnet_tf.errors import UserError

CHUNK = 1 << 24  # bytes
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_json(path, value, **options):
    """Writes `value`, under a temporary name first."""
    with open(f"{path}.part", "w") as file:
        json.dump(value, file, **options)
    os.replace(f"{path}.part", path)


def read_json(path):
    """The content of a file, None where it is missing or damaged."""
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
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


def remove_unfinished(directory):
    """Removes what processes that were killed while they wrote below `directory` have left: all with .part in its name."""
    for path in pathlib.Path(directory).rglob("*.part*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def naming_full_disk(directory):
    """Turns a failure to write below `directory` for want of space into a `UserError`."""
    try:
        yield
    except Exception as error:
        # TensorFlow reports the system's error as text alone.
        if getattr(error, "errno", None) not in FULL_DISK and not any(os.strerror(number) in str(error) for number in FULL_DISK):
            raise
        free = shutil.disk_usage(directory).free
        raise UserError(
            f"{directory} cannot be written: the disk is full, or a quota or file-size limit is reached ({free / 1e6:.0f} MB free); "
            "make room, and the same command continues from what was written before"
        ) from error


@contextlib.contextmanager
def locked(directory):
    """Holds a folder for this process; the system frees it when the process ends, however it ends.

    Raises:
      UserError: where another process holds it.
    """
    with open(os.path.join(directory, ".lock"), "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read() or "another process"
            raise UserError(f"--run_dir={directory} is in use by {holder}; wait for it or stop it") from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
