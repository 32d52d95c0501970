"""The feature cache: what the frozen trunk makes of every training view, computed once and kept on disk.

Letters: R rows, V views, (h, w, c) the trunk's output, K channels of the visual embedding e_g. Item i of a cache is
view i mod V of row i // V.
"""

import dataclasses
import json
import os
import time
import zlib

import numpy as np
from tqdm import tqdm

SAVE_SECONDS = 30  # an interrupted build loses at most this much
CHECKSUM_CHUNK = 1 << 24  # bytes
FILES = ("features.npy", "general.npy")


@dataclasses.dataclass(frozen=True)
class FeatureCache:
    """Memory-mapped trunk features (R·V, h, w, c) and e_g (R·V, K) of V = `views` views of each row."""

    features: np.ndarray
    general: np.ndarray
    views: int

    def gather(self, items):
        """Trunk features (B, h, w, c) and e_g (B, K) of `items` (B, 2), pairs of row and view."""
        positions = items[:, 0] * self.views + items[:, 1]
        return self.features[positions], self.general[positions]


def open_or_build(directory, fingerprint, items, views, batches, compute, dtype, description):
    """The cache in `directory`, built first where it is not whole.

    A build that was interrupted continues; a cache with another fingerprint or a damaged file is built anew. Files
    take their final names only when they are whole.

    Args:
      directory: where the cache lies.
      fingerprint: hex digest of all that the features depend on.
      items: R·V.
      views: V.
      batches: function from a number of finished items to an iterable of the images (B, H, W, 3) of the others.
      compute: function from images to arrays (features (B, h, w, c), e_g (B, K)).
      dtype: of the stored features; e_g is always float32.
      description: for the progress bar.

    Returns:
      `FeatureCache`.
    """
    os.makedirs(directory, exist_ok=True)
    paths = [os.path.join(directory, name) for name in FILES]
    state = _read_state(directory)
    if state.get("fingerprint") != fingerprint:
        state = {}
    if "checksums" in state and state["checksums"] != [_checksum(path) for path in paths]:
        print(f"{directory}: a file of the feature cache is damaged or missing; computing it again")
        state = {}
    if "checksums" not in state:
        done = state.get("done", 0) if all(os.path.exists(f"{path}.part") for path in paths) else 0
        _build(directory, paths, fingerprint, items, done, batches, compute, dtype, description)
    return FeatureCache(*(np.load(path, mmap_mode="r") for path in paths), views)


def _build(directory, paths, fingerprint, items, done, batches, compute, dtype, description):
    arrays = [np.load(f"{path}.part", mmap_mode="r+") for path in paths] if done else []
    saved = time.monotonic()
    with tqdm(total=items, initial=done, desc=description, unit=" views", mininterval=1) as progress:
        for images in batches(done):
            parts = compute(images)
            arrays = arrays or [
                np.lib.format.open_memmap(f"{path}.part", "w+", kind, (items, *part.shape[1:]))
                for path, part, kind in zip(paths, parts, (dtype, "float32"))
            ]
            for array, part in zip(arrays, parts):
                array[done : done + len(part)] = part
            done += len(images)
            progress.update(len(images))
            if time.monotonic() - saved > SAVE_SECONDS:
                for array in arrays:
                    array.flush()
                _write_state(directory, fingerprint=fingerprint, done=done)
                saved = time.monotonic()
    for array, path in zip(arrays, paths):
        array.flush()
        os.replace(f"{path}.part", path)
    _write_state(directory, fingerprint=fingerprint, checksums=[_checksum(path) for path in paths])


def _checksum(path):
    """CRC-32 of a file, None where there is none."""
    if not os.path.exists(path):
        return None
    checksum = 0
    with open(path, "rb") as file:
        while chunk := file.read(CHECKSUM_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


def _read_state(directory):
    try:
        with open(os.path.join(directory, "cache.json")) as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def _write_state(directory, **state):
    path = os.path.join(directory, "cache.json")
    with open(f"{path}.part", "w") as file:
        json.dump(state, file)
    os.replace(f"{path}.part", path)
