"""How many epochs fine-tuning has: chosen in the validation split, taken by the final one."""

import contextlib
import io
import pathlib

import numpy as np
import pytest

from bgsnet_tf import commands
from bgsnet_tf.config import delta_choice
from bgsnet_tf.errors import UserError
from bgsnet_tf.training.run import Run
from tests.training.conftest import logged

EPOCHS = {"finetune_head_epochs": 2, "finetune_epochs": 4, "finetune_lr": 0.05, "meta": False, "bsnet": False}
AUSUC = [10.0, 30.0, 20.0, 50.0, 40.0, 45.0]  # after every epoch; the fourth is the best
BEST = 4


@pytest.fixture
def scored(monkeypatch):
    """Gives the epochs of fine-tuning the figures above: those of a tiny data set are of a handful of images."""
    figures = iter(AUSUC)
    monkeypatch.setattr(Run, "score", lambda *_: {**dict.fromkeys("TUSH", 1.0), "AUSUC": next(figures)})


def trained(config):
    """Kernel of f_g, and {epoch: loss} of fine-tuning."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        _, bgsnet = commands.fit(config)
    of_epochs = {key[2]: value for key, value in logged(config.run.run_dir).items() if "finetune" in key[0] and key[1] == "epoch_loss"}
    return bgsnet.general_predictor.get_weights()[0], of_epochs


def test_a_validation_run_goes_on_from_its_best_epoch(tiny_config, tmp_path, scored):
    config = tiny_config.replace(**EPOCHS, split="validation")
    found, losses = trained(config)
    stopped, _ = trained(config.replace(run_dir=str(tmp_path / "stopped"), finetune_stop=BEST, score_epochs=False))
    whole, _ = trained(config.replace(run_dir=str(tmp_path / "whole"), score_epochs=False))
    assert len(losses) == len(AUSUC)
    np.testing.assert_allclose(found, stopped, atol=1e-5)
    assert np.abs(found - whole).max() > 1e-3


@pytest.mark.long
def test_the_final_run_stops_where_the_validation_run_was_best(tiny_config, scored):
    config = tiny_config.replace(**EPOCHS, calibrate=True)
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        commands.train(config)
        commands.train(config)  # the same command goes on where the other ended
    assert len(trained(config.replace(calibrate=False, finetune_stop=BEST))[1]) == BEST
    assert f"--finetune_stop={BEST}\n" in pathlib.Path(config.run.run_dir, "config.flags").read_text()


def test_a_best_epoch_that_is_the_last_is_no_stop():
    results = {"finetuning": {"1": {"AUSUC": 20.0}, "2": {"AUSUC": 30.0}}, "deltas": {}}
    assert delta_choice.choices(results) == {"finetune_stop": 0}
    results["finetuning"]["1"]["AUSUC"] = 30.0  # the earlier one of equals
    assert delta_choice.choices(results) == {"finetune_stop": 1}


def test_what_stops_has_the_learning_rates_of_the_whole(tiny_config, tmp_path):
    config = tiny_config.replace(**EPOCHS)
    _, whole = trained(config)
    _, stopped = trained(config.replace(run_dir=str(tmp_path / "stopped"), finetune_stop=BEST))
    assert sorted(whole) == [0, 1, 2, 3, 4, 5] and sorted(stopped) == [0, 1, 2, 3]
    np.testing.assert_allclose([stopped[epoch] for epoch in range(BEST)], [whole[epoch] for epoch in range(BEST)], rtol=1e-5)


def test_a_stop_after_the_last_epoch_is_refused(tiny_config):
    with pytest.raises(UserError, match="--finetune_stop=4 lies after the last of 3 epochs"):
        tiny_config.replace(finetune_stop=4)
