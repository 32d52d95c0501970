"""What a dry run says against what a real run does: steps, bytes on disk, peak memory; and what it refuses."""

import glob
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf import commands
from bgsnet_tf.config import Config, RunConfig
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.errors import UserError
from bgsnet_tf.planning import dry_run
from bgsnet_tf.training.run import Run
from tests.conftest import ROOT
from tests.test_commands import flags_of, run
from tests.whole_runs import ONE_PHASE

CHECKPOINT_OVERHEAD = 500_000  # bytes of names, metrics and the graph of objects beside weights and slots

# Trains, without an export, and prints the peak of its own memory. (The kernel's ru_maxrss begins at that of the parent.)
PEAK = """import re
from absl import app
from bgsnet_tf import config
config.define_flags()
def main(_):
    from bgsnet_tf import commands
    commands.fit(config.from_flags())
    print("peak", 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]))
app.run(main)"""


def plan(config):
    return {part.name: part for part in dry_run.plan(Run(config, load_benchmark(config.data), training=False))}


@pytest.fixture
def quick(monkeypatch):
    """Times single steps."""
    monkeypatch.setattr(dry_run, "WARM_UP_STEPS", 1)
    monkeypatch.setattr(dry_run, "TIMED_STEPS", 1)
    monkeypatch.setattr(dry_run, "TIMED_SECONDS", 0.0)


def test_steps_cache_and_checkpoints_are_those_of_the_run(trained, tmp_path, quick):
    config = trained[0]
    parts = plan(config.replace(run_dir=str(tmp_path / "planned")))
    assert not (tmp_path / "planned").exists()
    assert list(parts) == ["finetune heads", "finetune all", "cache", "meta episodes", "bsnet gates", "bsnet instance"]
    assert all(part.seconds > 0 for part in parts.values())
    cache = os.path.join(config.run.run_dir, "cache", "train")
    arrays = [np.load(path, mmap_mode="r") for path in sorted(glob.glob(os.path.join(cache, "*.npy")))]
    assert parts["cache"].disk == sum(array.nbytes for array in arrays)
    assert parts["cache"].steps == -(-len(arrays[0]) // config.evaluation.eval_batch_size)
    for name in ("finetune all", "meta episodes", "bsnet instance"):  # a finished stage keeps its last phase's alone
        part = parts[name]
        phase = os.path.join(config.run.run_dir, "checkpoints", *name.split())
        newest = max(glob.glob(os.path.join(phase, "*")))
        checkpoint = tf.train.load_checkpoint(os.path.join(newest, "checkpoint"))
        assert part.steps == checkpoint.get_tensor("optimizer_heads/_iterations/.ATTRIBUTES/VARIABLE_VALUE")
        written = sum(map(os.path.getsize, glob.glob(os.path.join(newest, "*.data*"))))
        assert part.disk <= written <= part.disk + CHECKPOINT_OVERHEAD


@pytest.mark.long
def test_the_validation_split_caches_its_test_rows_too(tiny_config, quick):
    config = tiny_config.replace(**ONE_PHASE).replace(split="validation", bsnet=False, shot=1, query=1, cache_views=3)
    benchmark = load_benchmark(config.data)
    parts = plan(config)
    train, tested = len(benchmark.train), len(benchmark.test_seen) + len(benchmark.test_unseen)
    item = parts["cache"].disk / (3 * train + tested)
    assert item == plan(config.replace(split="final"))["cache"].disk / (3 * len(load_benchmark(tiny_config.data).train))


@pytest.mark.long
def test_a_larger_batch_takes_more_and_xla_is_timed(tiny_config, quick):
    config = tiny_config.replace(meta=False, finetune_head_epochs=0, finetune_epochs=1, training_style="parallel", eph_max=1)
    small, large = plan(config), plan(config.replace(finetune_batch_size=16, bsnet_batch_size=16, xla=True))
    assert 1.5 < large["finetune all"].step_bytes / small["finetune all"].step_bytes < 2.1
    assert large["bsnet parallel"].step_bytes > small["bsnet parallel"].step_bytes
    for name in ("finetune all", "bsnet parallel"):
        assert large[name].multiply_adds == 2 * small[name].multiply_adds
        assert large[name].disk == small[name].disk


@pytest.mark.parametrize(
    "changed, stage, flag",
    [
        ({"eval_batch_size": 10**8}, "cache", "--eval_batch_size=100000000"),
        ({"cache_views": 10**7}, "meta", "--cache_views=10000000"),
        ({"cache_views": 10**9, "meta": False}, "cache", "--cache_views=1000000000"),
    ],
)
def test_what_cannot_fit_is_refused_before_any_step(tiny_config, changed, stage, flag, capsys):
    with pytest.raises(UserError, match=rf"^{stage} needs [\d.]+ GB of (memory|disk).*, there are [\d.]+ GB; lower {flag}$"):
        commands.plan(tiny_config.replace(**changed))
    told = capsys.readouterr().err
    assert "estimating" in told and "timing" not in told
    assert not os.path.exists(tiny_config.run.run_dir)


def test_the_command_refuses_in_one_line(tiny_config):
    result = run("train.py", *flags_of(tiny_config, submodules=10**9), "--dry_run")
    assert result.returncode == 1 and "timing" not in result.stderr and "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]  # TensorFlow has errors of its own
    assert line.startswith("error: bsnet needs ") and line.endswith("lower --submodules=1000000000")


@pytest.mark.long
def test_the_command_plans_validation_and_final_run(tiny_config):
    result = run("train.py", *flags_of(tiny_config, calibrate=True, bsnet=False, finetune_epochs=0), "--dry_run")
    assert result.returncode == 0, result.stderr
    assert "tiny_validation: images" in result.stdout and "\ntiny: images" in result.stdout and "time of both" in result.stdout
    assert "estimating" in result.stderr and not os.path.exists(tiny_config.run.run_dir)


def peak_of_training(config):
    command = [sys.executable, "-c", PEAK, *flags_of(config)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return int(re.search(r"peak (\d+)", output)[1])


def estimated_peak(config):
    result = run("train.py", *flags_of(config), "--dry_run")
    assert result.returncode == 0, result.stderr
    return 1e9 * float(re.search(r"memory ([\d.]+) of", result.stdout)[1])


@pytest.mark.slow
def test_peak_memory_of_a_tiny_run(tiny_config):
    assert 0.7 < estimated_peak(tiny_config) / peak_of_training(tiny_config) < 1.5


@pytest.mark.slow
def test_peak_memory_of_a_run_with_large_batches(tmp_path):
    """Most of the peak is the steps' here, not the process's."""
    config = Config(run=RunConfig(run_dir=str(tmp_path / "run"))).replace(
        **{"image_size": 64, "resize": 64, "augment": "dihedral", "backbone": "small", "backbone_weights": "none"},
        **{"finetune_head_epochs": 0, "finetune_epochs": 1, "finetune_batch_size": 1024, "meta_epochs": 1, "meta_steps": 2},
        **{"submodules": 5, "eph_max": 1, "balance_epochs": 1, "bsnet_batch_size": 1024, "cache_views": 1},
    )
    assert 0.7 < estimated_peak(config) / peak_of_training(config) < 1.5
