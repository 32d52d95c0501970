"""The flags of a run on a tiny data set that takes seconds, and what tests of several rooms share."""

import contextlib
import pathlib
import resource

import pytest

from bgsnet_tf.config import Config, RunConfig
from tests.exports import exported  # noqa: F401 (a fixture)
from tests.tiny import write_tiny

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"

TINY_FLAGS = {
    "dataset": "csv",
    "image_size": 32,
    "resize": 36,
    "backbone": "small",
    "backbone_weights": "none",
    "finetune_head_epochs": 1,
    "finetune_epochs": 2,
    "finetune_batch_size": 8,
    "finetune_backbone_lr": 1e-3,
    "meta_epochs": 2,
    "meta_steps": 3,
    "meta_tasks": 2,
    "shot": 2,
    "query": 2,
    "submodules": 2,
    "eph_max": 2,
    "balance_epochs": 1,
    "b_hidden": 8,
    "bsnet_batch_size": 8,
}


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


def tiny_config_below(root):
    """Settings of a whole run, in seconds, on a tiny data set that is written below `root`."""
    write_tiny(root / "tiny")
    return Config(run=RunConfig(run_dir=str(root / "run"))).replace(**TINY_FLAGS, data_dir=str(root / "tiny"))


@pytest.fixture
def tiny_config(tmp_path):
    """Settings of a whole run on a tiny data set of the test's own."""
    return tiny_config_below(tmp_path)


@pytest.fixture
def tiny_dir(tiny_config):
    """Folder of the tiny data set."""
    return pathlib.Path(tiny_config.data.data_dir)
