"""Run folders of older versions are still read: what they have on record fits what stages depend on now."""

import json
import pathlib

import pytest
from absl import flags

from bgsnet_tf import commands, config
from bgsnet_tf.training import stages
from bgsnet_tf.training.checkpoints import StageFolder

OLD_RUN = pathlib.Path(__file__).parent / "run_of_3b67e8e"  # of the demo, without weights: made at that commit, 2026-11-24


@pytest.fixture(scope="module")
def run():
    values = flags.FlagValues()
    config.define_flags(values)
    values(["", f"--run_dir={OLD_RUN}"])
    return commands.open_run(config.of_run(values).replace(run_dir=str(OLD_RUN)))


@pytest.mark.parametrize("stage", stages.STAGES)
def test_stages_of_an_older_version_are_finished_ones_of_the_same_settings(run, stage):
    assert StageFolder(run.directory, stage, {**stages.stage_settings(run, stage), **of_weights(stage)}).finished


def of_weights(stage):
    """What a stage depends on beside settings; the weights are not kept here."""
    settings = json.loads((OLD_RUN / "checkpoints" / stage / "stage.json").read_text())["settings"]
    return {"finetuned": settings["finetuned"]} if "finetuned" in settings else {}
