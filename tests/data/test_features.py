"""The cache is exact, continues an interrupted build, and notices damage."""

import os

import numpy as np
import pytest

from bgsnet_tf.data import features

ITEMS, VIEWS, BATCH = 12, 3, 5
IMAGES = np.random.default_rng(0).normal(size=(ITEMS, 4, 4, 3)).astype(np.float32)


def compute(images):
    return images * 2, images.mean(axis=(1, 2))


def build(directory, fingerprint="a", dtype="float32", compute=compute):
    starts = []

    def batches(done):
        starts.append(done)
        for start in range(done, ITEMS, BATCH):
            yield IMAGES[start : start + BATCH]

    cache = features.open_or_build(str(directory), fingerprint, ITEMS, VIEWS, batches, compute, dtype, "test")
    return cache, starts


def test_float32_cache_equals_what_was_computed_bit_for_bit(tmp_path):
    cache, _ = build(tmp_path)
    expected = compute(IMAGES)
    np.testing.assert_array_equal(cache.features, expected[0])
    np.testing.assert_array_equal(cache.general, expected[1])


def test_float16_cache_is_the_rounded_one(tmp_path):
    cache, _ = build(tmp_path, dtype="float16")
    assert cache.features.dtype == np.float16 and cache.general.dtype == np.float32
    np.testing.assert_array_equal(cache.features, (IMAGES * 2).astype(np.float16))


def test_gather_takes_rows_and_views(tmp_path):
    cache, _ = build(tmp_path)
    found, general = cache.gather(np.array([[2, 1], [0, 0]]))
    np.testing.assert_array_equal(found, IMAGES[[7, 0]] * 2)
    np.testing.assert_array_equal(general, compute(IMAGES[[7, 0]])[1])


def test_a_whole_cache_is_not_computed_again(tmp_path):
    build(tmp_path)
    assert build(tmp_path)[1] == []
    assert sorted(os.listdir(tmp_path)) == ["cache.json", "features.npy", "general.npy"]


def test_another_fingerprint_is_computed_anew(tmp_path):
    build(tmp_path)
    assert build(tmp_path, "b")[1] == [0]


def test_an_interrupted_build_continues(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SAVE_SECONDS", 0)
    calls = []

    def interrupted(images):
        calls.append(len(images))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return compute(images)

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, compute=interrupted)
    assert not os.path.exists(tmp_path / "features.npy")
    cache, starts = build(tmp_path)
    assert starts == [10]
    np.testing.assert_array_equal(cache.features, IMAGES * 2)


def test_an_interrupted_build_of_other_features_starts_over(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SAVE_SECONDS", 0)

    def interrupted(images):
        if len(images) < BATCH:
            raise KeyboardInterrupt
        return compute(images)

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, compute=interrupted)
    assert build(tmp_path, "b")[1] == [0]


@pytest.mark.parametrize("name", features.FILES)
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_file_is_found_and_computed_again(tmp_path, capsys, name, damage):
    build(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[-3] ^= 1
    if damage == "remove":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content if damage == "flip" else content[:-4])
    cache, starts = build(tmp_path)
    assert starts == [0] and "damaged" in capsys.readouterr().out
    np.testing.assert_array_equal(cache.features, IMAGES * 2)
