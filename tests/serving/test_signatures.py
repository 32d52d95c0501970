"""Every signature of the reloaded SavedModel against the network in memory."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from bgsnet_tf.model.folding import folded

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def signatures(exported):
    return tf.saved_model.load(os.path.join(exported.directory, "1")).signatures


def example(contents):
    """A serialized tf.Example of an image file."""
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[contents]))
    return tf.train.Example(features=tf.train.Features(feature={"image/encoded": feature})).SerializeToString()


def numpy(outputs):
    return {name: output.numpy() for name, output in outputs.items()}


def test_the_images_of_these_tests_differ(exported):
    assert np.min(np.ptp(exported.expected()["fused"], axis=0)) > 100 * TOLERANCE["atol"]


def assert_classified(outputs, exported, image_bytes=None):
    scores = exported.expected_scores(image_bytes)
    assert set(outputs) == {"scores", "class_index", "class_name", "attributes"}
    np.testing.assert_allclose(outputs["scores"], scores, **TOLERANCE)
    np.testing.assert_allclose(outputs["attributes"], exported.expected(image_bytes)["fused"], **TOLERANCE)
    np.testing.assert_array_equal(outputs["class_index"], scores.argmax(axis=1))
    assert [name.decode() for name in outputs["class_name"]] == [exported.benchmark.class_names[c] for c in scores.argmax(axis=1)]


def test_serving_default(exported, signatures):
    assert_classified(numpy(signatures["serving_default"](image_bytes=tf.constant(exported.image_bytes))), exported)


def test_delta_lowers_seen_classes_alone(exported, signatures):
    outputs = numpy(signatures["serving_default"](image_bytes=tf.constant(exported.image_bytes)))
    lowered = outputs["attributes"] @ exported.benchmark.phi.T - outputs["scores"]
    is_seen = np.isin(np.arange(6), exported.benchmark.seen_classes)
    np.testing.assert_allclose(lowered, np.tile(0.7 * is_seen, (8, 1)), atol=1e-5)


def test_images(exported, signatures):
    images = tf.stack([tf.io.decode_image(contents, channels=3) for contents in exported.image_bytes])
    assert_classified(numpy(signatures["images"](images=images)), exported)


def test_attributes(exported, signatures):
    outputs = numpy(signatures["attributes"](image_bytes=tf.constant(exported.image_bytes)))
    expected = exported.expected()
    assert set(outputs) == {"attributes", "attributes_general", "attributes_special"}
    for name, branch in (("attributes", "fused"), ("attributes_general", "general"), ("attributes_special", "special")):
        np.testing.assert_allclose(outputs[name], expected[branch], **TOLERANCE)


def test_explain_gives_each_image_the_maps_it_asks_for(exported, signatures):
    indices = np.tile([[2, 0, 2]], (8, 1)).astype(np.int32)
    indices[3] = [3, 1, 0]
    outputs = numpy(signatures["explain"](image_bytes=tf.constant(exported.image_bytes), attribute_indices=tf.constant(indices)))
    expected = exported.expected()
    assert len(outputs) == 9
    for suffix, branch in (("", "fused"), ("_general", "general"), ("_special", "special")):
        attributes = np.take_along_axis(expected[branch], indices, axis=1)
        np.testing.assert_allclose(outputs[f"maps{suffix}"].sum((1, 2)) + outputs[f"constants{suffix}"], attributes, atol=1e-4)
        np.testing.assert_allclose(outputs[f"attributes{suffix}"], attributes, atol=1e-4)
    assert np.ptp(outputs["maps"], axis=(1, 2)).min() > 1e-3, "maps of more than one position"


@pytest.mark.parametrize("indices, message", [([[4]], "from 0 to 3"), ([[-1]], "from 0 to 3"), ([[0], [0]], "first dimension")])
def test_explain_refuses_attributes_that_are_not_there(exported, signatures, indices, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures["explain"](image_bytes=tf.constant(exported.image_bytes[:1]), attribute_indices=tf.constant(indices))


@pytest.mark.parametrize("scale", [1, 1e30, 1e-30])
def test_zero_shot_with_other_classes_for_every_image(exported, signatures, scale):
    classes = np.random.default_rng(0).normal(size=(8, 5, 4)).astype(np.float32)
    outputs = numpy(signatures["zero_shot"](image_bytes=tf.constant(exported.image_bytes), class_attributes=tf.constant(classes * scale)))
    normalized = classes / np.linalg.norm(classes, axis=2, keepdims=True)
    scores = np.einsum("ba,bca->bc", exported.expected()["fused"], normalized)
    np.testing.assert_allclose(outputs["scores"], scores, **TOLERANCE)
    np.testing.assert_array_equal(outputs["class_index"], scores.argmax(axis=1))


def test_zero_shot_with_the_unseen_classes_equals_evaluation(exported, signatures):
    unseen = exported.benchmark.unseen_classes
    attributes = np.tile(exported.benchmark.attributes[unseen], (8, 1, 1))
    outputs = numpy(signatures["zero_shot"](image_bytes=tf.constant(exported.image_bytes), class_attributes=attributes))
    np.testing.assert_allclose(outputs["scores"], exported.expected_scores()[:, unseen], **TOLERANCE)


def test_classify_names_the_best_first(exported, signatures):
    outputs = numpy(signatures["classify"](inputs=tf.constant([example(contents) for contents in exported.image_bytes])))
    scores = exported.expected_scores()
    np.testing.assert_allclose(outputs["scores"], -np.sort(-scores, axis=1), **TOLERANCE)
    names = np.array(exported.benchmark.class_names)[np.argsort(-scores, axis=1)]
    np.testing.assert_array_equal(np.char.decode(outputs["classes"].astype(bytes)), names)


def test_the_batch_dimension_is_free_and_images_do_not_mix(exported, signatures):
    for files in (exported.image_bytes[3:4], exported.image_bytes[::-1]):
        assert_classified(numpy(signatures["serving_default"](image_bytes=tf.constant(files))), exported, files)


FRESH = """
import sys
import numpy as np, tensorflow as tf

