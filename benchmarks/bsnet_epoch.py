"""A step of BSNet's training from the feature cache, against one that decodes its JPEGs and runs the trunk again.

An epoch is the same number of either, so the ratio of the steps is that of the epochs.
"""

import argparse
import dataclasses
import functools
import pathlib
import tempfile
import time

import numpy as np

from benchmarks import bsnet_step, harness
from benchmarks.bsnet_step import Shapes
from benchmarks.harness import Contender, compare

PHOTOS = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data" / "cub_photos"
IMAGES = 256  # rows in turn; all of a step's work is the same for more
GENERATED = 64  # photos, each used more than once
SIZE, RESIZE = 224, 256


def prepare(shapes, paths, cached):
    """A function that makes one training step and returns the seconds that it waited for data.

    Args:
      shapes: `benchmarks.bsnet_step.Shapes`.
      paths: of photos.
      cached: take features and e_g from a cache; else decode the JPEGs and run trunk and tail every time.
    """
    import tensorflow as tf

    from bgsnet_tf.data import batches, images
    from bgsnet_tf.data.trunk_cache import FeatureCache, cached_batches
    from bgsnet_tf.model.backbones import backbone

    bsnet = bsnet_step.network(shapes)
    step = tf.function(bsnet.train_step)
    photos = Photos(np.resize(np.array(paths), IMAGES))
    labels = (np.arange(IMAGES) % shapes.classes).astype(np.int32)
    views = images.Views(SIZE, RESIZE, "flip")
    items = batches.epochs_dataset(functools.partial(batches.epoch_batches, IMAGES, 1, shapes.batch, 0), 0, 1000)
    if cached:
        rng = np.random.default_rng(0)
        with tempfile.TemporaryDirectory() as folder:  # the files stay until the process ends: they are mapped
            arrays = [_mapped(folder, i, rng, shape) for i, shape in enumerate((shapes.features, (shapes.channels,)))]
        data = cached_batches(FeatureCache(*([array] for array in arrays), 1), labels, items)
    else:
        trunk, tail = backbone.build("ResNet101", "none", SIZE)
        data = images.shuffled_image_batches(photos, labels, items, views)

        @tf.function
        def embed(batch):
            found = trunk(batch, training=False)
            return found, tail(found, training=False)

    data = iter(data)

    def timed_step():
        start = time.perf_counter()
        batch, targets = next(data)
        waited = time.perf_counter() - start
        step((embed(batch) if not cached else batch, targets))["loss"].numpy()
        return waited

    return timed_step


@dataclasses.dataclass(frozen=True)
class Photos:
    """The part of a benchmark that its images are read by."""

    paths: np.ndarray
    pixels = features = boxes = None

    @property
    def train(self):
        return np.arange(len(self.paths))


def _mapped(folder, number, rng, shape):
    path = pathlib.Path(folder) / f"{number}.npy"
    np.save(path, rng.uniform(size=(IMAGES, *shape)).astype(np.float32))
    return np.load(path, mmap_mode="r")


def photos(folder):
    """Paths of real photos where there are some, else of generated ones: smooth shapes and fine texture, 500×375."""
    found = sorted(map(str, PHOTOS.glob("images/*/*.jpg")))
    if found:
        return found, "543 photos of CUB"
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(GENERATED):
        coarse = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)).resize((500, 375), Image.BICUBIC)
        pixels = np.clip(np.asarray(coarse) + rng.normal(scale=8, size=(375, 500, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(f"{folder}/{i}.jpg", quality=90)
    return [f"{folder}/{i}.jpg" for i in range(GENERATED)], "generated photos"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submodules", type=int, action="append")
    parser.add_argument("--batch", type=int, default=Shapes.batch)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths, source = photos(folder)
        for submodules in args.submodules or (10, 2):
            shapes = Shapes(submodules=submodules, batch=args.batch)
            contenders = [Contender(name, functools.partial(prepare, shapes, paths, name == "cached")) for name in ("cached", "recomputed")]
            timings = compare(contenders, args.rounds)
            cached, recomputed = timings["cached"], timings["recomputed"]
            rows.append(
                {
                    "N": submodules,
                    "step from the cache, s": cached.median,
                    "step from JPEGs, s": recomputed.median,
                    "faster by": cached.times(recomputed),
                    "waiting for the cache, %": 100 * sum(cached.results) / sum(cached.seconds),
                    "waiting for JPEGs, %": 100 * sum(recomputed.results) / sum(recomputed.seconds),
                }
            )
    harness.report("bsnet_epoch", rows, images=source, batch=args.batch, rounds=args.rounds)


if __name__ == "__main__":
    main()
