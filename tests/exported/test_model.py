"""An export opened in Python: it answers as the network in memory does, for images and classes of every form."""

import doctest
import io
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import tensorflow as tf

import bgsnet_tf
from bgsnet_tf.errors import UserError
from bgsnet_tf.exported import explanation
from bgsnet_tf.exported import model as module
from bgsnet_tf.model.backbones import backbone
from bgsnet_tf.model.bgsnet import BGSNet
from bgsnet_tf.model.layers import Predictor
from bgsnet_tf.serving import versions

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(exported):
    return bgsnet_tf.load(os.path.join(exported.directory, "1"))


def pixels(contents):
    return np.array(PIL.Image.open(io.BytesIO(contents)).convert("RGB"))


def test_the_examples_of_the_docstrings(exported, model):
    for holder, names in ((module, {"model": model, "photo": exported.image_bytes[0]}), (explanation, {})):
        for example in doctest.DocTestFinder().find(holder, globs={**vars(holder), **names}):
            assert doctest.DocTestRunner().run(example).failed == 0


def test_tensorflow_loads_with_the_first_export_and_not_before():
    program = "import sys, bgsnet_tf; print('tensorflow' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_it_knows_its_classes_and_attributes(exported, model):
    benchmark = exported.benchmark
    assert model.class_names == benchmark.class_names and model.attribute_names == benchmark.attribute_names
    np.testing.assert_array_equal(model.class_attributes, benchmark.attributes)
    assert np.flatnonzero(model.seen).tolist() == benchmark.seen_classes.tolist()
    assert model.delta == exported.delta and model.description.dataset == benchmark.name
    assert (model.description.image_size, model.description.resize) == (exported.views.size, exported.views.resize)


@pytest.mark.parametrize("given", ["bytes", "paths", "arrays", "one array", "PIL"])
def test_predict_takes_images_of_every_form(exported, model, tmp_path, given):
    files = exported.image_bytes
    paths = [tmp_path / f"{i}.jpg" for i in range(len(files))]
    for path, contents in zip(paths, files):
        path.write_bytes(contents)
    images = {
        "bytes": files,
        "paths": paths,
        "arrays": [pixels(contents) for contents in files],
        "one array": np.stack([pixels(contents) for contents in files]),
        "PIL": [PIL.Image.open(path) for path in paths],
    }[given]
    table = model.predict(images, top_k=6)
    assert table.columns.tolist() == ["image", "rank", "class", "score"] and table["rank"].tolist() == [1, 2, 3, 4, 5, 6] * 8
    assert table["image"].drop_duplicates().tolist() == ([str(path) for path in paths] if given == "paths" else list(range(8)))
    scores = np.sort(-exported.expected_scores(), axis=1).ravel() * -1
    decoders_differ = given in ("arrays", "one array", "PIL")  # by a few of 255, for Pillow and TensorFlow decode JPEG each in its way
    np.testing.assert_allclose(table["score"], scores, atol=0.2 if decoders_differ else 1e-4)
    if not decoders_differ:
        assert table["class"][::6].tolist() == [model.class_names[c] for c in exported.expected_scores().argmax(axis=1)]


def test_a_single_image_needs_no_list(exported, model):
    photo = exported.image_bytes[5]
    pd.testing.assert_frame_equal(model.predict(photo), model.predict([photo]))
    np.testing.assert_array_equal(model.attributes(pixels(photo)), model.attributes([pixels(photo)]))


def test_more_images_than_a_batch(exported, model):
    table = model.predict(exported.image_bytes * 5, top_k=1)
    assert table["image"].tolist() == list(range(40)) and table["class"][:8].tolist() == table["class"][32:].tolist()


def test_no_image_at_all(model):
    assert model.predict([]).columns.tolist() == ["image", "rank", "class", "score"]
    assert model.attributes([]).shape == (0, 4)


