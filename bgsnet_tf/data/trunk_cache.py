"""The feature cache: what the frozen trunk makes of every training view, computed once and kept on disk.

Letters: R rows, V views, (h, w, c) the trunk's output, K channels of the visual embedding e_g. Item i of a cache is
view i mod V of row i // V. The items lie in shards, which are what an interrupted build keeps, what a damaged file
costs, and what the processes of a distributed run divide among themselves.
"""

import dataclasses
import os
import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from bgsnet_tf import files
from bgsnet_tf.data import batches, images

SHARD_ITEMS = 512  # at least; a build that is interrupted loses what it has of one shard
FILE_OF_SHARD = re.compile(rf"\d{{4}}(\.json|-(features|general)\.npy)({re.escape(files.UNFINISHED)})?")
MOST_SHARDS = 256  # every shard keeps two files open


@dataclasses.dataclass(frozen=True)
class FeatureCache:
    """Memory-mapped shards of trunk features (n, h, w, c) and of e_g (n, K), over V = `views` views of each row."""

    shards: Sequence[np.ndarray]
    general_shards: Sequence[np.ndarray]
    views: int

    @property
    def dtype(self):
        return self.shards[0].dtype

    @property
    def shape(self):
        """(h, w, c)."""
        return self.shards[0].shape[1:]

    @property
    def general(self):
        """(R·V, K) e_g of all items, in memory."""
        return np.concatenate(self.general_shards)

    def gather(self, items):
        """Trunk features (B, h, w, c) and e_g (B, K) of `items` (B, 2), pairs of row and view."""
        positions = items[:, 0] * self.views + items[:, 1]
        shard, inside = np.divmod(positions, len(self.shards[0]))
        return tuple(np.stack([parts[s][i] for s, i in zip(shard, inside)]) for parts in (self.shards, self.general_shards))


@dataclasses.dataclass(frozen=True)
class _Shard:
    """Items start .. stop-1: two arrays, and a note of what they depend on that is written when both are whole."""

    directory: str
    number: int
    start: int
    stop: int

    @property
    def note(self):
        return os.path.join(self.directory, f"{self.number:04}.json")

    @property
    def arrays(self):
        return [os.path.join(self.directory, f"{self.number:04}-{name}.npy") for name in ("features", "general")]

    def is_whole(self, fingerprint):
        note = files.read_json(self.note)
        if not isinstance(note, dict) or note.get("depends_on") != self._depends_on(fingerprint):
            return False
        if note.get("checksums") == [files.checksum(path) for path in self.arrays]:
            return True
        print(f"{self.directory}: shard {self.number} of the feature cache is damaged or missing; computing it again")
        return False

    def write(self, fingerprint, arrays):
        with files.naming_unwritable(self.directory):
            for path, array in zip(self.arrays, arrays):
                with files.replacing(path) as part, open(part, "wb") as file:
                    # Not numpy.save, whose C code does not see that the end of an array no longer fits the disk.
                    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
                    file.write(np.ascontiguousarray(array).data)
            checksums = [files.checksum(path) for path in self.arrays]
            files.write_json(self.note, {"depends_on": self._depends_on(fingerprint), "checksums": checksums})

    def _depends_on(self, fingerprint):
        return [fingerprint, self.start, self.stop]


def open_or_build(directory, fingerprint, items, views, batch_size, compute, dtype, description, worker=0, workers=1, wait=lambda: None):
    """The cache in `directory`; shards that are missing, damaged or of another fingerprint are computed first.

    Args:
      directory: where the cache lies.
      fingerprint: hex digest of all that the features depend on.
      items: R·V.
      views: V.
      batch_size: items that are computed at once.
      compute: function from positions (n,) of items to an iterable of the arrays (features (B, h, w, c), e_g (B, K))
        of one batch after another.
      dtype: of the stored features; e_g is always float32.
      description: for the progress bar.
      worker, workers: this process computes every `workers`-th shard, from number `worker` on.
      wait: function that returns when all processes have called it.

    Returns:
      `FeatureCache`.

    Raises:
      UserError: where the disk is full, or the folder cannot be written.
    """
    files.make_folder(directory)
    size = -(-max(SHARD_ITEMS, -(-items // MOST_SHARDS)) // batch_size) * batch_size
    shards = [_Shard(directory, number, start, min(start + size, items)) for number, start in enumerate(range(0, items, size))]
    own = shards[worker::workers]
    missing = [shard for shard in own if not shard.is_whole(fingerprint)]
    if missing:
        done = sum(shard.stop - shard.start for shard in own if shard not in missing)
        _build(missing, fingerprint, compute, dtype, description, done)
    wait()
    if worker == 0:
        _remove_others(directory, shards)
    arrays = zip(*([np.load(path, mmap_mode="r") for path in shard.arrays] for shard in shards))
    return FeatureCache(*arrays, views)


def cached_batches(cache, labels, item_batches):
    """A dataset of ((features (B, h, w, c), e_g (B, K)), labels (B,)) from a dataset of items (B, 2).

    Features keep the cache's type, so that as few bytes as may be go to a device.
    """
    labels = tf.constant(labels)
    batch_size = item_batches.element_spec.shape[0]

    def example(items):
        found, general = tf.numpy_function(cache.gather, [items], [cache.dtype, tf.float32])
        found = tf.ensure_shape(found, [batch_size, *cache.shape])
        general = tf.ensure_shape(general, [batch_size, cache.general_shards[0].shape[1]])
        return (found, general), tf.gather(labels, items[:, 0])

    return item_batches.map(example, 2).prefetch(2)


def in_order(cache, batch_size):
    """A dataset of (features, e_g) over a whole cache, in order."""
    count = sum(map(len, cache.shards))
    items = batches.without_autotuning(tf.data.Dataset.from_tensor_slices(images.items_of(np.arange(count))).batch(batch_size))
    return cached_batches(cache, np.zeros(count, np.int32), items).map(lambda inputs, _: inputs)


def _build(shards, fingerprint, compute, dtype, description, done):
    """Every shard is a whole number of batches, but for the cache's last one, so a batch never spans two."""
    positions = np.concatenate([np.arange(shard.start, shard.stop) for shard in shards])
    computed = iter(compute(positions))
    with tqdm(total=done + len(positions), initial=done, desc=description, unit=" views", mininterval=1) as progress:
        for shard in shards:
            parts, found = [], 0
            while found < shard.stop - shard.start:
                features, general = next(computed)
                parts.append((features.astype(dtype), general.astype(np.float32)))
                found += len(features)
                progress.update(len(features))
            shard.write(fingerprint, [np.concatenate(part) for part in zip(*parts)])


def _remove_others(directory, shards):
    """Removes what an interrupted build or another layout has left."""
    kept = {path for shard in shards for path in (shard.note, *shard.arrays)}
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if path not in kept and FILE_OF_SHARD.fullmatch(name):
            os.remove(path)
