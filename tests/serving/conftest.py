"""One export of an untrained BGSNet, shared by all tests of serving."""

import dataclasses
import functools
import importlib.util
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.data import tables
from bgsnet_tf.data.benchmark import Benchmark
from bgsnet_tf.data.images import Views
from bgsnet_tf.model import backbone
from bgsnet_tf.model.bgsnet import BGSNet
from bgsnet_tf.model.bsnet import BSNet, phases
from bgsnet_tf.model.layers import Predictor
from bgsnet_tf.serving import versions
from bgsnet_tf.serving.server_files import MODEL_NAME
from tests.conftest import write_tiny

SUBMODULES = 3
FORMATS = [
    "tfrecord",
    pytest.param("parquet", marks=pytest.mark.skipif(not importlib.util.find_spec("pyarrow"), reason="PyArrow is not installed")),
]


@dataclasses.dataclass(frozen=True)
class Exported:
    """A network, what it was exported with, and the folder of its versions, of which there is one."""

    bgsnet: BGSNet
    benchmark: Benchmark
    views: Views
    delta: float
    directory: str

    @functools.cached_property
    def network(self):
        return tf.function(self.bgsnet.call, reduce_retracing=True)

    @functools.cached_property
    def image_bytes(self):
        """Files of the test images."""
        rows = np.concatenate([self.benchmark.test_seen[:4], self.benchmark.test_unseen[:4]])
        return [pathlib.Path(path).read_bytes() for path in self.benchmark.paths[rows]]

    def expected(self, image_bytes=None):
        """The branches of the network in memory, as training computes them: `fused`, `general`, `special` (B, A)."""
        files = image_bytes or self.image_bytes
        images = tf.stack([self.views(tf.io.decode_image(contents, channels=3)) for contents in files])
        return {name: output.numpy() for name, output in self.network(images).items()}

    def expected_scores(self, image_bytes=None):
        """Calibrated scores (B, C)."""
        scores = self.expected(image_bytes)["fused"] @ self.benchmark.phi.T
        scores[:, self.benchmark.seen_classes] -= self.delta
        return scores


def untrained_bgsnet(benchmark, size):
    """All parts of BGSNet at random, with gates that differ and outputs that depend on the image."""
    tf.keras.utils.set_random_seed(0)
    trunk, tail = backbone.build("small", "none", size)
    trunk(tf.zeros([1, size, size, 3]))
    phi = benchmark.phi[benchmark.seen_classes]
    general = Predictor(phi.shape[1], 8)
    bsnet = BSNet([tail.copy() for _ in range(SUBMODULES)], phi, phases("sequential", 1, 1)[-1], b_hidden=4, s_hidden=6)
    graph = tail.graph
    general(tf.zeros([1, graph.output_shape[-1]]))
    bsnet((tf.zeros([1, *graph.input_shape[1:]]), tf.zeros([1, graph.output_shape[-1]])))
    for part in bsnet.tails:
        for weights in part.trainable_weights:
            weights.assign_add(tf.random.normal(weights.shape, stddev=0.02))
    bsnet.gate.w.assign([0.3, -0.4, 0.1])
    return BGSNet(trunk, tail, general, bsnet)


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    root = tmp_path_factory.mktemp("serving")
    write_tiny(root / "tiny")
    benchmark = tables.load(str(root / "tiny"))
    bgsnet, views, delta = untrained_bgsnet(benchmark, 32), Views(32, 36, "crop_flip"), 0.7
    versions.write_next(bgsnet, benchmark, views, delta, str(root / "export"))
    return Exported(bgsnet, benchmark, views, delta, str(root / "export"))


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
