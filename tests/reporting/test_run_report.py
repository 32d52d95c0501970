"""What evaluate.py writes of a calibrated run: the report's parts from real networks, and TensorBoard's view of them."""

import contextlib
import csv
import io
import json
import os
import pathlib
import shutil

import matplotlib.image
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from bgsnet_tf import commands, files
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.evaluation import calibration
from bgsnet_tf.reporting import result_tables, run_report
from bgsnet_tf.scoring.inference import THUMBNAIL
from bgsnet_tf.training.run import Run


@pytest.fixture(scope="module")
def evaluated(calibrated, tmp_path_factory):
    """Settings of a run that chose δ in a validation run below it, evaluated twice, and the results."""
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    shutil.copytree(calibrated.run.run_dir, folder)
    config = calibrated.replace(run_dir=str(folder))
    with contextlib.redirect_stdout(io.StringIO()):
        commands.evaluate(config)
        return config, commands.evaluate(config)


def events(config):
    folder = pathlib.Path(config.run.run_dir, "logs", "evaluation")
    (path,) = folder.glob("events.*")  # that of the first evaluation is gone
    return {value.tag: value for event in tf.compat.v1.train.summary_iterator(str(path)) for value in event.summary.value}


def test_tensorboard_shows_the_figures_of_the_report(evaluated):
    written = events(evaluated[0])
    figures = list(pathlib.Path(evaluated[0].run.run_dir, "figures").glob("*.png"))
    images = {tag for tag, value in written.items() if value.metadata.plugin_data.plugin_name == "images"}
    assert {path.stem for path in figures} == {tag for tag in images if "/" not in tag} and "calibration" in written
    for path in figures:
        shown = tf.io.decode_png(written[path.stem].tensor.string_val[2])
        np.testing.assert_array_equal(shown, tf.io.decode_png(path.read_bytes()))


def test_tensorboard_shows_the_maps_of_the_examples(evaluated):
    written = {tag: value for tag, value in events(evaluated[0]).items() if tag.startswith("heat_maps/")}
    assert written
    for value in written.values():
        pixels = tf.io.decode_png(value.tensor.string_val[2])
        assert pixels.shape == (32, 4 * 32, 3) and "maps: " in value.metadata.summary_description
        photo, *maps = np.split(pixels.numpy().astype(int), 4, axis=1)
        assert all(np.abs(photo - shown).max() > 20 for shown in maps[:1])


def test_tensorboard_has_flags_beside_results(evaluated):
    config, results = evaluated
    written = events(config)
    for name, value in results["fused"].items():
        assert float(tf.make_ndarray(written[f"results/{name}"].tensor)) == pytest.approx(value)
    data = written["_hparams_/session_start_info"].metadata.plugin_data.content
    flags = HParamsPluginData.FromString(data).session_start_info.hparams
    assert set(flags) == set(config.values()) and flags["delta"].number_value == config.evaluation.delta


def test_the_projector_has_images_and_prototypes(evaluated):
    config = evaluated[0]
    folder = pathlib.Path(config.run.run_dir, "logs", "evaluation")
    (embedding,) = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig()).embeddings
    points = np.loadtxt(folder / embedding.tensor_path, delimiter="\t")
    with open(folder / embedding.metadata_path, newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    benchmark = load_benchmark(config.data)
    assert len(points) == len(rows) == len(benchmark.test_unseen) + len(benchmark.test_seen) + 6
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(points[-6:], benchmark.phi, atol=1e-4)
    assert [row["class"] for row in rows[-6:]] == list(benchmark.class_names)
    assert all((row["split"] == "unseen") == (row["class"] in ("yellow", "cyan")) for row in rows)
    assert {row["kind"] for row in rows[:-6]} == {"image"} and {row["kind"] for row in rows[-6:]} == {"prototype"}
    sprite = matplotlib.image.imread(folder / embedding.sprite.image_path)
    side = sprite.shape[0] // THUMBNAIL
    assert sprite.shape == (side * THUMBNAIL, side * THUMBNAIL, 3) and side**2 >= len(rows)
    for i, row in enumerate(rows[:-6]):  # images are noise around their class's colour
        y, x = THUMBNAIL * (i // side), THUMBNAIL * (i % side)
        colour = sprite[y : y + THUMBNAIL, x : x + THUMBNAIL].mean(axis=(0, 1)) > 0.4
        assert (*colour,) == {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "white": (1, 1, 1)}.get(
            row["class"], {"yellow": (1, 1, 0), "cyan": (0, 1, 1)}.get(row["class"])
        )


def test_a_final_report_draws_the_curve_of_the_validation_run_and_none_of_its_own(evaluated):
    config, results = evaluated
    root = pathlib.Path(config.run.run_dir)
    curve = result_tables.read_curve(root / "validation", "fused")
    assert calibration.peak(curve) == pytest.approx(results["delta"], abs=1e-3)
    assert not (root / "calibration.csv").exists() and (root / "figures" / "calibration.png").exists()
    assert "U, S and H over δ on the validation split" in (root / "report.html").read_text(encoding="utf-8")


def test_nothing_of_a_report_in_the_making_is_left(evaluated):
    assert not [path for path in pathlib.Path(evaluated[0].run.run_dir).rglob("*") if path.suffix == files.UNFINISHED]


def test_times_and_memory_come_from_the_stages(evaluated, tmp_path):
    shutil.copytree(os.path.join(evaluated[0].run.run_dir, "checkpoints"), tmp_path / "checkpoints")
    config = evaluated[0].replace(run_dir=str(tmp_path))
    path = tmp_path / "checkpoints" / "meta" / "stage.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps({**state, "seconds": 12.5, "peak_memory_bytes": 3_000_000_000}))
    path = tmp_path / "checkpoints" / "bsnet" / "stage.json"
    state = {name: value for name, value in json.loads(path.read_text()).items() if name not in ("seconds", "peak_memory_bytes")}
    path.write_text(json.dumps(state))
    costs = run_report.stage_costs(Run(config, load_benchmark(config.data), training=False))
    assert set(costs) == {"finetune", "meta", "bsnet"}
    assert costs["meta"] == {"seconds": 12.5, "peak_memory_bytes": 3_000_000_000}
    assert costs["bsnet"] == {"seconds": None, "peak_memory_bytes": None}


def test_the_pruning_table_ends_with_the_whole_network(evaluated):
    config, results = evaluated
    with open(os.path.join(config.run.run_dir, "pruning.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["kept"]) for row in rows] == [1, 2]
    assert [float(row["threshold"]) for row in rows] == sorted(results["gates"], reverse=True)
    for name, value in results["fused"].items():
        assert float(rows[-1][name]) == pytest.approx(value)
