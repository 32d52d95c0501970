"""What TensorBoard shows of an evaluated run: the report's figures, flags beside results, and an embedding projector.

All of it lies in `logs/evaluation` of the run, and every evaluation replaces it.
"""

import os
import pathlib

import numpy as np
import tensorflow as tf
from tensorboard.plugins import projector
from tensorboard.plugins.hparams import api as hparams

from bgsnet_tf import files
from bgsnet_tf.reporting.hparams import EVENTS
from bgsnet_tf.reporting.result_tables import COLUMNS
from bgsnet_tf.scoring.inference import THUMBNAIL

SEEN_TILE, UNSEEN_TILE = (230, 159, 0), (0, 114, 178)  # of prototypes, which have no image; the figures' colours

PROJECTOR_FILES = ("attributes.tsv", "metadata.tsv", "sprite.png", "projector_config.pbtxt")


def write(run, results, figures, pictures, inference):
    """Writes `logs/evaluation` of a run.

    Args:
      run: the run.
      results: the content of `results.json`.
      figures: paths of PNG files.
      pictures: dict from a name to (its description, pixels (H, W, 3) uint8).
      inference: `Inference` of its network.
    """
    own = [f"*{EVENTS}", *PROJECTOR_FILES]
    with files.laying_over(run.logs("evaluation"), own, within=run.directory) as part:  # not below logs/, which TensorBoard watches
        writer = tf.summary.create_file_writer(part, filename_suffix=EVENTS)
        with writer.as_default(step=0):
            hparams.hparams(results["flags"], trial_id=run.directory)
            for name in COLUMNS:
                tf.summary.scalar(f"results/{name}", results["fused"][name])
            for path in figures:
                tf.summary.image(path.stem, tf.io.decode_png(path.read_bytes())[tf.newaxis])
            for name, (description, pixels) in pictures.items():
                tf.summary.image(name, pixels[np.newaxis], description=description)
        writer.close()
        _write_projector(part, run, inference)


def _write_projector(directory, run, inference):
    """Predicted attributes of the sampled images and φ of all classes, both of length 1: only the direction decides on a class."""
    benchmark = run.benchmark
    predicted = inference.attributes["fused"][inference.sampled]
    predicted = predicted / np.maximum(np.linalg.norm(predicted, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    np.savetxt(os.path.join(directory, "attributes.tsv"), np.concatenate([predicted, benchmark.phi]), "%.6g", "\t")
    classes = np.concatenate([benchmark.labels[run.test_rows[inference.sampled]], np.arange(len(benchmark.phi))])
    is_seen = np.isin(classes, benchmark.seen_classes)
    kinds = ["image"] * len(predicted) + ["prototype"] * len(benchmark.phi)
    names = [" ".join(benchmark.class_names[c].split()) for c in classes]  # a tab or a line's end would be a cell's
    lines = ["\t".join(row) for row in zip(["class", *names], ["split", *np.where(is_seen, "seen", "unseen")], ["kind", *kinds])]
    pathlib.Path(directory, "metadata.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = projector.ProjectorConfig()
    embedding = config.embeddings.add(tensor_name="attributes", tensor_path="attributes.tsv", metadata_path="metadata.tsv")
    if inference.thumbnails is not None:
        tiles = np.where(is_seen[len(predicted) :, np.newaxis], SEEN_TILE, UNSEEN_TILE).astype(np.uint8)
        tiles = np.broadcast_to(tiles[:, np.newaxis, np.newaxis], [len(tiles), THUMBNAIL, THUMBNAIL, 3])
        sprite = tf.io.encode_png(_sprite(np.concatenate([inference.thumbnails, tiles])))
        tf.io.write_file(os.path.join(directory, "sprite.png"), sprite)
        embedding.sprite.image_path = "sprite.png"
        embedding.sprite.single_image_dim.extend([THUMBNAIL, THUMBNAIL])
    projector.visualize_embeddings(directory, config)


def _sprite(pictures):
    """Pictures (m, s, s, 3) in rows of a square (r·s, r·s, 3), as the projector reads them; black where there are none left."""
    side, size = int(np.ceil(np.sqrt(len(pictures)))), pictures.shape[1]
    grid = np.zeros([side * side, size, size, 3], np.uint8)
    grid[: len(pictures)] = pictures
    return grid.reshape(side, side, size, size, 3).swapaxes(1, 2).reshape(side * size, side * size, 3)
