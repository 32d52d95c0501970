"""A stand-in for TF Serving, and records of offline scoring, for all tests of serving."""

import importlib.util
import os

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.serving.server_files import MODEL_NAME

FORMATS = [
    "tfrecord",
    pytest.param("parquet", marks=pytest.mark.skipif(not importlib.util.find_spec("pyarrow"), reason="PyArrow is not installed")),
]


@pytest.fixture(scope="session")
def served(exported):
    """(`Models`, REST address, gRPC address) of a stand-in for TF Serving over the export."""
    pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")
    from tests.serving import harness

    with harness.serve(exported.directory, MODEL_NAME) as addresses:
        yield addresses


@pytest.fixture
def photos(exported, tmp_path):
    """Eight image files, the fourth broken."""
    (tmp_path / "photos").mkdir()
    for i, contents in enumerate(exported.image_bytes):
        (tmp_path / "photos" / f"{i}.jpg").write_bytes(b"no image" if i == 3 else contents)
    return tmp_path / "photos"


def read_records(output):
    """path to (class name, score, attributes) of all records of all shards of offline scoring."""
    found = {}
    for name in sorted(os.listdir(output)):
        path = os.path.join(output, name)
        if name.endswith(".tfrecord"):
            for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
                features = tf.train.Example.FromString(record).features.feature
                texts = [os.fsdecode(features[key].bytes_list.value[0]) for key in ("image", "class_name")]
                found[texts[0]] = texts[1], features["score"].float_list.value[0], list(features["attributes"].float_list.value)
        if name.endswith(".parquet"):
            from pyarrow import parquet

            for row in parquet.read_table(path).to_pylist():
                found[row["image"]] = row["class_name"], row["score"], row["attributes"]
    return found


def assert_scored(found, exported, photos):
    """Asserts that the records are those of the good images of `photos`."""
    scores, attributes = exported.expected_scores(), exported.expected()["fused"]
    assert sorted(found) == [str(photos / f"{i}.jpg") for i in (0, 1, 2, 4, 5, 6, 7)]
    for i in (0, 1, 2, 4, 5, 6, 7):
        name, score, values = found[str(photos / f"{i}.jpg")]
        assert name == exported.benchmark.class_names[scores[i].argmax()]
        assert score == pytest.approx(scores[i].max(), abs=1e-5)
        np.testing.assert_allclose(values, attributes[i], rtol=1e-5, atol=1e-5)
