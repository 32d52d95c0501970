"""What `check` says of the published benchmarks' own files."""

import shutil
import time

import numpy as np
import pytest
import scipy.io
import tensorflow as tf

from bgsnet_tf.config import DataConfig
from bgsnet_tf.data import check
from bgsnet_tf.data.reading.xlsa17 import SPLIT_KEYS
from tests.data import generated_images, generated_xlsa17

XLSA17 = generated_images.SHARED_DATA / "xlsa17" / "data"
needs_data = pytest.mark.skipif(not XLSA17.is_dir(), reason="needs ../shared/data")
ARCHIVES = {
    "sun": "SUNAttributeDB_Images/images/",
    "cub": "CUB_200_2011/images/",
    "awa2": "Animals_with_Attributes2/JPEGImages/",
    "apy": "VOC2008/JPEGImages/",
}
KNOWN_ROWS = "Proposed Split: the rows of every public copy that was compared, saved from 2017 to 2022"


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A checker of the small xlsa17 benchmark, whose counts pass for AwA2's published ones, after a change to its fields."""
    monkeypatch.setitem(check.PUBLISHED, "awa2", (8, 3, 1, 3, 3, 3, 2))

    def run(change_fields=lambda fields: None):
        fields = generated_xlsa17.fields()
        change_fields(fields)
        generated_xlsa17.save(tmp_path, fields)
        return check.check(DataConfig(dataset="awa2", data_dir=str(tmp_path)))

    return run


def test_a_split_file_of_unknown_origin(small):
    report = small()
    assert report.ready
    assert report.notes[1] == (
        "Proposed Split: an unknown version, whose rows are not those of the copies saved from 2017 to 2022; results do not compare"
    )


def test_leaking_validation_rows_and_missing_attributes_are_noted(small):
    original = np.array([[-1.0, 0, 1, 2], [3, 4, 5, -1], [0, 0, 0, 0]])
    leaking = {"train_loc": np.array([[1], [2], [4]]), "val_loc": np.array([[5]]), "original_att": original}
    report = small(lambda fields: fields["att_splits"].update(leaking))
    assert report.ready
    assert "train_loc leaks 2 rows of test_seen_loc, as in the copies of 2017 and 2018; it is never read for training" in report.notes
    assert not any(note.startswith("val_loc") for note in report.notes)
    assert "original_att marks 2 values as missing (negative), first attribute 1 of class 1; att keeps them" in report.notes


def test_lost_rows_change_the_published_counts(small):
    report = small(lambda fields: fields["att_splits"].update(test_seen_loc=np.array([[2], [4]])))
    assert report.problems == ("test_seen: 2, but 3 are published; download the Proposed Splits (xlsa17) again",)
    assert "1 rows are in no split and are not used" in report.notes


def test_one_image_for_two_rows(small):
    report = small(lambda fields: fields["res101"]["image_files"].put(1, generated_xlsa17.cells(["/BS/xian//JPEGImages/cat/cat_0.jpg"])))
    assert len(report.problems) == 1 and "rows 1 and 2 are the same: " in report.problems[0]


def test_faults_of_several_files_are_reported_together(small):
    def damage_fields(fields):
        fields["res101"]["labels"][1] = 2
        fields["att_splits"]["test_unseen_loc"] = np.array([[7], [8], [9]])
        fields["lists"]["valclasses1"] = "horse\nhors\n"

    problems = small(damage_fields).problems
    parts = (
        "test_unseen_loc: entry 3, 9",
        "labels row 2 as 'dog'",
        "'hors' is in trainclasses1.txt and valclasses1.txt but not in trainvalclasses",
    )
    assert len(problems) == 3 and all(part in problem for part, problem in zip(parts, problems))


def test_unused_fields_of_a_strange_kind_are_a_problem_not_a_traceback(small):
    report = small(lambda fields: fields["att_splits"].update(train_loc="none", original_att=generated_xlsa17.cells(["a"])))
    assert len(report.problems) == 1 and "not a matrix of real numbers" in report.problems[0]


def real_files(name, folder):
    """The split folder and image names of a benchmark as people have them."""
    shutil.copytree(XLSA17 / name.upper(), folder / "xlsa17" / "data" / name.upper(), copy_function=shutil.copyfile)
    if name == "apy":
        shutil.copytree(generated_images.SHARED_DATA / "apy_annotations", folder / "apy_annotations")
    names = generated_images.real_names(name)
    return [("ayahoo_test_images/" if "ayahoo" in image else ARCHIVES[name]) + generated_images.after_marker(image) for image in names]


@needs_data
@pytest.mark.parametrize("name", list(ARCHIVES))
def test_the_real_benchmarks_are_ready_within_seconds(tmp_path, name):
    generated_images.write_images(tmp_path, real_files(name, tmp_path))
    start = time.process_time()
    report = check.check(DataConfig(dataset=name, data_dir=str(tmp_path)), quick=True)
    assert time.process_time() - start < 20
    assert report.problems == ()
    assert KNOWN_ROWS in report.notes
    assert any("4 values as missing" in note for note in report.notes) == (name == "awa2")


@needs_data
def test_a_leaking_copy_of_a_real_split_is_the_known_one(tmp_path):
    files = real_files("cub", tmp_path)
    generated_images.write_images(tmp_path, files)
    split_file = tmp_path / "xlsa17" / "data" / "CUB" / "att_splits.mat"
    fields = scipy.io.loadmat(split_file)
    fields["train_loc"] = fields[SPLIT_KEYS[1]][:1173]
    scipy.io.savemat(split_file, {key: value for key, value in fields.items() if not key.startswith("__")})
    report = check.check(DataConfig(dataset="cub", data_dir=str(tmp_path)), quick=True)
    assert report.ready and KNOWN_ROWS in report.notes
    assert any(note.startswith("train_loc leaks 1173 rows of test_seen_loc") for note in report.notes)


def grey_jpeg(side):
    return tf.io.encode_jpeg(np.full((side, side, 1), 128, np.uint8)).numpy()


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("name", list(ARCHIVES))
def test_the_real_benchmarks_are_ready_with_every_image_decoded(tmp_path, name):
    files = real_files(name, tmp_path)
    if name == "apy":  # Images as large as the boxes need.
        tables = [np.loadtxt(tmp_path / "apy_annotations" / file, usecols=(4, 5)) for file in check.xlsa17.BOX_FILES]
        largest = {}
        for file, corner in zip(files, np.concatenate(tables)):
            largest[file] = max(largest.get(file, 512), *corner)
        generated_images.write_images(tmp_path, [file for file in largest if largest[file] <= 512], grey_jpeg(512))
        generated_images.write_images(tmp_path, [file for file in largest if largest[file] > 512], grey_jpeg(2048))
    else:
        generated_images.write_images(tmp_path, files)
    assert check.check(DataConfig(dataset=name, data_dir=str(tmp_path))).problems == ()
