"""Writes test images of a run's data set as PNG files, for the playground to offer.

    python -m bgsnet_tf.playground.examples --run_dir=runs/demo

writes runs/demo/examples/CLASS.png of seen and unseen classes in turn, none of which the network was trained on.
"""

import os
import re

import numpy as np
from absl import flags

from bgsnet_tf import cli, config
from bgsnet_tf.errors import UserError

SEED = 0


def main():
    settings = config.of_run()
    from bgsnet_tf.data.loading import load_benchmark  # after the flags are read: loading TensorFlow takes seconds

    output = os.path.join(settings.run.run_dir, "examples")
    paths = write(load_benchmark(settings.data), output, flags.FLAGS.count)
    print(f"{len(paths)} examples written to {output}")


def write(benchmark, output, count):
    """Writes one test image of each of `count` classes, seen and unseen ones in turn; returns the files' paths.

    Raises:
      UserError: where the data set has features in place of images, or no test image.
    """
    import tensorflow as tf

    from bgsnet_tf.data.images import row_images

    if benchmark.features is not None:
        raise UserError(f"{benchmark.name} holds features, no images; there is nothing to show")
    image, paths = row_images(benchmark), []
    os.makedirs(output, exist_ok=True)
    for number, row in enumerate(_rows(benchmark)[:count], 1):
        name = re.sub(r"[^\w ,.()+=-]+", "_", benchmark.class_names[benchmark.labels[row]])
        paths.append(os.path.join(output, f"{number:02d} {name}.png"))
        tf.io.write_file(paths[-1], tf.io.encode_png(image(row)))
    return paths


def _rows(benchmark):
    """A test row of every class that has one, in a fixed random order, unseen and seen classes in turn."""
    rng = np.random.default_rng(SEED)
    sides = []
    for rows in (benchmark.test_unseen, benchmark.test_seen):
        shuffled = rng.permutation(rows)
        _, first = np.unique(benchmark.labels[shuffled], return_index=True)
        sides.append([int(row) for row in shuffled[np.sort(first)]])
    if not any(sides):
        raise UserError(f"{benchmark.name} has no test image to show")
    both = min(map(len, sides))
    return [row for pair in zip(*sides) for row in pair] + sides[0][both:] + sides[1][both:]


if __name__ == "__main__":
    flags.DEFINE_integer("count", 12, "Classes of which an image is written.", 1)
    cli.run(main)
