import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.config import DataConfig
from bgsnet_tf.data import check
from tests.data import generated_images, generated_xlsa17
from tests.data.hard_images import REFUSED, with_exif
from tests.programs import ROOT, run

IMAGES = """path,class,split,xmin,ymin,xmax,ymax
1.jpg,cat,trainval,0,1,8,9.5
2.jpg,cat,test_seen,,,,
3.jpg,dog,trainval,0,0,16,17
4.jpg,horse,trainval,,,,
5.jpg,whale,test_unseen,,,,
"""


@pytest.fixture
def zoo(tmp_path):
    for i in range(1, 6):
        (tmp_path / f"{i}.jpg").write_bytes(generated_images.JPEG + bytes([i]))
    (tmp_path / "images.csv").write_text(IMAGES)
    (tmp_path / "attributes.csv").write_text("class,furry,big\ncat,1,0\ndog,1,0.3\nhorse,1,0.9\nwhale,0,1\nyeti,1,0.8\n")
    return tmp_path


def change(file, old, new):
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def damage(file, contents):
    file.write_bytes(contents)


def check_zoo(folder, quick=False):
    return check.check(DataConfig(dataset="csv", data_dir=str(folder)), quick)


def test_a_sound_data_set_is_ready(zoo):
    report = check_zoo(zoo)
    assert report.problems == () and report.ready
    assert report.counts == dict(zip(check.COUNTS, (5, 3, 2, 2, 3, 1, 1)))
    assert report.text().endswith("\nready")
    assert report.notes == (
        "1 attributes have one value in all seen classes and teach nothing, first 'furry'",
        "--calibrate cannot choose δ here: no class has 5 training images, of which one could be held out for validation; the most are 1",
        "1 classes have no image, first 'yeti'; they are unseen candidates",
    )


def test_every_planted_fault_is_named_once(zoo):
    change(zoo / "images.csv", "4.jpg", "44.jpg")
    change(zoo / "images.csv", "0,1,8,9.5", "20,20,30,30")
    change(zoo / "images.csv", "0,0,16,17", "0,0,16,19")
    damage(zoo / "2.jpg", generated_images.JPEG[:-20])
    change(zoo / "attributes.csv", "yeti,1,0.8", "yeti,1,0.9")
    report = check_zoo(zoo)
    assert not report.ready
    assert [problem.replace(str(zoo), "ZOO") for problem in report.problems] == [
        "image '44.jpg' is missing below ZOO; add it or mend its name; the closest names there: 4.jpg, 5.jpg, 3.jpg",
        "classes 'horse' and 'yeti' have the same attributes, up to scale, and cannot be told apart; change one of them",
        "row 1, ZOO/1.jpg: the box 20.0 20.0 30.0 30.0 lies outside its image of 16 x 16 pixels; mend the box",
        "ZOO/2.jpg cannot be decoded as a JPEG or PNG image (damaged or cut short?); replace the file or take its rows out",
        "row 3, ZOO/3.jpg: the box 0.0 0.0 16.0 19.0 sticks out of its image of 16 x 16 pixels; mend the box",
    ]
    assert "\n5. row 3" in report.text() and "ready" not in report.text()


@pytest.mark.parametrize("name", REFUSED)
def test_what_training_and_serving_refuse_is_a_problem(zoo, name):
    contents, message = REFUSED[name]
    damage(zoo / "2.jpg", contents)
    (problem,) = check_zoo(zoo).problems
    assert problem.startswith(f"{zoo}/2.jpg {message}") and problem.endswith("; replace the file or take its rows out")


def test_quick_opens_no_image(zoo):
    damage(zoo / "2.jpg", b"")
    assert check_zoo(zoo, quick=True).ready


def test_a_faulty_table_is_reported_line_by_line_while_the_rest_is_checked(zoo):
    change(zoo / "images.csv", "dog,trainval", "dog,train")
    change(zoo / "images.csv", "4.jpg,horse", "4.jpg,hors")
    change(zoo / "attributes.csv", "cat,1,0\n", "cat,1,none\n")
    damage(zoo / "2.jpg", b"")
    starts = ("attribute 'big' of class 'cat'", "unknown split 'train'", "class 'hors' is not in", "2.jpg is neither")
    problems = check_zoo(zoo).problems
    assert len(problems) == 4 and all(start in problem for start, problem in zip(starts, problems))


def test_a_data_set_that_cannot_be_read_has_that_one_problem(zoo):
    (zoo / "images.csv").write_text("")
    report = check_zoo(zoo)
    assert report.counts == {} and len(report.problems) == 1 and "the file is empty" in report.problems[0]


def test_a_long_list_is_cut_in_the_text_and_whole_in_json(zoo):
    (zoo / "images.csv").write_text(IMAGES + "1.jpg,cat,other,,,,\n" * 50)
    report = check_zoo(zoo, quick=True)
    assert "... and 30 more; --json lists them all" in report.text()
    assert "\n20. " in report.text() and "\n21. " not in report.text()
    assert len(json.loads(report.json())["problems"]) == 50


