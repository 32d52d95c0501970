"""A network for telephones and browsers: LiteRT files that take pixels and give attributes, by TensorFlow's own converter.

Decoding JPEG, resizing, and choosing among classes stay with the app: LiteRT decodes no JPEG, and classes may change without the network.
"""

import os
import re
import shutil

import tensorflow as tf

from bgsnet_tf import files
from bgsnet_tf.errors import UserError
from bgsnet_tf.exported import layout
from bgsnet_tf.model.folding import folded

KINDS = ("float16", "int8")  # of weights; int8 is the converter's dynamic range, which leaves activations float32
ASSETS = (layout.CLASSES, layout.MODEL)
LACKED = re.compile(r"'tf\.(\w+)' op")  # in what the converter says
MOST_REASON = 300  # characters of it


def write(bgsnet, size, version, directory):
    """Writes `float16.tflite`, `int8.tflite`, and the classes of an export into a folder, all of them or none.

    The signature of each file: `images` (1, size, size, 3) uint8 to `attributes` (1, A) float32, those of the fused branch.

    Args:
      bgsnet: the trained network.
      size: height and width of its input in pixels.
      version: folder of its export as a SavedModel, whose classes are copied.
      directory: where to; what an earlier call wrote there is replaced.

    Returns:
      Kind to the path of its file.

    Raises:
      UserError: where LiteRT has no operation for one of the network's, or the folder cannot be written.
    """
    converted = {kind: convert(bgsnet, size, kind) for kind in KINDS}
    paths = {kind: os.path.join(directory, f"{kind}.tflite") for kind in KINDS}
    with files.naming_unwritable(directory), files.laying_over(directory, ["*.tflite", *ASSETS]) as part:
        os.makedirs(part)
        for kind, contents in converted.items():
            files.write(os.path.join(part, f"{kind}.tflite"), contents)
        for name in ASSETS:
            shutil.copyfile(os.path.join(version, "assets", name), os.path.join(part, name))
    return paths


def convert(bgsnet, size, kind):
    """The bytes of a LiteRT file, see `write`."""
    module = tf.Module()
    module.network = folded(bgsnet)

    def attributes(images):
        return {"attributes": module.network.call(tf.cast(images, tf.float32))["fused"]}

    pixels = tf.TensorSpec([1, size, size, 3], tf.uint8, "images")
    concrete = tf.function(attributes, input_signature=[pixels], autograph=False).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        return converter.convert()
    except Exception as error:  # of several kinds, whatever the stage that gives up
        missing = ", ".join(sorted(set(LACKED.findall(str(error)))))
        reason = f"it has no operation {missing}" if missing else " ".join(str(error).split())[:MOST_REASON]
        raise UserError(f"the network cannot be converted to LiteRT: {reason}") from error


class Interpreted:
    """A LiteRT file in this process.

    Args:
      path: of the file.
      threads: that compute.
    """

    def __init__(self, path, threads):
        self._interpreter = tf.lite.Interpreter(str(path), num_threads=threads)
        self._run = self._interpreter.get_signature_runner()

    def attributes(self, images):
        """(1, A) float32 of `images` (1, size, size, 3) uint8."""
        return self._run(images=images)["attributes"].copy()
