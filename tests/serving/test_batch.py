"""Offline scoring: right answers, restart by shard, bad images listed."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.errors import UserError
from bgsnet_tf.serving import batch
from bgsnet_tf.serving.client import find_images
from tests.serving.test_client import ROOT


@pytest.fixture
def photos(exported, tmp_path):
    """Eight image files, the fourth broken."""
    (tmp_path / "photos").mkdir()
    for i, contents in enumerate(exported.image_bytes):
        (tmp_path / "photos" / f"{i}.jpg").write_bytes(b"no image" if i == 3 else contents)
    return tmp_path / "photos"


@pytest.fixture(scope="module")
def ask(exported):
    return batch.asker(os.path.join(exported.directory, "1"))


def read(output):
    """path to (class name, score, attributes) of all records of all shards."""
    found = {}
    for name in sorted(os.listdir(output)):
        if name.endswith(".tfrecord"):
            for record in tf.data.TFRecordDataset(os.path.join(output, name)).as_numpy_iterator():
                features = tf.train.Example.FromString(record).features.feature
                texts = [features[key].bytes_list.value[0].decode() for key in ("image", "class_name")]
                found[texts[0]] = texts[1], features["score"].float_list.value[0], list(features["attributes"].float_list.value)
    return found


def test_every_good_image_has_its_answer_and_the_bad_one_is_listed(exported, photos, ask, tmp_path):
    output = str(tmp_path / "scored")
    assert batch.score(find_images(str(photos)), ask, output, shard_size=3, batch_size=2) == 1
    assert {name for name in os.listdir(output) if name.startswith("part")} == {
        *(f"part-{i:05d}-of-00003.tfrecord" for i in range(3)),
        "part-00001-of-00003.problems.csv",
    }
    found, scores, attributes = read(output), exported.expected_scores(), exported.expected()["fused"]
    assert len(found) == 7 and str(photos / "3.jpg") not in found
    for i in (0, 1, 2, 4, 5, 6, 7):
        name, score, values = found[str(photos / f"{i}.jpg")]
        assert name == exported.benchmark.class_names[scores[i].argmax()]
        assert score == pytest.approx(scores[i].max(), abs=1e-5)
        np.testing.assert_allclose(values, attributes[i], rtol=1e-5, atol=1e-5)
    problems = pathlib.Path(output, "part-00001-of-00003.problems.csv").read_text().splitlines()
    assert len(problems) == 2 and "3.jpg" in problems[1] and "neither a JPEG nor a PNG" in problems[1]


def test_a_stopped_run_goes_on_with_the_first_shard_that_is_not_whole(photos, ask, tmp_path):
    output, paths, asked = str(tmp_path / "scored"), find_images(str(photos)), []

    def stops_in_the_second_shard(files):
        asked.append(len(files))
        if len(asked) > 1:
            raise KeyboardInterrupt
        return ask(files)

    with pytest.raises(KeyboardInterrupt):
        batch.score(paths, stops_in_the_second_shard, output, shard_size=3, batch_size=3)
    assert [name for name in os.listdir(output) if name.endswith(".tfrecord")] == ["part-00000-of-00003.tfrecord"]
    again = []
    batch.score(paths, lambda files: again.append(len(files)) or ask(files), output, shard_size=3, batch_size=3)
    assert sum(again) == 5 + 3  # two shards, and the batch with the bad image once more, one by one
    assert len(read(output)) == 7


def test_shards_of_another_run_are_not_mixed(photos, ask, tmp_path):
    output, paths = str(tmp_path / "scored"), find_images(str(photos))
    batch.score(paths, ask, output, shard_size=5, batch_size=4)
    for changed, size in ((paths[1:], 5), (paths, 4)):
        with pytest.raises(UserError, match="other images, another export or shard size"):
            batch.score(changed, ask, output, shard_size=size, batch_size=4)


def test_the_program(exported, photos, tmp_path):
    program = [sys.executable, "-m", "bgsnet_tf.serving.batch", f"--images={photos}", f"--output={tmp_path}/scored"]
    result = subprocess.run([*program, f"--export_dir={exported.directory}/1"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0 and "8 images scored" in result.stdout and "1 without an answer" in result.stdout
    result = subprocess.run([*program, f"--export_dir={tmp_path}"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1 and "holds no export" in result.stderr and "Traceback" not in result.stderr
