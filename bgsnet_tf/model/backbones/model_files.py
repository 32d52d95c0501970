"""Keras model files, which are programs: what one would run is looked at before Keras reads it."""

import json
import os
import re
import zipfile

import h5py
import tensorflow as tf

from bgsnet_tf.errors import UserError

ROOMS = (tf.keras.layers, tf.keras.initializers, tf.keras.regularizers, tf.keras.constraints)
STRUCTURE = {"Functional", "Model", "Sequential", "Policy", "function", "__tuple__", "__tensor__", "__numpy__", "__ellipsis__"}
# They run Python from the file, load another file, or read one of this machine.
REFUSED = {"Lambda", "TFSMLayer", "StringLookup", "IntegerLookup", "TextVectorization"}
OPERATIONS = {"TFOpLambda", "SlicingOpLambda"}  # one TensorFlow function by name, as keras.applications has them
HARMLESS = re.compile(
    r"(__operators__|math|nn)\.\w+|(compat\.v1\.)?(cast|clip_by_value|concat|expand_dims|identity|pad|reshape|shape|squeeze|transpose)"
)


def load(path, trusted=False):
    """The model in a file, `.h5` or `.keras`, or in a folder, a SavedModel. It is not compiled.

    Args:
      path: of it.
      trusted: load it whatever code it holds.

    Raises:
      UserError: unreadable, or with code and not trusted.
    """
    if not trusted:
        _refuse_code(path)
    try:
        return tf.keras.models.load_model(path, compile=False, safe_mode=not trusted)
    except Exception as error:  # h5py, zipfile and Keras each raise their own
        raise _unreadable(path, error) from error


def _refuse_code(path):
    if os.path.isdir(path):
        raise UserError(
            f"--backbone={path} is a SavedModel, a program that would run here with your rights; save the model as .h5 or .keras, "
            "or, if you trust whoever made it, add --trust_backbone"
        )
    try:
        code = next((code for architecture in _architectures(path) for code in _code(architecture)), None)
    except Exception as error:
        raise _unreadable(path, error) from error
    if code:
        raise UserError(
            f"--backbone={path} holds {code}, which is code that would run here with your rights; if you trust whoever made it, "
            "add --trust_backbone"
        )


def _unreadable(path, error):
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return UserError(f"--backbone={path} cannot be read as a Keras 2 model (.h5, .keras or SavedModel): {reason}")


def _architectures(path):
    """Yields the architecture, parsed JSON, by each of the formats that a file is in."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            architecture = json.loads(archive.read("config.json"))
        architecture.pop("compile_config", None)  # which is not loaded
        yield architecture
    if h5py.is_hdf5(path):
        with h5py.File(path) as file:
            yield json.loads(file.attrs["model_config"])


def _code(part):
    """Yields what in a part of an architecture is not built from Keras's own layers, described."""
    if isinstance(part, dict):
        if "class_name" in part and not _is_known(part):
            config = part.get("config")
            name = config.get("name") if isinstance(config, dict) else None
            yield f"{part['class_name']}" + (f" '{name}'" if name else "")
        part = part.values()
    for inner in part if not isinstance(part, (str, int, float, type(None))) else ():
        yield from _code(inner)


def _is_known(part):
    kind, config, module = part["class_name"], part.get("config"), part.get("module")
    if kind in OPERATIONS:
        return isinstance(config, dict) and bool(HARMLESS.fullmatch(str(config.get("function"))))
    if module not in (None, "builtins") and not re.fullmatch(r"(tf_)?keras(\.\w+)*", str(module)):
        return False
    if kind == "function" or module == "builtins":
        return kind == "function" and module == "builtins"
    return kind in STRUCTURE or (kind not in REFUSED and any(isinstance(getattr(room, str(kind), None), type) for room in ROOMS))
