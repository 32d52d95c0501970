"""The program that predicts with an export."""

import functools
import io
import os

import pandas as pd

import bgsnet_tf
from tests import programs
from tests.exported.test_model import NEW

run = functools.partial(programs.run, "-m", "bgsnet_tf.predict")


def write_photos(exported, folder, bad=()):
    folder.mkdir()
    for i, contents in enumerate(exported.image_bytes):
        (folder / f"{i}.jpg").write_bytes(b"no image" if i in bad else contents)
    return [str(folder / f"{i}.jpg") for i in range(len(exported.image_bytes)) if i not in bad]


def test_it_prints_what_the_model_predicts(exported, tmp_path):
    paths, version = write_photos(exported, tmp_path / "photos"), f"{exported.directory}/1"
    result = run(f"--export_dir={version}", f"--images={tmp_path}/photos", "--top_k=3", "--delta=1.5")
    assert result.returncode == 0, result.stderr
    expected = bgsnet_tf.load(version).predict(paths, top_k=3, delta=1.5)
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(result.stdout)), expected, atol=1e-4)


def test_a_bad_image_costs_only_itself_and_is_named(exported, tmp_path):
    paths, version = write_photos(exported, tmp_path / "photos", bad=[3]), f"{exported.directory}/1"
    pd.DataFrame.from_dict(NEW, orient="index", columns=["r", "g", "b", "constant"]).rename_axis("class").to_csv(tmp_path / "new.csv")
    places = f"--export_dir={version}", f"--images={tmp_path}/photos", f"--output={tmp_path}/out.csv"
    result = run(*places, f"--attributes={tmp_path}/new.csv")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert f"{tmp_path}/photos/3.jpg: image 0 is neither a JPEG nor a PNG file" in result.stderr and "1 of 8 images" in result.stderr
    expected = bgsnet_tf.load(version).predict(paths, NEW, top_k=1)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "out.csv"), expected, atol=1e-4)


def test_mistakes_give_one_line_and_write_nothing(exported, tmp_path):
    write_photos(exported, tmp_path / "photos")
    (tmp_path / "new.csv").write_text("class,r,g\nred,1,0\n")
    good = f"--export_dir={exported.directory}/1", f"--images={tmp_path}/photos", f"--output={tmp_path}/out.csv"
    for arguments, message in [
        (good[1:], "--export_dir is missing"),
        ((*good[1:], f"--export_dir={tmp_path}"), "holds no export"),
        ((*good, f"--images={tmp_path}/nowhere"), "names no image"),
        ((*good, f"--attributes={tmp_path}/new.csv"), "no column 'b'"),
    ]:
        result = run(*arguments)
        assert result.returncode == 1 and message in result.stderr and "Traceback" not in result.stderr
        assert not os.path.exists(tmp_path / "out.csv")
