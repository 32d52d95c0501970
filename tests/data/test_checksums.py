import os

import pytest

from bgsnet_tf import files
from bgsnet_tf.data import checksums


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.setattr(checksums, "_known", {})
    paths = [tmp_path / f"{i}.jpg" for i in range(3)]
    for i, path in enumerate(paths):
        path.write_bytes(bytes([i]) * 100)
    return [*paths, paths[0], tmp_path / "missing.jpg"]


def other_bytes(path):
    """As many, and with the old time of change, which nobody would notice without reading the file."""
    times = os.stat(path)
    path.write_bytes(b"x" * times.st_size)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_they_are_of_the_bytes_alone(images):
    first = checksums.of_files(images)
    assert first == [*map(files.checksum, images[:4]), -1] and len(set(first)) == 4
    os.utime(images[0], (1, 1))
    assert checksums.of_files(images) == first
    images[1].write_bytes(b"\x01" * 99 + b"\x00")
    os.utime(images[1], (2, 2))
    assert [old == new for old, new in zip(first, checksums.of_files(images))] == [True, False, True, True, True]


def test_a_file_is_read_again_only_where_its_size_or_time_is_new(images, tmp_path, monkeypatch):
    first = checksums.of_files(images)
    checksums.keep(tmp_path / "kept.json", images)
    other_bytes(images[0])
    assert checksums.of_files(images) == first
    monkeypatch.setattr(checksums, "_known", {})
    checksums.recall(tmp_path / "kept.json")
    assert checksums.of_files(images) == first
    monkeypatch.setattr(checksums, "_known", {})
    assert checksums.of_files(images)[0] != first[0]


@pytest.mark.parametrize("kept", ["", "[1]", "3", '{"PATH": 3}', '{"PATH": [1, 2]}', '{"PATH": ["a", null, 3]}'])
def test_a_damaged_memory_is_none(images, tmp_path, kept):
    (tmp_path / "kept.json").write_text(kept.replace("PATH", str(images[0])))
    checksums.recall(tmp_path / "kept.json")
    assert checksums.of_files(images)[0] == files.checksum(images[0])


def test_a_file_that_cannot_be_read_has_none(tmp_path):
    assert checksums.of_files([tmp_path]) == [-1]
