"""A whole run that tests share, and a signal in the middle of one."""

import contextlib
import io
import os
import pathlib
import shutil
import signal

import pytest
import tensorflow as tf

from bgsnet_tf import commands
from bgsnet_tf.training.callbacks import RequireFinite
from tests.conftest import tiny_config_below

STAGES = ("finetune", "meta", "bsnet")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """(config, results, table) of a whole run, made once: tests copy its folder."""
    root = tmp_path_factory.mktemp("trained")
    config = tiny_config_below(root)
    table = io.StringIO()
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(table):
        commands.train(config)
        results = commands.evaluate(config)
    return config, results, table.getvalue()


@pytest.fixture
def copied(trained, tmp_path):
    """Settings of a copy of the finished run, which a test may spoil."""
    shutil.copytree(trained[0].run.run_dir, tmp_path / "copied")
    return trained[0].replace(run_dir=str(tmp_path / "copied"))


@pytest.fixture
def signal_after(monkeypatch):
    """Sends this process SIGTERM in the middle of a training step, counted over all stages."""

    def signal_after(steps):
        done = []
        check = RequireFinite.on_train_batch_end

        def on_train_batch_end(self, batch, logs=None):
            check(self, batch, logs)
            done.append(batch)
            if len(done) == steps:
                os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(RequireFinite, "on_train_batch_end", on_train_batch_end)

    return signal_after


def logged(run_dir):
    """Every number that the stages wrote into TensorBoard's event files, once each however often it was written."""
    found = {}
    for path in sorted(path for stage in STAGES for path in pathlib.Path(run_dir, "logs", stage).rglob("events*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                found[str(path.parent.relative_to(run_dir)), value.tag, event.step] = tf.make_ndarray(value.tensor)
    return found
