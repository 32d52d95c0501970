"""Offline scoring: right answers, restart by shard, bad images listed."""

import os
import pathlib
import sys

import numpy as np
import pytest

from bgsnet_tf.errors import UserError
from bgsnet_tf.exported.choices import choice
from bgsnet_tf.exported.model import ExportedModel
from bgsnet_tf.files import locked
from bgsnet_tf.serving import offline, records
from bgsnet_tf.serving.client.asking import find_images
from tests.serving.conftest import FORMATS, assert_scored, read_records


@pytest.fixture(scope="module")
def ask(exported):
    return ExportedModel(os.path.join(exported.directory, "1")).ask


@pytest.mark.parametrize("form", FORMATS)
def test_every_good_image_has_its_answer_and_the_bad_one_is_listed(exported, photos, ask, tmp_path, form, monkeypatch):
    monkeypatch.setattr(records, "ROW_GROUP", 2)  # so that a shard takes more than one
    output = str(tmp_path / "scored")
    assert offline.score(find_images(str(photos)), ask, output, shard_size=3, batch_size=2, form=form) == 1
    assert {name for name in os.listdir(output) if name.startswith("part")} == {
        *(f"part-{i:05d}-of-00003.{form}" for i in range(3)),
        "part-00001-of-00003.problems.csv",
    }
    assert_scored(read_records(output), exported, photos)
    problems = pathlib.Path(output, "part-00001-of-00003.problems.csv").read_text().splitlines()
    assert problems == ["image,problem", f"{photos}/3.jpg,image 0 is neither a JPEG nor a PNG file"]


def test_a_stopped_run_goes_on_with_the_first_shard_that_is_not_whole(photos, ask, tmp_path):
    output, paths, asked = str(tmp_path / "scored"), find_images(str(photos)), []

    def stops_in_the_second_shard(files):
        asked.append(len(files))
        if len(asked) > 1:
            raise KeyboardInterrupt
        return ask(files)

    with pytest.raises(KeyboardInterrupt):
        offline.score(paths, stops_in_the_second_shard, output, shard_size=3, batch_size=3)
    assert [name for name in os.listdir(output) if name.endswith(".tfrecord")] == ["part-00000-of-00003.tfrecord"]
    again = []
    offline.score(paths, lambda files: again.append(len(files)) or ask(files), output, shard_size=3, batch_size=3)
    assert sum(again) == 5 + 3 + 3  # two shards; the batch with the bad image once more, and again in parts
    assert len(read_records(output)) == 7


def test_shards_of_another_run_are_not_mixed(photos, ask, tmp_path):
    output, paths = str(tmp_path / "scored"), find_images(str(photos))
    offline.score(paths, ask, output, shard_size=5, batch_size=4)
    classes = choice(["pink"], [[1, 0.7, 0.7, 0.5]], [False], 0.0, np.zeros(4))
    for changed, size, chosen in ((paths[1:], 5, None), (paths, 4, None), (paths, 5, classes)):
        with pytest.raises(UserError, match="other images or classes, another export, format or shard size"):
            offline.score(changed, ask, output, shard_size=size, batch_size=4, choice=chosen)


def test_parquet_without_pyarrow_is_refused_before_anything_is_scored(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="pip install pyarrow"):
        offline.score(find_images(str(photos)), None, str(tmp_path / "scored"), shard_size=3, batch_size=2, form="parquet")
    assert not (tmp_path / "scored").exists()


@pytest.mark.parametrize("form", FORMATS)
def test_a_path_that_is_no_utf_8_is_kept(ask, exported, tmp_path, form):
    path = os.fsdecode(bytes(tmp_path) + b"/caf\xe9.jpg")
    pathlib.Path(path).write_bytes(exported.image_bytes[0])
    offline.score([path], ask, str(tmp_path / "scored"), shard_size=3, batch_size=2, form=form)
    kept = f"{tmp_path}/caf\\xe9.jpg" if form == "parquet" else path
    assert list(read_records(str(tmp_path / "scored"))) == [kept]


@pytest.mark.parametrize("form", FORMATS)
def test_a_full_disk_gives_one_line_and_the_run_goes_on(photos, ask, tmp_path, form, file_size_limit):
    output, paths = str(tmp_path / "scored"), find_images(str(photos))
    with pytest.raises(UserError, match="scored cannot be written: the disk is full"), file_size_limit(300):
        offline.score(paths, ask, output, shard_size=8, batch_size=4, form=form)
    assert not any("part-" in name for name in os.listdir(output))
    assert offline.score(paths, ask, output, shard_size=8, batch_size=4, form=form) == 1
    assert len(read_records(output)) == 7


@pytest.mark.parametrize("place", ["/proc/scored", "file", "file/scored"])
def test_a_folder_that_cannot_be_made_gives_one_line(tmp_path, place):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="--output=.* cannot be made"):
        offline.score(["a.jpg"], None, os.path.join(tmp_path, place), shard_size=3, batch_size=2)
    assert os.listdir(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("damaged", [b"", b"\xff", b"[" * 100_000, b"{}"])
def test_a_folder_whose_note_is_damaged_is_left_alone(tmp_path, damaged):
    (tmp_path / "batch.json").write_bytes(damaged)
    with pytest.raises(UserError, match="give another folder"):
        offline.score(["a.jpg"], None, str(tmp_path), shard_size=3, batch_size=2)
    assert (tmp_path / "batch.json").read_bytes() == damaged


def test_two_runs_do_not_write_one_folder(tmp_path):
    with locked(str(tmp_path)), pytest.raises(UserError, match="is in use by process"):
        offline.score(["a.jpg"], None, str(tmp_path), shard_size=3, batch_size=2)


def test_problems_of_an_attempt_that_was_stopped_are_not_kept(photos, ask, tmp_path):
    output = tmp_path / "scored"
    output.mkdir()
    (output / "part-00000-of-00001.problems.csv").write_text("image,problem\n")
    offline.score([str(photos / "0.jpg")], ask, str(output), shard_size=3, batch_size=2)
    assert sorted(os.listdir(output)) == [".lock", "batch.json", "part-00000-of-00001.tfrecord"]
