"""Real faults: a full disk, a folder that cannot be written or is in use, damaged checkpoints, losses that are not finite."""

import contextlib
import io
import json
import os
import pathlib

import pytest
import tensorflow as tf

from bgsnet_tf import commands, files
from bgsnet_tf.data import images
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.errors import UserError
from bgsnet_tf.training import stages
from bgsnet_tf.training.run import Run
from tests.programs import run
from tests.training.conftest import attributes, train
from tests.training.test_stages import assert_equal, without_stages


def stage_state(config, stage):
    return json.loads(pathlib.Path(config.run.run_dir, "checkpoints", stage, "stage.json").read_text())


def unfinished_files(config):
    return list(pathlib.Path(config.run.run_dir).rglob(f"*{files.UNFINISHED}*"))


@pytest.mark.parametrize("stage, size", [("finetune", 20_000), ("bsnet", 200_000)])
def test_a_disk_that_is_full_while_a_checkpoint_is_written(expected_attributes, copied, file_size_limit, stage, size):
    without_stages(copied, *{"finetune": ["finetune", "meta", "bsnet"], "bsnet": ["bsnet"]}[stage])
    with file_size_limit(size), pytest.raises(UserError, match=f"checkpoints/{stage}.*disk is full.*make room"):
        train(copied)
    assert not unfinished_files(copied)
    assert_equal(attributes(train(copied), copied), expected_attributes)


def test_a_disk_that_is_full_while_an_export_is_written(copied, file_size_limit):
    versions = os.listdir(pathlib.Path(copied.run.run_dir, "export"))
    with file_size_limit(50_000), pytest.raises(UserError, match="disk is full"):
        commands.export(copied)
    assert os.listdir(pathlib.Path(copied.run.run_dir, "export")) == versions


def test_a_folder_that_cannot_be_written(tiny_config):
    with pytest.raises(UserError, match="--run_dir=/proc/run cannot be written"):
        commands.fit(tiny_config.replace(run_dir="/proc/run"))


def test_a_second_process_is_refused(copied):
    with files.locked(copied.run.run_dir):
        before = sorted(pathlib.Path(copied.run.run_dir).rglob("*"))
        second = run("train.py", f"--flagfile={copied.run.run_dir}/config.flags", f"--run_dir={copied.run.run_dir}")
    assert second.returncode == 1 and "Traceback" not in second.stderr
    assert f"is in use by process {os.getpid()}" in second.stderr
    assert sorted(pathlib.Path(copied.run.run_dir).rglob("*")) == before


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(copied, signal_after, capsys, expected_attributes):
    config = without_stages(copied, "bsnet").replace(checkpoint_every=0.0)
    signal_after(8)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    newest = sorted(pathlib.Path(config.run.run_dir, "checkpoints", "bsnet", "instance").iterdir())[-1]
    _flip_a_byte(next(newest.glob("*.data-*")))
    restored = train(config)
    assert f"{newest} is damaged" in capsys.readouterr().out
    assert_equal(attributes(restored, config), expected_attributes)


def test_damaged_checkpoints_of_a_finished_stage(expected_attributes, copied):
    """Reading refuses them, training mends them."""
    for checkpoint in pathlib.Path(copied.run.run_dir, "checkpoints", "bsnet", "instance").iterdir():
        _flip_a_byte(next(checkpoint.glob("*.data-*")))
    with pytest.raises(UserError, match="bsnet is damaged or missing; the same train.py command mends it"):
        commands.evaluate(copied)
    assert_equal(attributes(train(copied), copied), expected_attributes)


def test_a_damaged_newest_checkpoint_of_a_finished_stage_repeats_its_last_phase_alone(expected_attributes, copied, capsys):
    newest = sorted(pathlib.Path(copied.run.run_dir, "checkpoints", "bsnet", "instance").iterdir())[-1]
    _flip_a_byte(next(newest.glob("*.data-*")))
    with contextlib.redirect_stdout(io.StringIO()):
        run = Run(copied, load_benchmark(copied.data), training=True)
        mended = stages.build_bgsnet(run)
    shown = capsys.readouterr().err
    assert "bsnet instance" in shown and "bsnet gates" not in shown
    assert_equal(attributes(mended, copied), expected_attributes)