signatures = tf.saved_model.load(sys.argv[1]).signatures
given = np.load(sys.argv[2], allow_pickle=True)
files, images, classes = tf.constant(given["files"].tolist()), tf.constant(given["images"]), tf.constant(given["classes"])
outputs = {
    "serving_default": signatures["serving_default"](image_bytes=files)["scores"],
    "images": signatures["images"](images=images)["scores"],
    "zero_shot": signatures["zero_shot"](image_bytes=files, class_attributes=classes)["scores"],
    "attributes": signatures["attributes"](image_bytes=files)["attributes"],
    "classify": signatures["classify"](inputs=tf.constant(given["examples"].tolist()))["scores"],
    "explain": signatures["explain"](image_bytes=files, attribute_indices=tf.tile([[0, 1, 2, 3]], [len(given["files"]), 1]))["attributes"],
}
np.savez(sys.argv[3], **outputs)
"""


def test_every_signature_gives_the_same_scores_in_a_fresh_process(exported, tmp_path):
    files = exported.image_bytes
    images = [tf.io.decode_image(contents, channels=3).numpy() for contents in files]
    classes = np.tile(exported.benchmark.attributes[exported.benchmark.unseen_classes], (len(files), 1, 1)).astype(np.float32)
    given = {
        "files": np.array(files, object),
        "images": images,
        "classes": classes,
        "examples": np.array([*map(example, files)], object),
    }
    np.savez(tmp_path / "given.npz", **given)
    arguments = [os.path.join(exported.directory, "1"), tmp_path / "given.npz", tmp_path / "outputs.npz"]
    subprocess.run([sys.executable, "-c", FRESH, *arguments], timeout=300, check=True)
    scores, attributes = exported.expected_scores(), exported.expected()["fused"]
    expected = {
        "serving_default": scores,
        "images": scores,
        "zero_shot": scores[:, exported.benchmark.unseen_classes],
        "attributes": attributes,
        "classify": -np.sort(-scores, axis=1),
        "explain": attributes,
    }
    outputs = np.load(tmp_path / "outputs.npz")
    assert set(outputs) == set(expected)
    for name in outputs:
        np.testing.assert_allclose(outputs[name], expected[name], **TOLERANCE)


def test_the_session_that_a_server_runs_gives_the_same_scores(exported):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], os.path.join(exported.directory, "1"))
        signature = meta_graph.signature_def["serving_default"]
        scores = session.run(signature.outputs["scores"].name, {signature.inputs["image_bytes"].name: exported.image_bytes})
    np.testing.assert_allclose(scores, exported.expected_scores(), **TOLERANCE)


def test_method_names_are_those_that_predict_and_classify_want(exported):
    saved = saved_model_pb2.SavedModel()
    with open(os.path.join(exported.directory, "1", "saved_model.pb"), "rb") as file:
        saved.ParseFromString(file.read())
    methods = {name: signature.method_name for name, signature in saved.meta_graphs[0].signature_def.items() if not name.startswith("__")}
    predict = dict.fromkeys(("serving_default", "images", "zero_shot", "attributes", "explain"), "tensorflow/serving/predict")
    assert methods == {**predict, "classify": "tensorflow/serving/classify"}


def test_the_export_holds_the_networks_variables_and_nothing_else(exported):
    stored = dict(tf.train.list_variables(os.path.join(exported.directory, "1", "variables", "variables")))
    arrays = [shape for name, shape in stored.items() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    bgsnet = folded(exported.bgsnet)
    parts = [bgsnet.trunk, bgsnet.general_tail, bgsnet.general_predictor, *bgsnet.bsnet.tails]
    parts += [bgsnet.bsnet.balance, bgsnet.bsnet.gate, bgsnet.bsnet.predictor]
    weights = [list(w.shape) for part in parts for w in part.weights]
    assert sorted(map(list, arrays)) == sorted(weights)
