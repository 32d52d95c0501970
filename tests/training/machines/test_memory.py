"""The memory that a control group leaves, read from files as the kernel writes them."""

import numpy as np
import pytest

from bgsnet_tf.training.machines import memory


def write_group(folder, limit, use, reclaimable, names):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[1]).write_text(f"{limit}\n")
    (folder / names[2]).write_text(f"{use}\n")
    (folder / "memory.stat").write_text(f"cache 5\n{names[3]} {reclaimable}\n")


@pytest.mark.parametrize("names, line", [(memory._VERSION_1, "4:memory:/a/b"), (memory._VERSION_2, "0::/a/b")])
def test_the_tightest_group_on_the_way_up_counts(tmp_path, monkeypatch, names, line):
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    free = memory.main_memory_left(["1:cpu:/a/b"])
    assert free > 1_000_000
    write_group(tmp_path / names[0] / "a", 9_000, 2_000, 500, names)
    write_group(tmp_path / names[0] / "a" / "b", 20_000, 1_000, 0, names)
    assert memory.main_memory_left([line]) == 7_500
    assert memory.main_memory_left([line.replace("/a/b", "/elsewhere")]) > 1_000_000
    write_group(tmp_path / names[0], 3_000, 2_900, 0, names)  # the mount itself, as in a container
    assert memory.main_memory_left([line]) == 100
    assert memory.main_memory_left([line.replace("/a/b", "/elsewhere")]) == 100


def test_no_limit_leaves_what_the_machine_has(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    write_group(tmp_path, "max", 0, 0, memory._VERSION_2)
    assert memory.main_memory_left(["0::/"]) > 1_000_000


def test_this_process_holds_memory_and_there_is_more():
    held, there = memory.of_device()
    assert 0 < held < there


@pytest.mark.skipif(not memory.CLEAR_REFS.exists(), reason="only Linux lets the peak begin again")
def test_the_peak_is_that_since_its_reset():
    memory.reset_peak()
    before = memory.peak()
    block = np.ones(50_000_000)  # 400 MB, touched
    del block
    assert 390_000_000 < memory.peak() - before < 500_000_000
    memory.reset_peak()
    assert memory.peak() - before < 100_000_000