def test_delta_lowers_the_seen_classes(exported, model):
    table = model.predict(exported.image_bytes[0], top_k=6, delta=100.0)
    assert set(table["class"][:2]) == {"yellow", "cyan"}
    trained = model.predict(exported.image_bytes, top_k=6)
    given = model.predict(exported.image_bytes, top_k=6, delta=exported.delta)
    pd.testing.assert_frame_equal(trained, given, atol=1e-4)


NEW = {"pink": [1, 0.7, 0.7, 0.5], "brown": [0.5, 0.3, 0, 0.5]}


@pytest.mark.parametrize("form", ["vectors", "attributes", "frame", "frame with a column of classes", "file", "shuffled file"])
def test_classes_of_every_form_are_the_same(exported, model, tmp_path, form):
    names = list(model.attribute_names)
    frame = pd.DataFrame.from_dict(NEW, orient="index", columns=names)
    frame.rename_axis("class").to_csv(tmp_path / "new.csv")
    frame[names[::-1]].rename_axis("class").to_csv(tmp_path / "shuffled.csv")
    classes = {
        "vectors": NEW,
        "attributes": {name: {a: v for a, v in zip(names, values) if v} for name, values in NEW.items()},
        "frame": frame,
        "frame with a column of classes": frame.rename_axis("class").reset_index(),
        "file": str(tmp_path / "new.csv"),
        "shuffled file": tmp_path / "shuffled.csv",
    }[form]
    table = model.predict(exported.image_bytes, classes, top_k=2)
    phi = np.array(list(NEW.values())) / np.linalg.norm(list(NEW.values()), axis=1, keepdims=True)
    expected = exported.expected()["fused"] @ phi.T
    np.testing.assert_allclose(table["score"], -np.sort(-expected, axis=1).ravel(), atol=1e-4)
    assert table["class"][::2].tolist() == [list(NEW)[c] for c in expected.argmax(axis=1)]


def test_the_exports_own_table_of_classes_gives_what_the_export_gives(exported, model):
    table = model.predict(exported.image_bytes, os.path.join(exported.directory, "1", "assets", "classes.csv"))
    pd.testing.assert_frame_equal(table, model.predict(exported.image_bytes), atol=1e-4)


def test_attributes_of_every_branch(exported, model):
    for branch, expected in exported.expected().items():
        np.testing.assert_allclose(model.attributes(exported.image_bytes, branch), expected, atol=1e-4)
        np.testing.assert_array_equal(model.branches(exported.image_bytes)[branch], model.attributes(exported.image_bytes, branch))


@pytest.mark.parametrize("branch", ["fused", "general", "special"])
def test_explain(exported, model, branch):
    photo = exported.image_bytes[2]
    found = model.explain(photo, branch=branch)
    assert found.names == model.attribute_names and found.maps.shape[2] == 4
    np.testing.assert_allclose(found.maps.sum((0, 1)) + found.constant, exported.expected([photo])[branch][0], atol=1e-4)
    some = model.explain(photo, ["b", 0], branch)
    assert some.names == ("b", "r")
    np.testing.assert_array_equal(some.maps, found.maps[..., [2, 0]])
    np.testing.assert_allclose(found.image, np.clip(exported.views(tf.io.decode_image(photo)), 0, 255), atol=0.51)


def test_compare_explains_the_difference_of_two_scores(exported, model):
    photo = exported.image_bytes[2]
    scores = model.predict(photo, top_k=6, delta=0.0).set_index("class")["score"]
    found = model.compare(photo, "red", "cyan")
    assert found.total("red over cyan").values[0] == pytest.approx(scores["red"] - scores["cyan"], abs=1e-4)
    both = model.compare(photo, "pink", "brown", classes=NEW).total()
    scores = model.predict(photo, NEW).set_index("class")["score"]
    assert both.maps.sum() + both.constant[0] == pytest.approx(scores["pink"] - scores["brown"], abs=1e-4)


def test_a_plot_has_a_panel_an_attribute(exported, model, tmp_path):
    found = model.explain(exported.image_bytes[0])
    figure = found.strongest(3).plot()
    figure.savefig(tmp_path / "plot.png")
    titles = [axis.get_title() for axis in figure.axes]
    order = np.argsort(-np.abs(found.values))[:3]
    assert titles == [f"{found.names[i]}: {found.values[i]:.2f}" for i in order]
    assert all(len(axis.get_images()) == 1 for axis in figure.axes)


