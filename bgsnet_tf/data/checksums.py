"""Checksums of image files, cheap enough for every start of a command.

A file is read again only where its size or time of change is not what it was when it was read last. That memory can be kept in a file;
what a checksum is does not depend on it, so copies on another machine have the same ones.
"""

import concurrent.futures
import os

from tqdm import tqdm

from bgsnet_tf import files

_known: dict = {}  # absolute path to [size, time of change in ns, checksum]


def of_files(paths):
    """Checksums of the bytes of files, in order; -1 for one that cannot be read, which whoever opens it will say."""
    paths = [os.path.abspath(path) for path in paths]
    states = {path: _state(path) for path in dict.fromkeys(paths)}
    unread = [path for path, state in states.items() if state and _known.get(path, [])[:2] != state]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, checksum in zip(unread, tqdm(pool.map(_checksum, unread), "checksums", len(unread), unit=" images", delay=2)):
            _known[path] = [*states[path], checksum]
    return [_known[path][2] if states[path] else -1 for path in paths]


def recall(file):
    """Takes over the memory that `keep` wrote; nothing where the file is missing or damaged."""
    kept = files.read_json(file)
    for path, note in kept.items() if isinstance(kept, dict) else ():
        if isinstance(note, list) and len(note) == 3 and all(isinstance(number, int) for number in note):
            _known[path] = note


def keep(file, paths):
    """Writes the memory of these files."""
    files.write_json(file, {path: _known[path] for path in map(os.path.abspath, paths) if path in _known})


def _state(path):
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def _checksum(path):
    try:
        return files.checksum(path)
    except OSError:
        return -1
