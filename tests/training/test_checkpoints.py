"""A stage's folder and its checkpoints, without a network that is worth training."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.errors import UserError
from bgsnet_tf.training import checkpoints
from bgsnet_tf.training.checkpoints import PhaseCheckpoints, Position, StageFolder
from bgsnet_tf.training.machines import memory

SETTINGS = {"dataset": "tiny", "eta": 0.1}


class Network(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(0.0)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"7", b"null", b"{}", b"\xff\xfe", b'{"settings": 1, "digest": null}', b'{"settings": {}, "digest": 3}', b"[" * 100_000],
)
def test_a_damaged_record_of_a_stage_is_one_line(tmp_path, content):
    (tmp_path / "checkpoints" / "bsnet").mkdir(parents=True)
    (tmp_path / "checkpoints" / "bsnet" / "stage.json").write_bytes(content)
    with pytest.raises(UserError, match="stage.json is damaged; add --redo=bsnet"):
        StageFolder(tmp_path, "bsnet", SETTINGS)


def test_a_flag_that_is_newer_than_the_run_is_at_its_default(tmp_path):
    folder = StageFolder(tmp_path, "bsnet", SETTINGS)
    folder.start()
    StageFolder(tmp_path, "bsnet", {**SETTINGS, "gates_go_on": False})
    with pytest.raises(UserError, match="--gates_go_on=False, not True; .* add --redo=bsnet"):
        StageFolder(tmp_path, "bsnet", {**SETTINGS, "gates_go_on": True})


@pytest.mark.parametrize("content", ["", "[]", "7", "{}", '"text"', '{"checkpoint.index": 1}'])
def test_damaged_checksums_fall_back_to_the_checkpoint_before(tmp_path, content):
    network = Network()
    saved = PhaseCheckpoints(str(tmp_path), network)
    for epoch in (1, 2):
        network.kernel.assign(epoch)
        saved.save(Position(epoch))
    (tmp_path / "000002-000000" / "checksums.json").write_text(content)
    assert saved.restore() == Position(1) and network.kernel == 1


def test_a_forgotten_stage_leaves_files_of_others_and_stages_of_other_runs(tmp_path):
    base, linked = tmp_path / "base", tmp_path / "linked" / "checkpoints"
    StageFolder(base, "bsnet", SETTINGS).start()
    PhaseCheckpoints(str(base / "checkpoints" / "bsnet" / "gates"), Network()).save(Position(1))
    (base / "checkpoints" / "bsnet" / "gates" / "notes.txt").write_text("mine")
    linked.mkdir(parents=True)
    (linked / "bsnet").symlink_to(base / "checkpoints" / "bsnet")
    assert checkpoints.forget(tmp_path / "linked", "bsnet") and not os.path.lexists(linked / "bsnet")
    assert (base / "checkpoints" / "bsnet" / "gates" / "000001-000000").is_dir()
    assert checkpoints.forget(base, "bsnet") and not checkpoints.forget(base, "bsnet")
    assert [path.name for path in base.rglob("*") if path.is_file()] == ["notes.txt"]


@pytest.mark.skipif(not memory.CLEAR_REFS.exists(), reason="only Linux forgets a peak")
def test_the_peak_of_a_stage_is_its_own(tmp_path):
    np.ones(500_000_000, np.uint8)  # and gone
    of_process = memory.peak()
    folder = StageFolder(tmp_path, "bsnet", SETTINGS)
    folder.start()
    folder.note_time()
    state = json.loads((tmp_path / "checkpoints" / "bsnet" / "stage.json").read_text())
    assert 1e8 < state["peak_memory_bytes"] < of_process - 2e8