def test_copies_of_training_images_in_a_test_split_are_problems(zoo):
    shutil.copy(zoo / "1.jpg", zoo / "2.jpg")
    shutil.copy(zoo / "3.jpg", zoo / "5.jpg")
    assert [problem.replace(str(zoo), "ZOO") for problem in check_zoo(zoo).problems] == [
        "ZOO/2.jpg (test_seen) is a copy of ZOO/1.jpg (trainval): a test of what was trained on; remove one of them",
        "ZOO/5.jpg (test_unseen) is a copy of ZOO/3.jpg (trainval): a test of what was trained on; remove one of them",
    ]


def test_copies_inside_a_split_are_noted(zoo):
    shutil.copy(zoo / "3.jpg", zoo / "4.jpg")
    report = check_zoo(zoo)
    assert report.ready and f"2 images have the bytes of another one, first {zoo}/3.jpg and {zoo}/4.jpg" in report.notes


def test_boxes_of_one_photo_on_both_sides_are_counted(zoo):
    change(zoo / "images.csv", "2.jpg,cat,test_seen,,,,", "1.jpg,cat,test_seen,4,4,8,8")
    report = check_zoo(zoo)
    assert report.ready and any(
        note.startswith(f"1 images have boxes both in trainval and in a test split, first {zoo}/1.jpg") for note in report.notes
    )


@pytest.mark.parametrize("rotation", [False, True])
def test_images_to_be_turned_are_counted_and_boxes_are_of_what_training_sees(zoo, rotation):
    wide = np.zeros((10, 30, 3), np.uint8)
    damage(zoo / "3.jpg", with_exif(tf.io.encode_jpeg(wide).numpy(), 6))
    change(zoo / "images.csv", "0,0,16,17", "0,0,10,30")
    report = check.check(DataConfig(dataset="csv", data_dir=str(zoo), exif_rotation=rotation))
    how = "they are" if rotation else "they are not, in training and in the export alike, without --exif_rotation"
    assert f"1 images are to be turned by their EXIF metadata, first {zoo}/3.jpg; {how}" in report.notes
    assert report.ready is rotation


def test_calibration_is_possible_from_three_seen_classes_and_five_images_of_one_on(tmp_path):
    def notes(images, classes):
        rows = [f"{c}_{i}.jpg,{c},trainval" for c in range(classes) for i in range(images)]
        for row in rows:
            (tmp_path / row.split(",")[0]).write_bytes(generated_images.JPEG)
        (tmp_path / "images.csv").write_text("path,class,split\n" + "\n".join(rows))
        (tmp_path / "attributes.csv").write_text("class,a,b\n" + "".join(f"{c},1,{c}\n" for c in range(classes + 1)))
        return [note for note in check_zoo(tmp_path, quick=True).notes if "--calibrate" in note]

    assert notes(5, 3) == []
    assert notes(4, 3) == [
        "--calibrate cannot choose δ here: no class has 5 training images, of which one could be held out for validation; the most are 4"
    ]
    assert notes(9, 2) == [
        "--calibrate cannot choose δ here: 2 seen classes leave none to play the unseen ones in validation; it takes at least 3"
    ]


def test_an_attribute_far_larger_than_the_others_is_noted(zoo):
    assert not any("same way" in note for note in check_zoo(zoo).notes)
    (zoo / "attributes.csv").write_text("class,furry,big,mass\ncat,1,0,4000\ndog,1,0.3,4010\nhorse,1,0.9,4020\nwhale,0,1,4030\n")
    assert any("point almost the same way (mean cosine 1.0000)" in note and "'mass' is 4015" in note for note in check_zoo(zoo).notes)


def test_the_configuration_of_features_is_checked_as_it_is(tmp_path):
    generated_xlsa17.save(tmp_path, generated_xlsa17.fields())
    done = run("-m", "bgsnet_tf.data.check", "--flagfile=configs/features.flags", f"--data_dir={tmp_path}")
    assert "no field 'features'" in done.stdout and "Traceback" not in done.stderr


@pytest.mark.parametrize("sound", [True, False])
def test_the_command(zoo, sound):
    if not sound:
        change(zoo / "images.csv", "test_seen", "tested")
    done = run("-m", "bgsnet_tf.data.check", "--dataset=csv", f"--data_dir={zoo}", "--quick", f"--json={zoo}/report.json")
    assert done.returncode == (0 if sound else 1)
    assert json.loads((zoo / "report.json").read_text())["ready"] is sound
    assert "Traceback" not in done.stderr
    if sound:
        assert done.stdout.endswith("\nready\n")
    else:
        assert "\n1. " in done.stdout and "error: csv is not ready: 1 problems, listed above" in done.stderr


WATCHED = """
import sys, threading
class OnlyTheMainThread:
    def find_spec(name, path=None, target=None):
        assert threading.current_thread() is threading.main_thread(), f"a thread imports {name}"
sys.meta_path.insert(0, OnlyTheMainThread)
from bgsnet_tf.data import check
check.command()
"""


def test_no_thread_imports_anything(zoo):
    """Python 3.11 may wait for ever where two threads import modules that need each other; of 60 checks one did."""
    program = [sys.executable, "-c", WATCHED, "--dataset=csv", f"--data_dir={zoo}"]  # not forked: nothing may be loaded
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.endswith("\nready\n"), done.stderr
