"""Versions of an exported model in the layout of TF Serving: `<directory>/<integer>/`, server files beside them."""

import contextlib
import errno
import hashlib
import os
import pathlib
import tempfile

import tensorflow as tf

from bgsnet_tf import files
from bgsnet_tf.serving import server_files, warmup
from bgsnet_tf.serving.signatures import CLASSIFY_METHOD, ServedBGSNet

FINGERPRINT = os.path.join("assets.extra", "fingerprint")


def write_next(bgsnet, benchmark, views, delta, directory, reuse=False, origin=None):
    """Writes the next version of a trained network.

    It is put together below a name that is no number, which a polling server does not look at, and takes its number
    when it is whole. What an export that was killed has left is removed.

    Args:
      bgsnet, benchmark, views, delta, origin: see `ServedBGSNet`.
      directory: of all versions.
      reuse: write nothing where the newest version is of the same weights, classes, preprocessing and δ.

    Returns:
      The path of the version.

    Raises:
      UserError: where the directory cannot be written.
    """
    files.make_folder(directory)
    with (
        files.naming_unwritable(directory),
        _turn_in(directory),
        tempfile.TemporaryDirectory(prefix=".", suffix=files.UNFINISHED, dir=directory) as temporary,
    ):
        server_files.write_missing(directory)
        served = ServedBGSNet(bgsnet, benchmark, views, delta, temporary, origin)
        fingerprint = _fingerprint(served)
        if reuse and existing(directory):
            newest = os.path.join(directory, str(existing(directory)[-1]))
            with contextlib.suppress(OSError), open(os.path.join(newest, FINGERPRINT), "rb") as file:
                if file.read() == fingerprint.encode():
                    return newest
        model = os.path.join(temporary, "model")
        _save(served, model, fingerprint)
        return _take_number(model, directory)


def existing(directory):
    """Version numbers in a directory, ascending."""
    return sorted(int(name) for name in os.listdir(directory) if name.isascii() and name.isdigit())


@contextlib.contextmanager
def _turn_in(directory):
    """Exports into a directory take turns, so that whatever one of them finds unfinished there is nobody's."""
    with files.turn_in(directory) as alone:
        if alone:
            files.remove_unfinished(directory, [""])
        yield


def _fingerprint(served):
    """SHA-256 of what an export answers and how: signatures, preprocessing, assets and weights."""
    described = repr((sorted(served.signatures()), served.views)).encode()
    texts = [pathlib.Path(asset.asset_path.numpy().decode()).read_bytes() for asset in served.assets]
    weights = sorted(hashlib.sha256(v.numpy().tobytes()).digest() for v in served.network_variables)  # a graph lists them in any order
    return hashlib.sha256(b"".join([described, *texts, *weights])).hexdigest()


def _save(served, path, fingerprint):
    signatures = served.signatures()
    tf.saved_model.save(served, path, signatures=signatures)
    # TensorFlow 2 gives every signature the method name of Predict, which TF Serving's Classify refuses.
    names = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(path)
    names.replace_method_name("classify", CLASSIFY_METHOD, tags="serve")
    names.save()
    warmup.write(path, signatures, served.views.size, served.class_embeddings.shape[1], server_files.MODEL_NAME)
    with open(os.path.join(path, FINGERPRINT), "w") as file:
        file.write(fingerprint)


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
