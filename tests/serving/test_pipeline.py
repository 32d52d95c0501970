"""The Beam pipeline on Beam's local runner."""

import csv
import os
import pathlib
import subprocess
import sys

import pytest

from bgsnet_tf.errors import UserError
from tests.conftest import ROOT
from tests.serving.conftest import assert_scored, read_records

pytest.importorskip("apache_beam", reason="apache-beam is not installed; see requirements/beam.txt")

from bgsnet_tf.serving import pipeline  # noqa: E402


@pytest.mark.parametrize("form", ["tfrecord", "parquet"])
def test_every_good_image_has_its_answer_and_bad_ones_are_listed(exported, photos, tmp_path, form):
    (photos / "3.jpg").rename(os.fsdecode(bytes(photos) + b"/caf\xe9.jpg"))  # no UTF-8
    output = str(tmp_path / "scored")
    assert pipeline.run(f"{exported.directory}/1", f"{photos}/*.jpg", output, form, 3, []) == (7, 1)
    assert {os.path.splitext(name)[1] for name in os.listdir(output)} == {f".{form}", ".csv"}
    assert_scored(read_records(output), exported, photos)
    rows = [row for path in pathlib.Path(output).glob("problems-*.csv") for row in csv.DictReader(path.open())]
    assert rows == [{"image": f"{photos}/caf\\xe9.jpg", "problem": "image 0 is neither a JPEG nor a PNG file"}]


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path):
    (found,) = pipeline._read(bytes(tmp_path / "gone.jpg"))
    assert found.tag == pipeline.PROBLEMS and found.value[0] == f"{tmp_path}/gone.jpg" and "cannot be read" in found.value[1]


def test_without_problems_there_is_no_list_of_them(exported, photos, tmp_path):
    output = str(tmp_path / "scored")
    assert pipeline.run(f"{exported.directory}/1", f"{photos}/[012].jpg", output, "tfrecord", 3, []) == (3, 0)
    assert all(name.endswith(".tfrecord") for name in os.listdir(output))


def test_a_file_that_is_named_is_no_pattern(exported, photos, tmp_path):
    (photos / "0.jpg").rename(photos / "a [1].jpg")
    assert pipeline.run(f"{exported.directory}/1", f"{photos}/a [1].jpg", str(tmp_path / "scored"), "tfrecord", 3, []) == (1, 0)


def test_mistakes_are_told_before_anything_runs(exported, photos, tmp_path):
    version, output = f"{exported.directory}/1", tmp_path / "scored"
    for arguments, message in [
        ((exported.directory, f"{photos}/*.jpg"), "holds no export"),
        ((version, f"{photos}/*.gif"), "matches no file"),
    ]:
        with pytest.raises(UserError, match=message):
            pipeline.run(*arguments, str(output), "tfrecord", 3, [])
    output.mkdir()
    (output / "part-00000-of-00001.tfrecord").touch()
    with pytest.raises(UserError, match="holds shards already"):
        pipeline.run(version, f"{photos}/*.jpg", str(output), "tfrecord", 3, [])


def test_the_program(exported, photos, tmp_path):
    program = [sys.executable, "-m", "bgsnet_tf.serving.beam", f"--export_dir={exported.directory}/1", f"--images={photos}/*.jpg"]
    options = [f"--output={tmp_path}/scored", "--beam_options=--direct_num_workers=1 --direct_running_mode=in_memory"]
    result = subprocess.run([*program, *options], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "8 images scored" in result.stdout and "1 without an answer" in result.stdout
    assert_scored(read_records(tmp_path / "scored"), exported, photos)
