"""The program that scores without a server."""

import functools
import pathlib

import numpy as np
import pytest

from tests import programs
from tests.serving.conftest import FORMATS, assert_scored, read_records

run = functools.partial(programs.run, "-m", "bgsnet_tf.serving.batch")


@pytest.mark.parametrize("form", FORMATS)
def test_the_program(exported, photos, tmp_path, form):
    arguments = [f"--images={photos}", f"--output={tmp_path}/scored", f"--format={form}", "--shard_size=5"]
    result = run(*arguments, f"--export_dir={exported.directory}/1")
    assert result.returncode == 0 and "8 images scored" in result.stdout and "1 without an answer" in result.stdout
    assert_scored(read_records(tmp_path / "scored"), exported, photos)


def test_classes_of_a_table(exported, photos, tmp_path):
    (tmp_path / "new.csv").write_text("class,constant,b,g,r\npink,0.5,0.7,0.7,1\nbrown,0.5,0,0.3,0.5\n")
    arguments = [f"--images={photos}", f"--output={tmp_path}/scored", f"--attributes={tmp_path}/new.csv"]
    result = run(*arguments, f"--export_dir={exported.directory}/1")
    assert result.returncode == 0, result.stderr
    phi = np.array([[1, 0.7, 0.7, 0.5], [0.5, 0.3, 0, 0.5]])
    scores = exported.expected()["fused"] @ (phi / np.linalg.norm(phi, axis=1, keepdims=True)).T
    for path, (name, score, _) in read_records(tmp_path / "scored").items():
        i = int(pathlib.Path(path).stem)
        assert name == ("pink", "brown")[scores[i].argmax()] and score == pytest.approx(scores[i].max(), abs=1e-4)


def test_mistakes_give_one_line(exported, photos, tmp_path):
    for arguments, message in [
        ([f"--images={photos}", f"--export_dir={tmp_path}"], "--output is missing"),
        ([f"--images={photos}", f"--output={tmp_path}/scored", f"--export_dir={tmp_path}"], "holds no export"),
    ]:
        result = run(*arguments)
        assert result.returncode == 1 and message in result.stderr and "Traceback" not in result.stderr
