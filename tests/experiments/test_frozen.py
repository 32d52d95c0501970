"""The table of linear maps on frozen features: its rows, what it keeps, and what it refuses."""

import pathlib

import numpy as np
import pandas as pd
import pytest

from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.errors import UserError
from bgsnet_tf.experiments import frozen
from bgsnet_tf.model.backbones import backbone
from bgsnet_tf.training import stages
from tests.whole_runs import SMALL


@pytest.fixture
def own_backbone(tiny_config, tmp_path):
    """Settings whose backbone is a model file."""
    trunk, tail = backbone.build("small", "none", 32)
    trunk.graph.save(tmp_path / "network.h5")
    cut = trunk.graph.layers[3].name  # too small for nine convolutions behind the cut
    return tiny_config.replace(
        backbone=str(tmp_path / "network.h5"),
        backbone_weights="imagenet",
        preprocessing="tf",
        split_layer=cut,
        run_dir=str(tmp_path / "frozen"),
    )


def test_every_combination_has_a_row_and_features_are_computed_once(own_backbone, monkeypatch):
    settings = own_backbone
    means = frozen.run(settings, [32, 48], draws=2)
    assert len(means) == 2 * 2 * 3  # image sizes, φ, and three models
    assert means["T mean"].between(0, 100).all()
    table = pd.read_csv(f"{settings.run.run_dir}/frozen.csv")
    assert set(table["draw"]) == {0, 1} and (table.groupby(["image_size", "phi", "e", "model"]).size() == 2).all()
    monkeypatch.setattr(stages, "build_backbone", None)  # calling it would fail
    again = frozen.run(settings, [32, 48], draws=2)
    np.testing.assert_array_equal(again["AUSUC mean"], means["AUSUC mean"])


def test_no_test_row_is_looked_at(own_backbone, tmp_path):
    benchmark = load_benchmark(own_backbone.data)
    for row in (*benchmark.test_seen, *benchmark.test_unseen):
        pathlib.Path(benchmark.paths[row]).write_bytes(b"no image")  # reading it would fail
    frozen.run(own_backbone, [32], draws=1)


def test_a_backbone_that_starts_at_random_is_refused(tiny_config):
    with pytest.raises(UserError, match="starts at random"):
        frozen.run(tiny_config.replace(**SMALL), [32], draws=1)
