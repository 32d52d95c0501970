"""BGSNet for zero-shot image classification, in TensorFlow/Keras."""

import importlib.util
import os
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from bgsnet_tf.exported.model import ExportedModel

# TensorFlow 2.16 and later bring Keras 3; this project uses the Keras 2 API that `tf-keras` keeps.
# TensorFlow reads the variable when it loads, so it is set before that.
if importlib.util.find_spec("tf_keras"):
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
# TensorFlow 2.15 calls it an error, three times at every start, that its own plugins register twice. What fails raises anyway.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # else a process takes all of a GPU, and a second one beside it nothing

__version__ = "0.2.0"


def load(version: Union[str, os.PathLike]) -> "ExportedModel":
    """Opens an export, such as "runs/demo/export/1", for predictions, attributes and heat maps in Python."""
    from bgsnet_tf.exported.model import ExportedModel  # here, so that a command can read its flags before TensorFlow loads

    return ExportedModel(version)
