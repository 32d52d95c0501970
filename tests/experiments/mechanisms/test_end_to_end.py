"""The experiment on networks that really train: it continues, and what is broken on purpose does not come out as shown."""

import contextlib
import io
import os

import pytest

from bgsnet_tf.config import define_flags, flagfiles, from_flags
from bgsnet_tf.errors import UserError
from bgsnet_tf.experiments.mechanisms import __main__ as mechanisms
from bgsnet_tf.experiments.mechanisms import registered
from tests.conftest import ROOT


def settings_below(directory, **changes):
    """Those of configs/mechanisms.flags."""
    from absl import flags

    values = flags.FlagValues()
    define_flags(values)
    values(["", *flagfiles.expand([f"--flagfile={ROOT / 'configs' / 'mechanisms.flags'}", f"--run_dir={directory}"])])
    return from_flags(values).replace(**changes)


@pytest.mark.parametrize("change, told", [({"dataset": "demo"}, "--dataset=demo has no dials"), ({"s_hidden": 4}, "--s_hidden=4")])
def test_settings_that_the_statistics_cannot_read_are_refused(tmp_path, change, told):
    with pytest.raises(UserError, match=told):
        mechanisms.run(settings_below(tmp_path / "run", **change), 1, 1, 1)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_nothing_broken_is_shown_and_the_same_command_trains_nothing_again(tmp_path):
    shorter = {"finetune_epochs": 3, "eph_max": 2, "balance_epochs": 2}
    settings = settings_below(tmp_path / "run", **shorter)
    with contextlib.redirect_stdout(io.StringIO()):
        found = mechanisms.run(settings, 3, 1, os.cpu_count())
    for mechanism in found["mechanisms"]:
        assert mechanism["verdict"] == "not shown (too few draws)"
        if mechanism["broken"]:
            assert {condition["status"] for condition in mechanism["conditions"]} != {"met"}
    measured = sorted((tmp_path / "run" / "measured").iterdir())
    assert len(measured) == 3 * sum(len(situation.networks) for situation in registered.SITUATIONS.values())
    assert not list((tmp_path / "run" / "work").iterdir())

    times = {path: path.stat().st_mtime_ns for path in measured[1:]}
    measured[0].write_bytes(measured[0].read_bytes()[:1000])  # as a crash of the machine would leave it
    with contextlib.redirect_stdout(io.StringIO()):
        again = mechanisms.run(settings, 3, 1, os.cpu_count())
    assert {path: path.stat().st_mtime_ns for path in measured[1:]} == times and again["mechanisms"] == found["mechanisms"]
