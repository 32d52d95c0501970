"""The command for a machine with GPUs runs to its end on a CPU: every check and every form, from the command line."""

import json
import os
import subprocess
import sys

from benchmarks import harness
from benchmarks.gpu.rates import TINY, rows_of
from tests.conftest import ROOT


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
