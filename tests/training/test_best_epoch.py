"""How many epochs fine-tuning has: chosen in the validation split, taken by the final one."""

import contextlib
import io
import os

import numpy as np
import pytest

from bgsnet_tf import commands, delta_choice
from bgsnet_tf.errors import UserError
from bgsnet_tf.files import read_json
from tests.conftest import tiny_config_below
from tests.training.conftest import logged

SEVERAL_EPOCHS = {
    "finetune_head_epochs": 2,
    "finetune_epochs": 4,
    "finetune_lr": 0.3,
    "finetune_backbone_lr": 0.3,
    "meta": False,
    "bsnet": False,
}


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """Settings of a run that was calibrated, and its folder of the validation run."""
    config = tiny_config_below(tmp_path_factory.mktemp("best")).replace(**SEVERAL_EPOCHS, calibrate=True)
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        commands.train(config)
    return config, delta_choice.validation_run(config)


def epochs(config, name):
    """{epoch: value} of a number of fine-tuning."""
    return {step: value for (stage, tag, step), value in of_finetune(config).items() if tag == f"epoch_{name}"}


def of_finetune(config):
    return {key: value for key, value in logged(config.run.run_dir).items() if "finetune" in key[0]}


def test_a_validation_run_goes_on_from_its_best_epoch(calibrated):
    config = calibrated[1]
    scores = epochs(config, "AUSUC")
    assert len(scores) == 6
    best = max(scores, key=scores.get)
    assert best != 5, "the last epoch is the best: the test shows nothing"
    results = commands.evaluate(config, html=False)
    assert delta_choice.with_choices(config, results).finetune.finetune_stop == best + 1
    assert results["general"]["AUSUC"] == pytest.approx(scores[best], abs=1e-3)


def test_the_final_run_stops_there_at_the_rates_of_the_whole(calibrated, tmp_path):
    config, validation = calibrated
    results = read_json(os.path.join(validation.run.run_dir, "results.json"))
    stop = delta_choice.with_choices(validation, results).finetune.finetune_stop
    losses = epochs(config, "loss")
    assert len(losses) == stop
    whole = config.replace(calibrate=False, run_dir=str(tmp_path / "whole"))
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        commands.fit(whole)
    expected = epochs(whole, "loss")
    assert len(expected) == 6
    np.testing.assert_allclose([losses[epoch] for epoch in range(stop)], [expected[epoch] for epoch in range(stop)], rtol=1e-6)


def test_a_stop_after_the_last_epoch_is_refused(tiny_config):
    with pytest.raises(UserError, match="--finetune_stop=4 lies after the last of 3 epochs"):
        tiny_config.replace(finetune_stop=4)
