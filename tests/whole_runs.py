"""Whole runs on the tiny data set that tests of several rooms share, each trained once, by whichever process of the tests asks first."""

import contextlib
import fcntl
import io
import json
import os
import pathlib
import pickle
import shutil

import pytest

from bgsnet_tf import commands
from bgsnet_tf.config import Config, RunConfig, delta_choice
from tests.tiny import BACKBONE, CUT, write_tiny

TINY_FLAGS = {
    "dataset": "csv",
    "image_size": 32,
    "resize": 36,
    "backbone": str(BACKBONE),
    "backbone_weights": "none",
    "preprocessing": "tf",
    "split_layer": CUT,
    "batch_norm": "train",
    "finetune_head_epochs": 1,
    "finetune_epochs": 2,
    "finetune_batch_size": 8,
    "finetune_backbone_lr": 1e-3,
    "meta_epochs": 2,
    "meta_steps": 3,
    "meta_tasks": 2,
    "shot": 2,
    "query": 2,
    "submodules": 2,
    "eph_max": 2,
    "balance_epochs": 1,
    "b_hidden": 8,
    "bsnet_batch_size": 8,
}
SMALL = {"backbone": "small", "preprocessing": "auto", "split_layer": "", "batch_norm": "auto"}  # a backbone that starts at random
ONE_PHASE = {"finetune_head_epochs": 0, "finetune_epochs": 1, "meta_epochs": 1, "training_style": "parallel", "eph_max": 1}  # a stage
CALIBRATED = {"calibrate": True, "meta_epochs": 1}


def tiny_config_below(root):
    """Settings of a whole run, in seconds, on a tiny data set that is written below `root`."""
    write_tiny(root / "tiny")
    return Config(run=RunConfig(run_dir=str(root / "run"))).replace(**TINY_FLAGS, data_dir=str(root / "tiny"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """(config, results, table) of a whole run: tests copy its folder."""
    return _made_once(tmp_path_factory, "trained", lambda config: (commands.train(config), commands.evaluate(config))[1])


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory):
    """Settings of a whole run that chose δ in a validation run below it: tests copy its folder."""
    config, _, _ = _made_once(tmp_path_factory, "calibrated", commands.train, **CALIBRATED)
    validation = pathlib.Path(config.run.run_dir, "validation", "results.json")
    return delta_choice.with_choices(config, json.loads(validation.read_text()))


def _made_once(tmp_path_factory, name, make, **flags):
    """Settings of this process's own copy of a run, what `make(settings)` returned that made it, and what it printed."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"made_once_{name}"
    shared.mkdir(exist_ok=True)
    kept = shared / "kept.pickle"
    with open(shared / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        if not kept.exists():
            for part in ("tiny", "run"):  # of a process that failed
                shutil.rmtree(shared / part, ignore_errors=True)
            config, printed = tiny_config_below(shared).replace(**flags), io.StringIO()
            with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(printed):
                returned = make(config)
            kept.write_bytes(pickle.dumps((returned, printed.getvalue())))
    config = tiny_config_below(tmp_path_factory.mktemp(name)).replace(**flags)
    shutil.copytree(shared / "run", config.run.run_dir)
    return (config, *pickle.loads(kept.read_bytes()))