@pytest.mark.parametrize("stage, phase", [("meta", "episodes"), ("finetune", "all")])
def test_a_damaged_finished_stage_trains_on_what_it_first_trained_on(expected_attributes, copied, stage, phase):
    """Its data and its backbone's weights, which a stage that is only restored goes without."""
    for checkpoint in pathlib.Path(copied.run.run_dir, "checkpoints", stage, phase).iterdir():
        _flip_a_byte(next(checkpoint.glob("*.data-*")))
    assert_equal(attributes(train(copied), copied), expected_attributes)


def test_a_stage_is_forgotten_and_trained_with_another_flag(copied, capsys):
    config = copied.replace(s_max=3.0)
    with pytest.raises(UserError, match="--s_max=5.0, not 3.0; .* add --redo=bsnet"):
        commands.fit(config)
    before = stage_state(copied, "finetune"), stage_state(copied, "meta")
    with contextlib.redirect_stderr(io.StringIO()):
        commands.fit(config, redo="bsnet")
    assert "stage bsnet of" in capsys.readouterr().out
    assert (stage_state(copied, "finetune"), stage_state(copied, "meta")) == before
    assert stage_state(copied, "bsnet")["settings"]["s_max"] == 3.0 and stage_state(copied, "bsnet")["digest"]


def test_bsnet_does_not_start_from_meta_and_stays_when_that_is_forgotten(trained, copied):
    before = stage_state(copied, "bsnet")
    with contextlib.redirect_stderr(io.StringIO()):
        commands.fit(copied.replace(meta_lr=1e-2), redo="meta")
    assert stage_state(copied, "meta")["digest"] != stage_state(trained[0], "meta")["digest"]
    assert stage_state(copied, "bsnet") == before


def test_an_infinite_gradient_of_a_finite_loss_is_not_saved(copied):
    """The step has a finite loss; what it makes of the weights has none."""
    without_stages(copied, "finetune", "meta", "bsnet")
    broken = copied.replace(finetune_lr=3e38, finetune_optimizer="SGD", finetune_weight_decay=0.0, warmup=0.0, checkpoint_every=0.0)
    with pytest.raises(UserError, match=r"finetune heads: the loss is [\d.]+, but weights are not finite at step 1 of .* --redo=finetune"):
        train(broken)
    assert os.listdir(pathlib.Path(broken.run.run_dir, "checkpoints", "finetune", "heads")) == ["000000-000000"]


def test_running_out_of_memory_is_no_bad_image(copied, monkeypatch):
    monkeypatch.setattr(stages, "build_bgsnet", lambda run: tf.zeros([10**15]))
    monkeypatch.setattr(images, "find_unusable", None)
    with pytest.raises(UserError, match="out of memory"):
        commands.fit(copied)


def test_results_that_cannot_be_written_are_printed_and_one_line(copied, capsys):
    path = pathlib.Path(copied.run.run_dir, "results.json")
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="cannot be written: .*results.json"):
        commands.evaluate(copied, html=False)
    assert "fused" in capsys.readouterr().out


def test_a_disk_that_is_full_while_results_are_written(copied, file_size_limit):
    with file_size_limit(2000), pytest.raises(UserError, match="disk is full"):
        commands.evaluate(copied, html=False)
    assert not unfinished_files(copied)


def _flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_loss_that_is_not_finite_names_step_stage_and_tensor(copied):
    without_stages(copied, "bsnet")
    broken = copied.replace(tail_lr=1e30, bsnet_lr=1e30, checkpoint_every=0.0)
    with pytest.raises(UserError, match=r"bsnet gates: the loss is nan at step \d of epoch 1; the first tensor that is not finite is "):
        train(broken)
    assert stage_state(broken, "bsnet")["digest"] is None
    assert list(pathlib.Path(broken.run.run_dir, "checkpoints", "bsnet", "gates").iterdir())


def test_stages_keep_account_of_time_and_memory(trained):
    for stage in ("finetune", "meta", "bsnet"):
        state = stage_state(trained[0], stage)
        assert 0 < state["seconds"] < 600 and 1e8 < state["peak_memory_bytes"] < 1e11
