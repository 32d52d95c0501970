"""What tests of several rooms share."""

import contextlib
import pathlib
import resource

import pytest

from tests.exports import exported  # noqa: F401 (a fixture)
from tests.programs import ROOT
from tests.whole_runs import calibrated, tiny_config_below, trained  # noqa: F401 (the first and the last are fixtures)

SHARED_DATA = ROOT.parent / "shared" / "data"
LONGEST = (  # files, so that the last ones that several workers are at are short
    "training/test_stages.py",
    "training/test_strategy.py",
    "training/test_faults.py",
    "training/test_kills.py",
    "experiments/test_ablation.py",
    "planning/test_dry_run.py",
    "scoring/test_pruning.py",
    "test_commands.py",
    "reporting/test_run_report.py",
    "experiments/test_no_test_labels.py",
    "test_package.py",
    "serving/test_versions.py",
)


def pytest_collection_modifyitems(items):
    place = {str(ROOT / "tests" / name): i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(str(item.path), len(LONGEST)))


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
