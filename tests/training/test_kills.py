"""A run that is killed at random moments gives what an undisturbed one gives, bit for bit, and leaves no stray file."""

import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT, tiny_config_below
from tests.training import kills
from tests.training.conftest import STAGES, logged


def digests(run_dir):
    return [json.loads(pathlib.Path(run_dir, "checkpoints", stage, "stage.json").read_text())["digest"] for stage in STAGES]


def results(run_dir):
    subprocess.run([sys.executable, "evaluate.py", f"--run_dir={run_dir}"], cwd=ROOT, check=True, capture_output=True)
    found = json.loads(pathlib.Path(run_dir, "results.json").read_text())
    return {name: found[name] for name in ("fused", "general", "special", "gates")}


def names(run_dir):
    """Of all files but TensorBoard's, which carry the process's number; checkpoints lie where the process was asked to save."""
    paths = [path.relative_to(run_dir) for path in pathlib.Path(run_dir).rglob("*") if "logs" not in path.parts]
    return {re.sub(r"\d{6}-\d{6}", "checkpoint", str(path)) for path in paths}


def check(flags, tmp_path, count, parts):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    flags = [*flags, "--deterministic"]
    assert kills.disturb(flags, undisturbed, 0, 0) == {}
    met = kills.disturb([*flags, "--checkpoint_every=0.01"], disturbed, count, seed=1)
    print(met)
    assert {part for part, _ in met} >= set(parts) and {name for _, name in met} == {"SIGKILL", "SIGTERM"}
    assert digests(disturbed) == digests(undisturbed)
    found, expected = logged(disturbed), logged(undisturbed)
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=str(name))
    assert names(disturbed) == names(undisturbed)
    assert results(disturbed) == results(undisturbed)
    return met


def test_six_kills_of_a_tiny_run(tmp_path):
    config = tiny_config_below(tmp_path).replace(
        finetune_head_epochs=40, finetune_epochs=40, meta_epochs=40, meta_steps=20, eph_max=30, balance_epochs=30
    )
    flags = [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in config.values().items()]
    check(flags, tmp_path, 6, parts=())


@pytest.mark.slow
def test_thirty_kills_of_the_demo(tmp_path):
    check(
        ["--flagfile=configs/demo.flags"], tmp_path, 30, parts=set(kills.PARTS) - {"finetune heads"}
    )  # that phase is over while TensorFlow starts
