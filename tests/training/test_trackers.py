"""--logger: what a tracker is told, with the real packages where they are installed, and by a stand-in of what is called of them."""

import contextlib
import os
import subprocess
import sys
import types

import pytest

from bgsnet_tf import commands
from bgsnet_tf.errors import UserError
from bgsnet_tf.training import trackers
from tests.conftest import ROOT

SHORT = {"meta": False, "bsnet": False, "finetune_head_epochs": 1, "finetune_epochs": 2}


class Recorder(types.ModuleType):
    """As much of mlflow and wandb as is called, by the names and arguments of their documentation."""

    def __init__(self, name):
        super().__init__(name)
        self.told, self.ended, self.settings, self.title = [], 0, None, None

    def set_experiment(self, experiment_name):
        assert experiment_name == "bgsnet-tf"

    @contextlib.contextmanager
    def _run(self, title, settings=None):
        self.title, self.settings = title, settings
        try:
            yield self
        finally:
            self.ended += 1

    def start_run(self, *, run_name):
        return self._run(run_name)

    def log_params(self, params):
        self.settings = params

    def log_metrics(self, metrics, step):
        self.told.append({**metrics, "epoch": step})

    def init(self, *, project, name, config):
        assert project == "bgsnet-tf"
        return self._run(name, config)

    def log(self, data):
        self.told.append(data)


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_every_epoch_of_every_stage_is_told_once(tiny_config, monkeypatch, name):
    recorder = Recorder(name)
    monkeypatch.setitem(sys.modules, name, recorder)
    monkeypatch.setattr(trackers, "require", lambda name: None)
    config = tiny_config.replace(**SHORT, logger=name)
    commands.fit(config)
    assert [told["epoch"] for told in recorder.told] == [0, 1, 2] and recorder.ended == 1
    assert all({"finetune/loss", "finetune/accuracy"} <= set(told) for told in recorder.told)
    assert recorder.title == config.run.run_dir and recorder.settings["seed"] == 0
    commands.fit(config)  # finished: a run of nothing
    assert len(recorder.told) == 3


def test_a_package_that_is_missing_is_one_line_and_nothing_is_written(tiny_config, monkeypatch):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="--logger=wandb needs a package that is not installed: pip install wandb"):
        commands.fit(tiny_config.replace(**SHORT, logger="wandb"))
    assert not os.path.exists(tiny_config.run.run_dir)


REAL = """
import sys
from bgsnet_tf.training import trackers
with trackers.tracking(sys.argv[1], "runs/here", {"seed": 0, "run_dir": "x" * 300}) as track:
    track({"finetune/loss": 1.0, "finetune/T": 50.0}, 0)
    track({"finetune/loss": 0.5, "finetune/T": 60.0}, 1)
"""


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_the_real_package_takes_it(tmp_path, name):
    pytest.importorskip(name)
    there = {"MLFLOW_TRACKING_URI": (tmp_path / "mlruns").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true", "WANDB_MODE": "offline"}
    environment = {**os.environ, **there, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", REAL, name], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    if name == "mlflow":
        (metric,) = tmp_path.glob("mlruns/*/*/metrics/finetune/loss")
        assert [line.split()[1:] for line in metric.read_text().splitlines()] == [["1.0", "0"], ["0.5", "1"]]
    else:
        assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
