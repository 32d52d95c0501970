"""One export of an untrained BGSNet, shared by all tests that need a network and no training."""

import dataclasses
import functools
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.data.benchmark import Benchmark
from bgsnet_tf.data.images import Views
from bgsnet_tf.data.reading import tables
from bgsnet_tf.model.backbones import backbone
from bgsnet_tf.model.bgsnet import BGSNet
from bgsnet_tf.model.bsnet import BSNet, phases
from bgsnet_tf.model.layers import Predictor
from bgsnet_tf.serving import versions
from tests.tiny import BACKBONE, CUT, write_tiny

SUBMODULES = 3


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


def untrained_bgsnet(benchmark, size, network=None):
    """All parts of BGSNet at random, with gates that differ and outputs that depend on the image; `network`: another (trunk, tail)."""
    tf.keras.utils.set_random_seed(0)
    trunk, tail = network or backbone.build(str(BACKBONE), "none", size, "tf", CUT)
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
