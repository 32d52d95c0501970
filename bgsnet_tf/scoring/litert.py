"""What a LiteRT file costs and loses beside the SavedModel that it was made with."""

import functools
import os
import time

import numpy as np
import tensorflow as tf

from bgsnet_tf.data import images
from bgsnet_tf.scoring.cost import MEASURED_SECONDS
from bgsnet_tf.serving.litert import Interpreted

ACCURACIES = ("T", "U", "S", "H")


def compare(run, version, paths):
    """A column of `cost.table` for the SavedModel and for each LiteRT file.

    All see the test rows one at a time. The SavedModel gets whole rows and makes its view of them; a LiteRT file gets that view in whole
    numbers, as an app would give it.

    Args:
      run: the `Run`, with its test rows.
      version: folder of the SavedModel.
      paths: name to LiteRT file.

    Returns:
      Name to a dict of megabytes on disk, accuracies in percent ("-" where a split has no rows), the share of test rows that get
      the SavedModel's class, and milliseconds an image on this machine's CPU.
    """
    saved = tf.saved_model.load(version).signatures["images"]
    networks = {
        "SavedModel": lambda pixels: saved(images=tf.constant(pixels))["attributes"].numpy(),
        **{name: Interpreted(path, os.cpu_count()).attributes for name, path in paths.items()},
    }
    shown = {name: functools.partial(_views if name in paths else _rows, run) for name in networks}
    sizes = {"SavedModel": _folder_size(version), **{name: os.path.getsize(path) for name, path in paths.items()}}
    predicted = {name: np.concatenate([network(pixels) for pixels in shown[name]()]) for name, network in networks.items()}
    columns = {}
    for name, attributes in predicted.items():
        chosen, reference = (_chosen(run, a) for a in (attributes, predicted["SavedModel"]))
        scored = len(run.benchmark.test_seen) and len(run.benchmark.test_unseen)
        scores = run.score(attributes) if scored else {}
        columns[name] = {
            "MB": sizes[name] / 1e6,
            **{accuracy: scores.get(accuracy, "-") for accuracy in ACCURACIES},
            "same class %": 100 * float(np.mean(chosen == reference)),
            "ms/image": 1000 * _seconds(networks[name], next(shown[name]())),
        }
    return columns


def _rows(run):
    """Yields (1, H, W, 3) uint8 of every test row, in order."""
    image = images.row_images(run.benchmark)
    for row in run.test_rows:
        yield image(tf.constant(row))[tf.newaxis].numpy()


def _views(run):
    """Yields (1, size, size, 3) uint8 of what the network sees of them."""
    for batch in images.image_batches(run.benchmark, images.items_of(run.test_rows), run.views, run.config.evaluation.eval_batch_size):
        yield from np.clip(np.rint(batch.numpy()), 0, 255).astype(np.uint8)[:, np.newaxis]


def _chosen(run, attributes):
    benchmark = run.benchmark
    scores = attributes @ benchmark.phi.T
    scores[:, benchmark.seen_classes] -= run.config.evaluation.delta
    return scores.argmax(axis=1)


def _seconds(network, pixels):
    """Of one image, over some time, after the first call."""
    network(pixels)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < MEASURED_SECONDS:
        network(pixels)
        count += 1
    return (time.perf_counter() - start) / count


def _folder_size(directory):
    return sum(os.path.getsize(os.path.join(root, name)) for root, _, names in os.walk(directory) for name in names)
