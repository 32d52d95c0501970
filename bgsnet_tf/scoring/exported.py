"""Asks an export from Python, without a server.

Letters: C classes.
"""

import os

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from bgsnet_tf.data.batches import without_autotuning
from bgsnet_tf.data.images import PARALLEL, row_images
from bgsnet_tf.errors import UserError
from bgsnet_tf.exported.model import ExportedModel


def calibrated_scores(version, benchmark, rows, batch_size):
    """Scores (rows, C) that `serving_default` of an export gives the images of a benchmark, its δ taken off seen classes.

    Every image is sent as the bytes of a PNG file, which keeps rendered, cropped and JPEG pixels as they are.

    Args:
      version: folder of the SavedModel.
      benchmark: of the rows; its classes must be the export's.
      rows: indices of rows.
      batch_size: images asked for at a time.

    Raises:
      UserError: where the folder holds no export, or one of other classes.
    """
    model = ExportedModel(version)
    if model.class_names != tuple(benchmark.class_names):
        raise UserError(
            f"--export_dir={os.path.normpath(version)} has other classes than {benchmark.name}; give the flags it was trained with"
        )
    image = row_images(benchmark)
    rows_dataset = without_autotuning(tf.data.Dataset.from_tensor_slices(rows))
    files = rows_dataset.map(lambda row: tf.io.encode_png(image(row)), PARALLEL).batch(batch_size)
    batches = tqdm(files, total=-(-len(rows) // batch_size), desc="export", unit=" batches", mininterval=1)
    return np.array([answer["scores"] for batch in batches for answer in model.ask(batch.numpy().tolist())])
