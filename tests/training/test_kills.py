"""A run that is killed at random moments gives what an undisturbed one gives, bit for bit, and leaves no stray file."""

import json
import pathlib
import re

import numpy as np
import pytest
from absl import flags

from bgsnet_tf import commands, config
from tests.conftest import tiny_config_below
from tests.training import kills
from tests.training.conftest import STAGES, logged


def digests(run_dir):
    return [json.loads(pathlib.Path(run_dir, "checkpoints", stage, "stage.json").read_text())["digest"] for stage in STAGES]


def results(run_dir):
    flag_values = flags.FlagValues()
    config.define_flags(flag_values)
    flag_values(["", f"--run_dir={run_dir}"])
    found = commands.evaluate(config.of_run(flag_values), html=False)
    return {name: found[name] for name in ("fused", "general", "special", "gates")}


def names(run_dir):
    """Of all files but TensorBoard's, which carry the process's number; checkpoints lie where the process was asked to save."""
    paths = [path.relative_to(run_dir) for path in pathlib.Path(run_dir).rglob("*") if "logs" not in path.parts]
    return {re.sub(r"\d{6}-\d{6}", "checkpoint", str(path)) for path in paths}


def check(arguments, tmp_path, count, parts, longest_life=kills.LONGEST_LIFE):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    arguments = [*arguments, "--deterministic"]
    assert kills.disturb(arguments, undisturbed, 0, 0) == {}
    met = kills.disturb([*arguments, "--checkpoint_every=0.01"], disturbed, count, seed=1, longest_life=longest_life)
    print(met)
    assert {part for part, _ in met} >= set(parts) and {name for _, name in met} == {"SIGKILL", "SIGTERM"}
    assert digests(disturbed) == digests(undisturbed)
    found, expected = logged(disturbed), logged(undisturbed)
    assert set(found) == set(expected)
    for name, value in expected.items():  # a loss, which nothing depends on, may be summed in another order on a busy machine
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=str(name))
    assert names(disturbed) == names(undisturbed)
    assert results(disturbed) == results(undisturbed)
    return met


@pytest.mark.long
def test_six_kills_of_a_tiny_run(tmp_path):
    settings = tiny_config_below(tmp_path).replace(
        finetune_head_epochs=10, finetune_epochs=10, meta_epochs=15, meta_steps=20, eph_max=8, balance_epochs=8
    )
    arguments = [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in settings.values().items()]
    check(arguments, tmp_path, 6, parts=(), longest_life=1.0)


@pytest.mark.slow
def test_thirty_kills_of_the_demo(tmp_path):
    parts = set(kills.PARTS) - {"finetune heads"}  # the demo has no epochs of it
    check(["--flagfile=configs/demo.flags"], tmp_path, 30, parts)
