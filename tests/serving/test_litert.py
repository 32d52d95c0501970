"""LiteRT files of a network: their signature, their agreement with the network, and what is refused."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf import commands
from bgsnet_tf.errors import UserError
from bgsnet_tf.exported import layout
from bgsnet_tf.model.backbones import backbone
from bgsnet_tf.serving import litert
from tests import tiny
from tests.conftest import ROOT
from tests.exports import untrained_bgsnet

TOLERANCE = {"float16": 5e-3, "int8": 5e-2}  # of attributes, relative to the largest: 11 and 8 bits of the weights, through some layers


@pytest.fixture(scope="module")
def written(exported, tmp_path_factory):
    """Kind to the path of its file."""
    directory = tmp_path_factory.mktemp("litert") / "1"
    return litert.write(exported.bgsnet, exported.views.size, f"{exported.directory}/1", str(directory))


@pytest.mark.parametrize("kind", litert.KINDS)
def test_attributes_are_those_of_the_network(exported, written, kind):
    network = litert.Interpreted(written[kind], 1)
    views = np.stack([np.rint(exported.views(tf.io.decode_image(contents, channels=3))) for contents in exported.image_bytes])
    expected = exported.network(views)["fused"].numpy()
    found = np.concatenate([network.attributes(view[np.newaxis].astype(np.uint8)) for view in views])
    assert found.shape == expected.shape and np.abs(found - expected).max() < TOLERANCE[kind] * np.abs(expected).max()
    assert np.ptp(found, axis=0).max() > 0.01 * np.abs(expected).max()  # they depend on the image


@pytest.mark.long
def test_narrower_weights_are_smaller_files(exported, tmp_path):
    wide = backbone.split(tiny.backbone(width=96), tf.identity, tiny.CUT)  # whose weights are most of a file
    bgsnet = untrained_bgsnet(exported.benchmark, 32, wide)
    whole = sum(weights.numpy().nbytes for weights in bgsnet.weights)
    written = litert.write(bgsnet, 32, f"{exported.directory}/1", str(tmp_path / "1"))
    sizes = {kind: os.path.getsize(path) for kind, path in written.items()}
    assert sizes["int8"] < sizes["float16"] < 0.7 * whole


def test_the_classes_lie_beside(exported, written):
    directory = pathlib.Path(written["int8"]).parent
    assert sorted(os.listdir(directory)) == ["classes.csv", "float16.tflite", "int8.tflite", "model.json"]
    for name in (layout.CLASSES, layout.MODEL):
        assert (directory / name).read_bytes() == pathlib.Path(exported.directory, "1", "assets", name).read_bytes()


def test_the_python_of_the_page_on_telephones_runs(exported, written, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(exported.image_bytes[0])
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "phones.md").read_text(encoding="utf-8"), re.DOTALL)
    program = example.replace("runs/demo/litert/1", os.path.dirname(written["float16"]))
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    name, score = result.stdout.split()
    scores = exported.expected_scores()[0]
    assert name == exported.benchmark.class_names[scores.argmax()] and float(score) == pytest.approx(scores.max(), abs=0.05)


class Uncovered(tf.Module):
    """A network with an operation that LiteRT lacks."""

    def call(self, images):
        return {"fused": tf.math.bessel_i0(tf.reduce_mean(images, [1, 2]))}


def test_an_operation_that_is_not_covered_is_named_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(litert, "folded", lambda bgsnet: Uncovered())
    with pytest.raises(UserError, match="cannot be converted to LiteRT: it has no operation BesselI0$"):
        litert.write(None, 32, "never read", str(tmp_path / "1"))
    assert os.listdir(tmp_path) == []


@pytest.mark.long
def test_the_command_prints_a_table_beside_the_savedmodel(tiny_config, capsys):
    config = tiny_config.replace(finetune_epochs=1, meta=False, bsnet=False)
    commands.train(config)
    commands.export(config, kind="litert")
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if "same class %" in line)
    rows = {line.split()[0]: line.split()[1:] for line in lines[start + 1 :]}
    assert list(rows) == ["SavedModel", "float16", "int8"] and rows["SavedModel"][5] == "100.0"
    assert os.listdir(f"{config.run.run_dir}/export/") and sorted(os.listdir(f"{config.run.run_dir}/litert")) == ["1"]
    size, *accuracies = map(float, rows["float16"][:5])
    assert size == pytest.approx(os.path.getsize(f"{config.run.run_dir}/litert/1/float16.tflite") / 1e6, abs=0.06)
    assert all(0 <= accuracy <= 100 for accuracy in accuracies)
