"""From a trained BGSNet to a SavedModel that takes the bytes of images, preprocessing inside.

Letters: B images, C classes, A attributes.
"""

import os
import tempfile

import tensorflow as tf

from bgsnet_tf.data.images import decode


class ServedBGSNet(tf.Module):
    """BGSNet with its preprocessing, its classes and its calibration.

    Args:
      bgsnet: the trained network.
      benchmark: names and attributes of the classes, and which are seen.
      views: how an image becomes the network's input.
      delta: calibration constant of the seen classes' scores.
      class_names_file: one class name a line; saved as an asset.
    """

    def __init__(self, bgsnet, benchmark, views, delta, class_names_file):
        super().__init__()
        self.bgsnet, self.views = bgsnet, views
        self.class_names_asset = tf.saved_model.Asset(class_names_file)
        self.class_names = tf.constant(benchmark.class_names)
        self.class_attributes = tf.constant(benchmark.phi)
        is_seen = tf.scatter_nd(benchmark.seen_classes[:, None], tf.ones(len(benchmark.seen_classes)), [len(benchmark.class_names)])
        self.offsets = delta * is_seen

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def serving_default(self, image_bytes):
        """JPEG or PNG files (B,) to calibrated `scores` (B, C), `class_index` (B,), `class_name` (B,), `attributes` (B, A)."""
        size = self.views.size
        images = tf.map_fn(
            lambda contents: self.views(decode(contents)), image_bytes, fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32)
        )
        attributes = self.bgsnet(images)["fused"]
        scores = tf.matmul(attributes, self.class_attributes, transpose_b=True) - self.offsets
        class_index = tf.argmax(scores, axis=1, output_type=tf.int32)
        return {
            "scores": scores,
            "class_index": class_index,
            "class_name": tf.gather(self.class_names, class_index),
            "attributes": attributes,
        }


def export(bgsnet, benchmark, views, delta, directory):
    """Writes the next version `directory/<integer>/`; it appears whole or not at all.

    Args:
      bgsnet, benchmark, views, delta: see `ServedBGSNet`.
      directory: of all versions.

    Returns:
      The path of the version.
    """
    os.makedirs(directory, exist_ok=True)
    version = max([int(name) for name in os.listdir(directory) if name.isdigit()], default=0) + 1
    path = os.path.join(directory, str(version))
    with tempfile.TemporaryDirectory(prefix=".part-", dir=directory) as temporary:
        names_file = os.path.join(temporary, "class_names.txt")
        with open(names_file, "w") as file:
            file.write("\n".join(benchmark.class_names) + "\n")
        served = ServedBGSNet(bgsnet, benchmark, views, delta, names_file)
        tf.saved_model.save(served, os.path.join(temporary, "model"), signatures={"serving_default": served.serving_default})
        os.rename(os.path.join(temporary, "model"), path)
    return path
