"""Model files with code are refused before it runs; those without are read."""

import json
import pathlib
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.errors import UserError
from bgsnet_tf.model.backbones import backbone, model_files

layers = tf.keras.layers


def saved(directory, layer, form):
    """The path of a model with a layer, and what its inputs become."""
    inputs = tf.keras.Input((8, 8, 3))
    model = tf.keras.Model(inputs, layer(layers.Conv2D(4, 3, activation="relu")(inputs)))
    path = str(directory / f"model{form}")
    model.save(path)
    return path, model(tf.ones([1, 8, 8, 3]))


def writing(path):
    """A Lambda layer that writes a file when it runs."""
    return layers.Lambda(lambda x, path=path: (open(path, "w").close(), x)[1], name="hidden")


def inside_another(layer):
    inputs = tf.keras.Input((6, 6, 4))
    return tf.keras.Model(inputs, layer(inputs), name="inner")


@pytest.mark.parametrize("wrap", [lambda layer: layer, inside_another, layers.TimeDistributed], ids=["plain", "nested", "wrapped"])
@pytest.mark.parametrize("form", [".h5", ".keras"])
def test_a_lambda_layer_is_refused_and_does_not_run(tmp_path, form, wrap):
    path, _ = saved(tmp_path, wrap(writing(str(tmp_path / "written"))), form)
    (tmp_path / "written").unlink()
    with pytest.raises(UserError, match="holds Lambda 'hidden', which is code.*--trust_backbone"):
        backbone.build(path, "none", 8, "tf")
    assert not (tmp_path / "written").exists()
    assert isinstance(model_files.load(path, trusted=True), tf.keras.Model) and (tmp_path / "written").exists()


@pytest.mark.filterwarnings("ignore")
def test_a_saved_model_needs_trust(tmp_path):
    path, expected = saved(tmp_path, layers.ReLU(), "")
    with pytest.raises(UserError, match="is a SavedModel, a program.*--trust_backbone"):
        model_files.load(path)
    np.testing.assert_allclose(model_files.load(path, trusted=True)(tf.ones([1, 8, 8, 3])), expected, rtol=1e-6)


@pytest.mark.parametrize("form", [".h5", ".keras"])
@pytest.mark.parametrize("layer", [layers.BatchNormalization(), layers.Activation("swish"), lambda x: tf.nn.relu6(x + 3.0) / 6.0])
def test_layers_and_operations_of_keras_are_read(tmp_path, form, layer):
    path, expected = saved(tmp_path, layer, form)
    np.testing.assert_allclose(model_files.load(path)(tf.ones([1, 8, 8, 3])), expected, rtol=1e-6)


@pytest.mark.parametrize("form", [".h5", ".keras"])
@pytest.mark.parametrize("name", ["MobileNetV3Small", "EfficientNetB0", "ResNet50V2"])
@pytest.mark.slow
def test_models_of_keras_applications_are_read(tmp_path, form, name):
    getattr(tf.keras.applications, name)(weights=None, include_top=False, input_shape=(64, 64, 3)).save(str(tmp_path / f"model{form}"))
    assert model_files.load(str(tmp_path / f"model{form}"))


CODE = {
    "another module": {"module": "os", "class_name": "system", "config": {"command": "true"}},
    "a function": {"module": "keras.utils", "class_name": "function", "config": "get_file"},
    "Python's own": {"module": "builtins", "class_name": "exec", "config": {}},
    "a registered class": {"module": None, "registered_name": "mine>Layer", "class_name": "mine>Layer", "config": {}},
    "a lambda": {"class_name": "__lambda__", "config": {"value": "", "defaults": None, "closure": None}},
    "a file writer": {"class_name": "TFOpLambda", "config": {"name": "x", "function": "io.write_file"}},
    "a file reader": {"module": "keras.layers", "class_name": "TextVectorization", "config": {"vocabulary": "/etc/passwd"}},
}


@pytest.mark.parametrize("part", CODE.values(), ids=CODE)
@pytest.mark.parametrize("form", [".h5", ".keras"])
def test_an_architecture_that_names_code_is_refused(tmp_path, form, part):
    path, _ = saved(tmp_path, layers.ReLU(), form)
    if form == ".h5":
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = json.dumps(_with(json.loads(file.attrs["model_config"]), part))
    else:
        with zipfile.ZipFile(path) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        content["config.json"] = json.dumps(_with(json.loads(content["config.json"]), part))
        with zipfile.ZipFile(path, "w") as archive:
            for name, value in content.items():
                archive.writestr(name, value)
    with pytest.raises(UserError, match=f"holds {part['class_name']}"):
        model_files.load(path)


def _with(architecture, part):
    architecture["config"]["layers"][1]["config"]["kernel_initializer"] = part
    return architecture


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x05\x06" + bytes(18), b"\x89HDF\r\n\x1a\n" + bytes(100)])
@pytest.mark.parametrize("form", [".h5", ".keras"])
def test_a_damaged_file_is_one_line(tmp_path, form, content):
    path = tmp_path / f"model{form}"
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as a Keras 2 model"):
        model_files.load(str(path))


def test_code_is_found_in_a_file_of_both_formats(tmp_path):
    """A zip archive may follow anything, and Keras decides by the name which of the two it reads."""
    path, _ = saved(tmp_path, writing(str(tmp_path / "written")), ".h5")
    harmless, _ = saved(tmp_path, layers.ReLU(), ".keras")
    both = tmp_path / "both.h5"
    both.write_bytes(pathlib.Path(path).read_bytes() + pathlib.Path(harmless).read_bytes())
    with pytest.raises(UserError, match="holds Lambda"):
        model_files.load(str(both))
