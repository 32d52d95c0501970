"""The cache is exact, continues an interrupted build, is divided among processes, and notices damage."""

import errno
import os

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf import files
from bgsnet_tf.data import trunk_cache
from bgsnet_tf.errors import UserError

ITEMS, VIEWS, BATCH = 24, 3, 5
IMAGES = np.random.default_rng(0).normal(size=(ITEMS, 4, 4, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Shards of 10, 10 and 4 items."""
    monkeypatch.setattr(trunk_cache, "SHARD_ITEMS", 8)


def embed(images):
    return images * 2, images.mean(axis=(1, 2))


def build(directory, fingerprint="a", dtype="float32", embed=embed, **processes):
    """The cache, and the positions that were computed for it."""
    computed = []

    def compute(positions):
        for start in range(0, len(positions), BATCH):
            batch = positions[start : start + BATCH]
            parts = embed(IMAGES[batch])
            computed.extend(batch)
            yield parts

    return trunk_cache.open_or_build(str(directory), fingerprint, ITEMS, VIEWS, BATCH, compute, dtype, "test", **processes), computed


def everything(cache):
    items = np.stack(np.divmod(np.arange(ITEMS), VIEWS), axis=1)
    return cache.gather(items)


def interrupt_at_batch(number):
    calls = []

    def interrupted(images):
        calls.append(len(images))
        if len(calls) == number:
            raise KeyboardInterrupt
        return embed(images)

    return interrupted


def test_float32_cache_equals_what_was_computed_bit_for_bit(tmp_path):
    cache, _ = build(tmp_path)
    expected = embed(IMAGES)
    np.testing.assert_array_equal(everything(cache)[0], expected[0])
    np.testing.assert_array_equal(everything(cache)[1], expected[1])
    np.testing.assert_array_equal(cache.general, expected[1])
    assert cache.shape == (4, 4, 3)


def test_float16_cache_is_the_rounded_one(tmp_path):
    cache, _ = build(tmp_path, dtype="float16")
    assert cache.dtype == np.float16 and cache.general.dtype == np.float32
    np.testing.assert_array_equal(everything(cache)[0], (IMAGES * 2).astype(np.float16))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_batches_go_to_the_device_in_the_type_of_the_cache(tmp_path, dtype):
    cache, _ = build(tmp_path, dtype=dtype)
    items = tf.data.Dataset.from_tensors(np.array([[7, 1], [0, 0]]))
    (((features, general), _),) = trunk_cache.cached_batches(cache, np.zeros(8, np.int32), items)
    assert features.dtype == dtype and general.dtype == tf.float32
    np.testing.assert_array_equal(features, (IMAGES[[22, 0]] * 2).astype(dtype))


def test_gather_takes_rows_and_views(tmp_path):
    cache, _ = build(tmp_path)
    found, general = cache.gather(np.array([[7, 1], [0, 0]]))
    np.testing.assert_array_equal(found, IMAGES[[22, 0]] * 2)
    np.testing.assert_array_equal(general, embed(IMAGES[[22, 0]])[1])


def test_a_whole_cache_is_not_computed_again(tmp_path):
    build(tmp_path)
    assert build(tmp_path)[1] == []


def test_another_fingerprint_is_computed_anew(tmp_path):
    build(tmp_path)
    assert build(tmp_path, "b")[1] == list(range(ITEMS))


def test_another_batch_size_leaves_no_file_of_the_old_shards(tmp_path, monkeypatch):
    build(tmp_path)
    monkeypatch.setattr(trunk_cache, "SHARD_ITEMS", ITEMS)
    cache, computed = build(tmp_path)
    assert computed == list(range(ITEMS)) and len(os.listdir(tmp_path)) == 3
    np.testing.assert_array_equal(everything(cache)[0], IMAGES * 2)


def test_an_interrupted_build_keeps_whole_shards(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, embed=interrupt_at_batch(4))
    cache, computed = build(tmp_path)
    assert computed == list(range(10, ITEMS))
    np.testing.assert_array_equal(everything(cache)[0], IMAGES * 2)


def test_an_interrupted_build_of_other_features_starts_over(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, embed=interrupt_at_batch(4))
    assert build(tmp_path, "b")[1] == list(range(ITEMS))


def test_processes_divide_the_shards(tmp_path):
    """The second process is here before the first, and waits for its shards."""
    by_first = []
    cache, by_second = build(
        tmp_path, worker=1, workers=2, wait=lambda: by_first.extend(build(tmp_path, workers=2)[1]) if not by_first else None
    )
    assert by_second == list(range(10, 20))
    assert by_first == [*range(10), *range(20, 24)]
    np.testing.assert_array_equal(everything(cache)[0], IMAGES * 2)


@pytest.mark.parametrize("name", ["0001-features.npy", "0001-general.npy"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_file_is_found_and_its_shard_alone_computed_again(tmp_path, capsys, name, damage):
    build(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[-3] ^= 1
    if damage == "remove":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content if damage == "flip" else content[:-4])
    cache, computed = build(tmp_path)
    assert computed == list(range(10, 20)) and "damaged" in capsys.readouterr().out
    np.testing.assert_array_equal(everything(cache)[0], IMAGES * 2)


@pytest.mark.parametrize("note", ["[]", "{}", "7", '"text"', "[" * 100_000, '{"depends_on": ["a", 10, 20]}', "\xff"])
def test_a_damaged_note_costs_its_shard_alone(tmp_path, note):
    build(tmp_path)
    (tmp_path / "0001.json").write_bytes(note.encode("latin-1"))
    assert build(tmp_path)[1] == list(range(10, 20))


def test_files_of_others_in_the_folder_stay(tmp_path):
    build(tmp_path)
    (tmp_path / "notes").mkdir()
    for name in ("notes/0001.json", "mine.npy", "0001-features.npy.txt"):
        (tmp_path / name).write_text("mine")
    (tmp_path / f"0000.json{files.UNFINISHED}").write_text("left by a process that was killed")
    build(tmp_path, "b")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[:2] != "00") == ["mine.npy", "notes"]
    assert (tmp_path / "notes" / "0001.json").exists() and (tmp_path / "0001-features.npy.txt").exists()
    assert not list(tmp_path.glob(f"*{files.UNFINISHED}"))


def test_a_folder_on_a_read_only_disk_is_one_error(tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(UserError, match="cache/train cannot be written: .*Read-only file system"):
        build(tmp_path / "cache" / "train")


def test_a_full_disk_is_one_error_and_what_fits_stays(tmp_path, file_size_limit):
    """The system's file-size limit fails the write of a shard that is larger than the others."""
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, embed=interrupt_at_batch(3))
    with file_size_limit(1000), pytest.raises(UserError, match="disk is full"):
        build(tmp_path)
    assert build(tmp_path)[1] == list(range(10, ITEMS))
    assert not list(tmp_path.glob(f"*{files.UNFINISHED}"))
