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
    config = tiny_config_below(tmp_path_factory.mktemp("best")).replace(**SEVERAL_EPOCHS, seed=1, calibrate=True)
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
    assert scores[best] > scores[5], "the last epoch is as good as the best: the test shows nothing"
    results = commands.evaluate(config, html=False)
    assert delta_choice.with_choices(config, results).finetune.finetune_stop == best + 1
    assert results["general"]["AUSUC"] == pytest.approx(scores[best], abs=1e-3)


def fine_tuned(config):
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        commands.fit(config)
    return epochs(config, "loss")


def test_the_final_run_stops_where_the_validation_run_was_best(calibrated):
    config, validation = calibrated
    results = read_json(os.path.join(validation.run.run_dir, "results.json"))
    assert len(epochs(config, "loss")) == delta_choice.with_choices(validation, results).finetune.finetune_stop


def test_what_stops_has_the_learning_rates_of_the_whole(calibrated, tmp_path):
    config = calibrated[0].replace(calibrate=False)
    whole = fine_tuned(config.replace(run_dir=str(tmp_path / "whole")))
    stopped = fine_tuned(config.replace(run_dir=str(tmp_path / "stopped"), finetune_stop=4))
    assert sorted(whole) == [0, 1, 2, 3, 4, 5] and sorted(stopped) == [0, 1, 2, 3]
    np.testing.assert_allclose([stopped[epoch] for epoch in range(4)], [whole[epoch] for epoch in range(4)], rtol=1e-6)


def test_a_stop_after_the_last_epoch_is_refused(tiny_config):
    with pytest.raises(UserError, match="--finetune_stop=4 lies after the last of 3 epochs"):
        tiny_config.replace(finetune_stop=4)
