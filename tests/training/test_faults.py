"""Real faults: a full disk, a folder that cannot be written or is in use, damaged checkpoints, losses that are not finite."""

import contextlib
import errno
import io
import json
import os
import pathlib
import re

import pytest
import tensorflow as tf

from bgsnet_tf import commands, files
from bgsnet_tf.data import images
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.errors import UserError
from bgsnet_tf.model.grouped import GroupedModel
from bgsnet_tf.training import stages
from bgsnet_tf.training.fitting import Fit, FitPhase, fit_stage
from bgsnet_tf.training.machines import memory
from bgsnet_tf.training.run import Run
from tests.programs import run
from tests.training.conftest import attributes, train
from tests.training.test_stages import assert_equal, without_stages


def stage_state(config, stage):
    return json.loads(pathlib.Path(config.run.run_dir, "checkpoints", stage, "stage.json").read_text())


def unfinished_files(config):
    return list(pathlib.Path(config.run.run_dir).rglob(f"*{files.UNFINISHED}*"))


@pytest.mark.parametrize("stage", ["finetune", "bsnet"])
def test_a_disk_that_is_full_while_a_checkpoint_is_written(expected_attributes, copied, file_size_limit, stage):
    without_stages(copied, *{"finetune": ["finetune", "meta", "bsnet"], "bsnet": ["bsnet"]}[stage])
    with file_size_limit(20_000), pytest.raises(UserError, match=f"checkpoints/{stage}.*disk is full.*make room"):
        train(copied)
    assert not unfinished_files(copied)
    assert_equal(attributes(train(copied), copied), expected_attributes)


def test_a_disk_that_is_full_while_an_export_is_written(copied, file_size_limit):
    versions = os.listdir(pathlib.Path(copied.run.run_dir, "export"))
    with file_size_limit(50_000), pytest.raises(UserError, match="disk is full"):
        commands.export(copied)
    assert os.listdir(pathlib.Path(copied.run.run_dir, "export")) == versions


@pytest.mark.parametrize("place", ["logs/bsnet", "logs/bsnet/train"])
def test_summaries_on_a_read_only_disk(copied, monkeypatch, place):
    without_stages(copied, "bsnet")
    make = tf.summary.create_file_writer

    def refuse(directory):
        if directory.endswith(place):
            raise tf.errors.PermissionDeniedError(None, None, f"{directory}/events; Read-only file system\n\tCould not initialize.")
        return make(directory)

    monkeypatch.setattr(tf.summary, "create_file_writer", refuse)
    with pytest.raises(UserError, match=f"{place} cannot be written: Read-only file system; mend that"):
        train(copied)


def test_a_disk_that_becomes_read_only_after_a_checkpoint(copied, monkeypatch):
    without_stages(copied, "bsnet")
    replace, written = os.replace, []

    def refuse(source, target):
        written.append(os.path.basename(target))
        if written.count("stage.json") == 2:  # 1 is of the stage's start
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match="checkpoints/bsnet cannot be written: .*Read-only file system.*stage.json"):
        train(copied)
    assert not unfinished_files(copied)


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
    broken = broken.replace(preprocessing="none")  # pixels up to 255, and so gradients over 1
    with pytest.raises(UserError, match=r"finetune heads: the loss is finite, but weights are not at step 1 of .* --redo=finetune"):
        train(broken)
    assert os.listdir(pathlib.Path(broken.run.run_dir, "checkpoints", "finetune", "heads")) == ["000000-000000"]


@pytest.mark.long
def test_a_backbone_that_memory_does_not_hold_names_the_flag_and_no_image_is_decoded(copied, monkeypatch):
    monkeypatch.setattr(images, "find_unusable", None)
    large = without_stages(copied, "finetune", "meta", "bsnet").replace(image_size=10**6, resize=10**6)
    with pytest.raises(
        UserError, match=r"^the backbone: out of memory .* of [\d.]+ GB of memory are in use, .*; lower --image_size=1000000$"
    ):
        commands.fit(large)


class Hungry(GroupedModel):
    """Its training step wants more memory than there is."""

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(1.0)

    def parameter_groups(self):
        return {"heads": [self.weight]}

    def train_step(self, data):
        with tf.GradientTape() as tape:
            large = tf.fill([2**21 * data.shape[0], 2**20], tf.stop_gradient(self.weight))  # one alone: each waits ten seconds for memory
            loss = self.weight * tf.reduce_sum(large)
        self.apply_gradients(tape, loss)
        return {"loss": loss}


@pytest.mark.long
def test_a_step_that_memory_does_not_hold_names_stage_flag_and_estimate(tiny_config, monkeypatch):
    monkeypatch.setattr(images, "find_unusable", None)
    model = Hungry()
    data = tf.data.Dataset.from_tensors(tf.zeros([8])).repeat()
    fit = Fit(model, model, 3, lambda *start: data, "SGD", {"heads": 0.1}, 0.0, "meta_tasks", dict)
    run = Run(tiny_config.replace(meta_tasks=8), load_benchmark(tiny_config.data), training=True)
    with pytest.raises(UserError) as failure:
        fit_stage(run, run.begin_seeded("meta", {}), fit, [FitPhase("episodes", 1)])
    told = str(failure.value)
    assert told.startswith("meta episodes: out of memory (OOM when allocating") and told.endswith("; lower --meta_tasks=8")
    (estimate,) = re.findall(r"a step is estimated to take ([\d.]+) GB", told)
    assert float(estimate) == pytest.approx(2**44 * 4 / 1e9, rel=1e-3)


def test_cudas_own_words_for_it_are_known(tiny_config):
    for words in ("No algorithm worked!", "CUDA_ERROR_OUT_OF_MEMORY: out of memory"):
        with pytest.raises(UserError, match="cache: out of memory"), memory.naming_shortage("cache", tiny_config, "eval_batch_size"):
            raise tf.errors.NotFoundError(None, None, words)
    with pytest.raises(tf.errors.NotFoundError), memory.naming_shortage("cache", tiny_config, "eval_batch_size"):
        raise tf.errors.NotFoundError(None, None, "red_1.jpg; No such file or directory")


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
    with pytest.raises(UserError, match=r"gates: the loss is not finite at step \d of epoch 1; the first tensor that is not finite is "):
        train(broken)
    assert stage_state(broken, "bsnet")["digest"] is None
    assert list(pathlib.Path(broken.run.run_dir, "checkpoints", "bsnet", "gates").iterdir())


def test_stages_keep_account_of_time_and_memory(trained):
    for stage in ("finetune", "meta", "bsnet"):
        state = stage_state(trained[0], stage)
        assert 0 < state["seconds"] < 600 and 1e8 < state["peak_memory_bytes"] < 1e11
