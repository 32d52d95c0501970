"""Versions of an exported model in the layout of TF Serving: `<directory>/<integer>/`, server files beside them."""

import errno
import os
import tempfile

import tensorflow as tf

from bgsnet_tf.serving import server_files, warmup
from bgsnet_tf.serving.signatures import CLASSIFY_METHOD, ServedBGSNet


def write_next(bgsnet, benchmark, views, delta, directory):
    """Writes the next version of a trained network.

    It is put together below a name that is no number, which a polling server does not look at, and takes its number
    when it is whole.

    Args:
      bgsnet, benchmark, views, delta: see `ServedBGSNet`.
      directory: of all versions.

    Returns:
      The path of the version.
    """
    os.makedirs(directory, exist_ok=True)
    server_files.write_missing(directory)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=directory) as temporary:
        names_file = os.path.join(temporary, "class_names.txt")
        with open(names_file, "w", encoding="utf-8") as file:
            file.write("\n".join(benchmark.class_names) + "\n")
        model = os.path.join(temporary, "model")
        _save(ServedBGSNet(bgsnet, benchmark, views, delta, names_file), model)
        return _take_number(model, directory)


def existing(directory):
    """Version numbers in a directory, ascending."""
    return sorted(int(name) for name in os.listdir(directory) if name.isdigit())


def _save(served, path):
    signatures = served.signatures()
    tf.saved_model.save(served, path, signatures=signatures)
    # TensorFlow 2 gives every signature the method name of Predict, which TF Serving's Classify refuses.
    names = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(path)
    names.replace_method_name("classify", CLASSIFY_METHOD, tags="serve")
    names.save()
    warmup.write(path, signatures, served.views.size, served.class_embeddings.shape[1], server_files.MODEL_NAME)


def _take_number(model, directory):
    """Moves a finished model to the next free number; another export may take one at the same time."""
    while True:
        path = os.path.join(directory, str(max(existing(directory), default=0) + 1))
        try:
            os.rename(model, path)
            return path
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
