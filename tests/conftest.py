"""What tests of several rooms share."""

import contextlib
import gc
import os
import pathlib
import resource

import pytest

from bgsnet_tf import cli
from tests.exports import exported  # noqa: F401 (a fixture)
from tests.programs import ROOT
from tests.whole_runs import calibrated, tiny_config_below, trained  # noqa: F401 (the first and the last are fixtures)

SHARED_DATA = ROOT.parent / "shared" / "data"
LONGEST = (  # files, so that the last ones that several workers are at are short
    "training/machines/test_strategy.py",
    "training/test_stages.py",
    "training/test_faults.py",
    "planning/test_dry_run.py",
    "docs/test_tutorial.py",
    "experiments/test_ablation.py",
    "training/test_several_steps_a_call.py",
    "experiments/test_no_test_labels.py",
    "training/test_kills.py",
    "reporting/test_run_report.py",
    "experiments/test_seeds.py",
    "serving/test_litert.py",
    "scoring/test_pruning.py",
    "experiments/test_sweep.py",
    "benchmarks/test_gpu.py",
    "training/test_best_epoch.py",
    "training/test_starts.py",
    "reporting/test_model_card.py",
    "scoring/test_reference.py",
    "experiments/test_runs.py",
    "test_commands.py",
    "serving/test_versions.py",
    "test_package.py",
)


def pytest_collection_modifyitems(items):
    place = {str(ROOT / "tests" / name): i for i, name in enumerate(LONGEST)}
    assert all(map(os.path.exists, place)), "a file of LONGEST is gone"
    items.sort(key=lambda item: place.get(str(item.path), len(LONGEST)))
    gc.set_threshold(cli.OBJECTS_BEFORE_COLLECTION)
    gc.freeze()  # what was imported stays


def shared_data(name):
    """The path of real data that lies beside the checkout, or a skip that says so."""
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"no real data: {path} does not exist")
    return path


@pytest.fixture
def file_size_limit():
    """A context manager under which no file of this process grows over a number of bytes: writes fail as on a full disk."""

    @contextlib.contextmanager
    def limit(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.fixture
def tiny_config(tmp_path):
    """Settings of a whole run on a tiny data set of the test's own."""
    return tiny_config_below(tmp_path)


@pytest.fixture
def tiny_dir(tiny_config):
    """Folder of the tiny data set."""
    return pathlib.Path(tiny_config.data.data_dir)