MISTAKES = {
    "text": (lambda m, p: m.predict([p, b"no image"]), "image 1: is neither a JPEG nor a PNG file"),
    "no file": (lambda m, p: m.predict("nowhere.jpg"), "nowhere.jpg cannot be read: No such file"),
    "floats": (lambda m, p: m.predict(np.zeros([4, 4, 3])), "image 0 is a ndarray of float64"),
    "too long": (lambda m, p: m.attributes([p, np.zeros([1, 200, 3], np.uint8)]), "image 1: is 200×1"),
    "no class": (lambda m, p: m.predict(p, {}), "no class"),
    "unknown attribute": (lambda m, p: m.predict(p, {"a": {"constan": 1}}), "is it 'constant'"),
    "zeros": (lambda m, p: m.predict(p, {"a": [0, 0, 0, 0]}), "no direction"),
    "NaN": (lambda m, p: m.predict(p, {"a": [np.nan, 0, 0, 1]}), "no finite number"),
    "short": (lambda m, p: m.predict(p, {"a": [1, 2]}), "has 4 attributes"),
    "columns": (lambda m, p: m.predict(p, pd.DataFrame({"r": [1.0], "g": [0.0]})), "no column 'b'"),
    "a list": (lambda m, p: m.predict(p, ["red"]), "given as list"),
    "rank 0": (lambda m, p: m.predict(p, top_k=0), "top_k=0"),
    "branch": (lambda m, p: m.attributes(p, "both"), "which has fused, general, special"),
    "attribute": (lambda m, p: m.explain(p, ["constan"]), "is it 'constant'"),
    "two images": (lambda m, p: m.explain([p, p]), "of a single image"),
    "no image": (lambda m, p: m.explain([]), "of a single image"),
    "number": (lambda m, p: m.explain(p, [4]), "from 0 to 3"),
    "class": (lambda m, p: m.compare(p, "red", "purple"), "there is no class 'purple'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(exported, model, name):
    call, message = MISTAKES[name]
    with pytest.raises(UserError, match=message):
        call(model, exported.image_bytes[0])


def test_an_export_without_the_newer_files_still_predicts_its_own_classes(exported, model, tmp_path):
    shutil.copytree(os.path.join(exported.directory, "1"), tmp_path / "1")
    for name in ("classes.csv", "model.json", "attribute_names.txt"):
        (tmp_path / "1" / "assets" / name).unlink()
    old = module.ExportedModel(tmp_path / "1")
    pd.testing.assert_frame_equal(old.predict(exported.image_bytes), model.predict(exported.image_bytes))
    with pytest.raises(UserError, match="write the export again"):
        old.predict(exported.image_bytes, NEW)


def test_a_folder_without_an_export(tmp_path):
    with pytest.raises(UserError, match="holds no export"):
        bgsnet_tf.load(tmp_path)


def test_a_backbone_without_heat_maps_is_exported_and_named(exported, tmp_path):
    inputs = tf.keras.Input([32, 32, 3])
    outputs = tf.keras.layers.Conv2D(4, 3, 4, name="cut")(inputs)
    outputs = tf.keras.layers.GlobalMaxPooling2D(name="largest")(tf.keras.layers.Conv2D(5, 3)(outputs))
    trunk, tail = backbone.split(tf.keras.Model(inputs, outputs), tf.identity, "cut")
    bgsnet = BGSNet(trunk, tail, Predictor(4))
    bgsnet(tf.zeros([1, 32, 32, 3]))
    model = bgsnet_tf.load(versions.write_next(bgsnet, exported.benchmark, exported.views, 0.7, str(tmp_path)))
    assert model.predict(exported.image_bytes[0]).shape == (5, 4)
    with pytest.raises(UserError, match="no heat maps of this backbone: its layer largest"):
        model.explain(exported.image_bytes[0])
