"""The command for a machine with GPUs on a CPU: its forms and losses; the whole of it, which XLA makes long, is slow."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import harness
from benchmarks.gpu import checks
from benchmarks.gpu.rates import TINY, rows_of
from tests.conftest import ROOT


@pytest.mark.long
def test_every_form_in_float32_runs():
    rows = [row for row in rows_of(TINY) if not any(part in row.form for part in ("XLA", "bfloat16", "PyTorch"))]
    assert {row.stage for row in rows} == {"fine-tuning", "cache", "BSNet", "meta", "inference"}
    for row in rows:
        assert np.isfinite(row.prepare()()), row


@pytest.mark.long
def test_losses_of_every_stage_are_the_same_twice():
    expected, found = (checks.losses(tf.distribute.OneDeviceStrategy("CPU:0")) for _ in range(2))
    assert list(found) == ["finetune all", "meta episodes", "bsnet parallel"]
    for stage, values in expected.items():
        assert len(values) == checks.STEPS and len(set(values)) > checks.STEPS / 2
        np.testing.assert_allclose(found[stage], values, rtol=checks.LIMIT)


@pytest.mark.slow
def test_the_tiny_run_checks_two_devices_and_tries_every_form(tmp_path):
    command = [sys.executable, "-m", "benchmarks.gpu", "--tiny", f"--results={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    checks = json.loads((tmp_path / "gpu_checks.json").read_text())["rows"]
    assert all(row["passed"] == "yes" for row in checks)
    assert {row["devices"] for row in checks} == {"1 × CPU", "2 × CPU, mirrored"}
    assert {row["check"] for row in checks} >= {"20 losses of finetune all", "20 losses of meta episodes", "20 losses of bsnet parallel"}
    rates = json.loads((tmp_path / "gpu_rates.json").read_text())["rows"]
    assert [(row["stage"], row["form"]) for row in rates] == [(row.stage, row.form) for row in rows_of(TINY)]
    assert all(row["a second"] > 0 for row in rates)


def test_the_machine_names_its_gpus_where_nvidias_program_does(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 550.54'\necho 'NVIDIA H100 80GB HBM3, 550.54'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert harness.machine()["gpus"] == "NVIDIA H100 80GB HBM3, 550.54; NVIDIA H100 80GB HBM3, 550.54"
