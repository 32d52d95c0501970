"""How the runs of whole experiments are started."""

import pytest

from bgsnet_tf.experiments import runs
from tests.programs import FORKED


@pytest.fixture
def forked_runs(monkeypatch):
    """Runs have processes of their own as ever, but do not load TensorFlow each for itself; `test_runs.py` has spawned ones."""
    monkeypatch.setattr(runs, "START_METHOD", FORKED.get_start_method())
