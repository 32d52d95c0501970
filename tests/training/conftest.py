"""Training in this process, a copy of the run that tests share, and a signal in the middle of one."""

import contextlib
import io
import os
import pathlib
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.training import stages
from bgsnet_tf.training.callbacks import RequireFinite
from bgsnet_tf.training.run import Run

STAGES = ("finetune", "meta", "bsnet")


def train(config):
    """The network of a run, trained where it is not."""
    with contextlib.redirect_stderr(io.StringIO()):
        os.makedirs(config.run.run_dir, exist_ok=True)
        return stages.build_bgsnet(Run(config, load_benchmark(config.data), training=True))


def attributes(bgsnet, config):
    """(4, A) of every branch, of images that are noise."""
    images = np.random.default_rng(0).uniform(0, 255, (4, config.data.image_size, config.data.image_size, 3)).astype(np.float32)
    return {name: output.numpy() for name, output in bgsnet(images).items()}


@pytest.fixture(scope="session")
def expected_attributes(trained):
    """`attributes` of the run that tests share."""
    return attributes(train(trained[0]), trained[0])


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
