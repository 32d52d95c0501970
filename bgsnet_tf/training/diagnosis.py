"""Which tensor is the first of a training step that is not finite."""

import os
import re
import traceback

import tensorflow as tf

import bgsnet_tf

PACKAGE = os.path.dirname(bgsnet_tf.__file__)


def first_bad_tensor(model, batch, strategy):
    """Runs a model's `train_step` operation by operation, which changes the model, until an output is not finite.

    Args:
      model: a `GroupedModel`.
      batch: of that step.
      strategy: of one replica, under which the model was made.

    Returns:
      Its description: a weight, an input, or the operation with its shape, its layer and the line of this project
      that it comes from. None where all are finite.
    """
    for weight in model.weights:
        if not _is_finite(weight):
            return f"weight {weight.name}"
    for i, tensor in enumerate(tf.nest.flatten(batch)):
        if not _is_finite(tensor):
            return f"input {i} of shape {tuple(tensor.shape)}: the data, or the feature cache, holds values that are not finite"
    tf.config.run_functions_eagerly(True)
    tf.debugging.enable_check_numerics()
    try:
        strategy.run(model.train_step, args=(batch,))
    except tf.errors.InvalidArgumentError as error:
        return _describe(error)
    finally:
        tf.debugging.disable_check_numerics()
        tf.config.run_functions_eagerly(False)
    return None


def _is_finite(tensor):
    tensor = tf.convert_to_tensor(tensor)
    return not tensor.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(tensor)))


def _describe(error):
    text = str(error)
    operation, shape, layer = (re.search(pattern, text) for pattern in (r'op "(\w+)"', r"shape: (\(.*?\))", r"layer ['\"]([\w./]+)['\"]"))
    frame = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(PACKAGE)][-1]
    parts = [
        f"the output of {operation[1] if operation else 'an operation'}",
        f"of shape {shape[1]}" if shape else "",
        f"in layer {layer[1]}" if layer else "",
        f"({os.path.relpath(frame.filename, os.path.dirname(PACKAGE))}:{frame.lineno}: {frame.line})",
    ]
    return " ".join(part for part in parts if part)
