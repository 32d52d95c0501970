"""Runs in processes of their own: what they share, how their errors arrive, and that they end with the experiment."""

import functools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.errors import UserError
from bgsnet_tf.experiments import runs
from tests.conftest import ROOT, tiny_config_below


def test_folders_are_named_after_what_differs():
    assert runs.Variant("all").folder("full") == "full"
    assert runs.Variant("a", {"eta": 0.5, "meta": False}).folder("full") == "eta_0.5-meta_false"
    assert runs.Variant("a", {"backbone": "../nets/a b.h5"}).folder("full") == "backbone_.._nets_a_b.h5"


@pytest.mark.parametrize(
    "change, shared",
    [
        ({"eta": 0.5}, ["cache", "checkpoints/finetune", "checkpoints/meta"]),
        ({"inner_lr": 0.5}, ["cache", "checkpoints/bsnet", "checkpoints/finetune"]),
        ({"cache_views": 1}, ["checkpoints/finetune"]),
        ({"finetune_lr": 0.5}, []),
        ({"image_size": 24}, []),
        ({"eval_batch_size": 3}, ["cache", "checkpoints/bsnet", "checkpoints/finetune", "checkpoints/meta"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_run_shares_what_does_not_depend_on_what_differs(tiny_config, tmp_path, change, shared):
    base, own = (tiny_config.replace(run_dir=str(tmp_path / name)) for name in ("base", "own"))
    runs.share(base, own.replace(**change), load_benchmark(base.data))
    links = sorted(path for path in (tmp_path / "own").rglob("*") if path.is_symlink()) if (tmp_path / "own").exists() else []
    assert [str(path.relative_to(tmp_path / "own")) for path in links] == shared
    assert all(path.resolve() == tmp_path / "base" / path.relative_to(tmp_path / "own") for path in links)


def test_an_error_of_a_run_is_the_users_line(tiny_config):
    with pytest.raises(UserError, match="Sgdd"):
        runs.results(tiny_config, tiny_config.replace(finetune_optimizer="Sgdd"), load_benchmark(tiny_config.data))


def test_a_run_that_is_killed_says_so(tiny_config):
    def kill():
        while not multiprocessing.active_children():
            time.sleep(0.01)
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    before = signal.getsignal(signal.SIGINT)
    threading.Thread(target=kill, daemon=True).start()
    with pytest.raises(UserError, match="ended with signal 9"):
        runs.results(tiny_config, tiny_config, load_benchmark(tiny_config.data))
    assert signal.getsignal(signal.SIGINT) is before


def note(directory, name, others):
    """A job: leaves a file, and waits until others have left theirs."""
    (directory / name).touch()
    wait_for(lambda: all((directory / other).exists() for other in others), 60)


def refuse(text):
    raise UserError(text)


def test_jobs_run_side_by_side_and_no_more_of_them_than_there_are_workers(tmp_path):
    runs.in_own_processes(note, {name: (tmp_path, name, "ab") for name in "ab"}, workers=2)
    runs.in_own_processes(note, {name: (tmp_path, name, others) for name, others in (("c", ""), ("d", "c"))}, workers=1)
    assert {path.name for path in tmp_path.iterdir()} == set("abcd")


def test_the_error_of_a_job_is_the_users_line_and_ends_the_others(tmp_path):
    with pytest.raises(UserError, match="no such thing"):
        runs.in_own_processes(refuse, {name: (text,) for name, text in (("a", "no such thing"), ("b", "never begun"))})
    assert not multiprocessing.active_children()


def start(config):
    arguments = [f"--{name}={value}" for name, value in config.values().items()]
    command = [sys.executable, "-m", "bgsnet_tf.experiments.sweep", "--sweep=eta=0.5", *arguments]
    heeds_interrupts = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # which a test in the background would not
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=heeds_interrupts)


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def descendants(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        own = file.read().split()
    return [*own, *(other for child in own for other in descendants(child))]


@pytest.mark.slow
@pytest.mark.parametrize("how, status", [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)], ids=["SIGINT", "SIGKILL"])
def test_an_interrupted_sweep_leaves_no_process_and_ends_as_an_uninterrupted_one(tmp_path, how, status):
    config = tiny_config_below(tmp_path).replace(meta_epochs=20)
    interrupted = start(config)
    meta = tmp_path / "run" / "seed0" / "base" / "checkpoints" / "meta"
    wait_for(lambda: list(meta.glob("*/*/*.index")), 300)
    theirs = descendants(interrupted.pid)
    assert len(theirs) >= 3  # the tracker of resources, the process that forks, and the run
    interrupted.send_signal(how)
    told = interrupted.communicate(timeout=60)[1]
    assert interrupted.returncode == status and "Traceback" not in told and "leaked" not in told
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in theirs), 30)
    assert json.loads((meta / "stage.json").read_text())["digest"] is None

    continued, whole = start(config), start(config.replace(run_dir=str(tmp_path / "whole")))
    assert continued.wait(600) == whole.wait(600) == 0
    reports = [json.loads((tmp_path / name / "sweep.json").read_text()) for name in ("run", "whole")]
    assert reports[0]["rows"] == reports[1]["rows"]
