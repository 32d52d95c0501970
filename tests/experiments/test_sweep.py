"""Sweeps: what they accept, that they stay on the validation split, and what they leave for readers and TensorBoard."""

import contextlib
import io
import json
import os

import pandas as pd
import pytest
import tensorflow as tf
from tensorboard.plugins.hparams import plugin_data_pb2

from bgsnet_tf.errors import UserError
from bgsnet_tf.experiments import sweep
from bgsnet_tf.reporting import hparams
from tests.conftest import tiny_config_below
from tests.experiments.trained import trained_stages


def run(config, texts, seeds=1):
    with contextlib.redirect_stdout(io.StringIO()):
        return sweep.run(config, texts, seeds)


def test_values_are_those_of_the_flag_and_the_base_is_one(tiny_config):
    texts = ["eta=1,0,1e-1,0.1", "submodules=3", "annealing=false,true", "bsnet_optimizer=Adam,SGD"]
    assert sweep.parse(texts, tiny_config.replace(eta=0.01)) == {
        "eta": [0.0, 0.01, 0.1, 1.0],
        "submodules": [2, 3],
        "annealing": [False, True],
        "bsnet_optimizer": ["SGD", "Adam"],
    }


@pytest.mark.parametrize(
    "texts, message",
    [
        ([], "--sweep is missing"),
        (["etta=0"], "'etta' is no flag"),
        (["eta"], "eta"),
        (["eta=0,"], "eta"),
        (["eta=0,much"], "much"),
        (["eta=0,-1"], "at least 0"),
        (["submodules=2.5"], "2.5"),
        (["training_style=both"], "both"),
        (["eta=0", "eta=1"], "swept already"),
        (["seed=0,1"], "--seeds"),
        (["split=final"], "validation split"),
        (["delta=0,1"], "δ is chosen"),
        (["image_size=20,4000"], "--resize"),
        (["bsnet_optimizer=Adam,Adamm"], "Adamm"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_made(tiny_config, texts, message):
    with pytest.raises(UserError, match=message) as raised:
        run(tiny_config, texts)
    assert "\n" not in str(raised.value) and not os.path.exists(tiny_config.run.run_dir)


@pytest.mark.long
def test_a_sweep_is_on_validation_whatever_the_split_and_the_same_command_changes_nothing(tmp_path):
    config = tiny_config_below(tmp_path).replace(calibrate=True, delta=3.0)
    report = run(config, ["eta=0.5"])
    root = tmp_path / "run"
    assert trained_stages(root) == {"seed0/base": ["bsnet", "finetune", "meta"], "seed0/eta_0.5": ["bsnet"]}
    for row, folder in zip(report["rows"], ("base", "eta_0.5")):
        results = json.loads((root / "seed0" / folder / "results.json").read_text())
        assert results["split"] == "validation" and results["flags"]["eta"] == row["eta"]
        assert {name: row[name] for name in results["fused"]} == results["fused"] and row["delta"] == results["delta"]
    assert pd.read_csv(root / "sweep.csv")["eta"].tolist() == [0.001, 0.5]
    assert "validation" in (root / "sweep.md").read_text() and "validation" in (root / "report.html").read_text()
    assert {path.name for path in (root / "figures").iterdir()} == {"sweep_eta.png", "sweep_eta.svg"}
    times = {path: path.stat().st_mtime_ns for path in (root / "seed0").rglob("*")}
    assert run(config, ["eta=0.5"]) == report
    assert {path: path.stat().st_mtime_ns for path in (root / "seed0").rglob("*")} == times


def summaries(directory):
    """Tag to the values of all summaries directly in a folder."""
    found = {}
    for path in directory.glob("*tfevents*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            found.update({value.tag: value for value in event.summary.value})
    return found


def test_hparams_hold_every_run_and_replace_what_was_there(tmp_path):
    accuracies = {"T": 1.0, "U": 2.0, "S": 3.0, "H": 4.0, "AUSUC": 5.0}
    rows = [{"variant": f"eta={eta}", "eta": eta, "style": "x", "seed": seed, **accuracies} for eta in (0.0, 0.5) for seed in (3, 4)]
    domains = {"eta": [0.0, 0.5], "style": ["x", "y"]}
    hparams.write(str(tmp_path / "hparams"), domains, rows[:1])
    hparams.write(str(tmp_path / "hparams"), domains, rows[1:])
    assert [path.name for path in tmp_path.iterdir()] == ["hparams"]
    runs = {path.name: summaries(path) for path in (tmp_path / "hparams").iterdir() if path.is_dir()}
    assert sorted(runs) == ["eta=0.0, seed 4", "eta=0.5, seed 3", "eta=0.5, seed 4"]
    of_run = runs["eta=0.5, seed 4"]
    assert {name: float(tf.make_ndarray(of_run[name].tensor)) for name in accuracies} == accuracies
    start = plugin_data(of_run["_hparams_/session_start_info"]).session_start_info.hparams
    assert (start["eta"].number_value, start["style"].string_value, start["seed"].number_value) == (0.5, "x", 4)
    experiment = plugin_data(summaries(tmp_path / "hparams")["_hparams_/experiment"]).experiment
    assert [info.name for info in experiment.hparam_infos] == ["eta", "style", "seed"]
    assert [value.number_value for value in experiment.hparam_infos[0].domain_discrete.values] == [0.0, 0.5]
    assert [info.name.tag for info in experiment.metric_infos] == list(accuracies)


def plugin_data(value):
    return plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
