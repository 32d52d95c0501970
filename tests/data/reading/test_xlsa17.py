import shutil

import numpy as np
import pytest
import scipy.io

from bgsnet_tf.data.reading import xlsa17
from bgsnet_tf.errors import UserError
from tests.data import generated_images, generated_xlsa17
from tests.data.generated_xlsa17 import FOLDERS, cells

XLSA17 = generated_images.SHARED_DATA / "xlsa17" / "data"
needs_data = pytest.mark.skipif(not XLSA17.is_dir(), reason="needs ../shared/data")


@pytest.fixture
def files(tmp_path):
    return tmp_path, generated_xlsa17.fields()


def save(files):
    return generated_xlsa17.save(*files)


def test_a_small_benchmark(files):
    loaded = xlsa17.load("awa2", save(files))
    assert loaded.class_names == ("cat", "dog", "horse", "whale")
    assert loaded.attribute_names == ("attribute_001", "attribute_002", "attribute_003")
    assert loaded.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert (loaded.train.tolist(), loaded.test_seen.tolist(), loaded.test_unseen.tolist()) == ([0, 2, 4], [1, 3, 5], [6, 7])
    assert loaded.validation_classes.tolist() == [2]
    assert loaded.boxes is None
    np.testing.assert_array_equal(loaded.attributes[3], np.float32([0.4, 0.8, 0.9]))


def test_images_without_class_folders_say_nothing_of_the_labels(files):
    fields = files[1]
    fields["res101"]["image_files"] = cells([f"/BS/JPEGImages/{name}_{i}.jpg" for i, name in enumerate(FOLDERS)])
    assert len(xlsa17.load("awa2", save(files)).labels) == 8


def test_the_split_folder_is_looked_for(files, tmp_path):
    save(files)
    nested = tmp_path / "xlsa17" / "data" / "AWA2"
    nested.mkdir(parents=True)
    for file in [*tmp_path.glob("*.mat"), *tmp_path.glob("*.txt")]:
        shutil.move(file, nested)
    assert len(xlsa17.load("awa2", tmp_path).labels) == 8
    with pytest.raises(UserError, match="no att_splits.mat in .* or .*xlsa17/data/CUB; download .*--split_dir"):
        xlsa17.load("cub", tmp_path)
    with pytest.raises(UserError, match="no att_splits.mat in .*elsewhere; "):
        xlsa17.load("awa2", tmp_path, split_dir=tmp_path / "elsewhere")


def test_an_unknown_benchmark(tmp_path):
    with pytest.raises(UserError, match="no benchmark 'imagenet'; it is one of sun, cub, apy, awa2"):
        xlsa17.load("imagenet", tmp_path)


def edit(fields, file, key, entry, value):
    fields[file][key] = fields[file][key].astype(float)
    fields[file][key].flat[entry] = value


FAULTS = {
    "field missing": (lambda f: f["att_splits"].pop("att"), "att_splits.mat: no field 'att'"),
    "attributes transposed": (
        lambda f: f["att_splits"].update(att=f["att_splits"]["att"].T),
        "att is 4 x 3; it needs a column for each of 4 classes",
    ),
    "attributes are text": (lambda f: f["att_splits"].update(att="text"), "att: not a matrix of real numbers"),
    "NaN attribute": (lambda f: edit(f, "att_splits", "att", 6, np.nan), r"attribute 2 of class 'horse' is nan \(1 such"),
    "class twice": (lambda f: f["att_splits"].update(allclasses_names=cells(["cat", "dog", "cat", "whale"])), "class 'cat' comes twice"),
    "class name no string": (
        lambda f: f["att_splits"].update(allclasses_names=np.ones((4, 1))),
        "allclasses_names, row 1: not a string",
    ),
    "labels too few": (lambda f: f["res101"].update(labels=np.ones((7, 1))), "7 labels for 8 image_files"),
    "label too large": (lambda f: edit(f, "res101", "labels", 4, 5), r"labels, row 5: 5.0 is no class number \(1 to 4\)"),
    "label NaN": (lambda f: edit(f, "res101", "labels", 4, np.nan), "labels, row 5: nan is no class number"),
    "label against its folder": (
        lambda f: edit(f, "res101", "labels", 1, 2),
        "labels row 2 as 'dog', but its image is .*/cat/cat_1.jpg \\(1 such rows",
    ),
    "row number 0": (
        lambda f: edit(f, "att_splits", "trainval_loc", 0, 0),
        r"trainval_loc: entry 1, 0.0, is no row number \(1 to 8; 1 such",
    ),
    "row number too large": (lambda f: edit(f, "att_splits", "test_seen_loc", 1, 9), "test_seen_loc: entry 2, 9.0, is no row number"),
    "row twice": (lambda f: edit(f, "att_splits", "test_unseen_loc", 1, 7), "test_unseen_loc: row 7 comes 2 times"),
    "row trained and tested": (
        lambda f: edit(f, "att_splits", "test_seen_loc", 0, 1),
        "cat/cat_0.jpg is in the training split and in test_seen",
    ),
    "unseen class trained": (
        lambda f: edit(f, "att_splits", "test_unseen_loc", 0, 6),
        "class 'horse' is in test_unseen_loc but not in testclasses",
    ),
    "class list missing": (
        lambda f: f["lists"].update(valclasses1=""),
        "'horse' is in trainvalclasses.txt but not in trainclasses1.txt and",
    ),
    "class list of another set": (
        lambda f: f["lists"].update(testclasses="wale"),
        "class 'wale' is in testclasses.txt but not in test_unseen_loc",
    ),
    "validation class trained": (
        lambda f: f["lists"].update(valclasses1="horse\ndog"),
        "class 'dog' is in trainclasses1.txt and in valclasses1",
    ),
    "image missing": (
        lambda f: f["res101"]["image_files"].put(3, cells(["/BS/dog/dog_33.jpg"])),
        "image '/BS/dog/dog_33.jpg' is missing",
    ),
}


@pytest.mark.parametrize("damage, message", FAULTS.values(), ids=list(FAULTS))
def test_a_fault_is_named(files, damage, message):
    damage(files[1])
    with pytest.raises(UserError, match=message) as error:
        xlsa17.load("awa2", save(files))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not a matrix", b"MATLAB 7.3 MAT-file" + b" " * 109 + b"\x02IM\x00" + b"\x89HDF\r\n\x1a\n"])
def test_a_file_that_is_no_mat_file(files, content):
    (save(files) / "res101.mat").write_bytes(content)
    with pytest.raises(UserError, match="res101.mat: cannot be read as a .mat file"):
        xlsa17.load("awa2", files[0])


def test_a_class_list_that_is_not_there(files):
    with pytest.raises(UserError, match="valclasses2.txt: cannot be read as a list of classes: .*No such file"):
        files[1]["lists"]["trainclasses2"] = "cat\n"
        xlsa17.load("awa2", save(files), split_index=2)


@pytest.fixture
def apy(files):
    """The same benchmark as aPY: rows of the three annotation files."""
    folder, fields = files
    fields["res101"]["image_files"] = cells(
        [f"/BS/JPEGImages/{'cat/cat_0.jpg' if i < 2 else f'{name}/{name}_{i}.jpg'}" for i, name in enumerate(FOLDERS)]
    )
    rows = [f"{'cat_0' if i < 2 else f'{name}_{i}'}.jpg {name} {i} 5 {i + 50} {14 + i} 0 1\n" for i, name in enumerate(FOLDERS)]
    (folder / "attribute_data").mkdir()
    for file, part in zip(xlsa17.BOX_FILES, (rows[:3], rows[3:6], rows[6:])):
        (folder / "attribute_data" / file).write_text("".join(part))
    return save(files)


def test_apy_rows_are_boxes_and_small_ones_whole_images(apy):
    loaded = xlsa17.load("apy", apy)
    np.testing.assert_array_equal(loaded.boxes, [[np.nan] * 4] + [[i, 5, i + 50, 14 + i] for i in range(1, 8)])
    assert loaded.paths[0] == loaded.paths[1]


@pytest.mark.parametrize(
    "old, new, message",
    [
        (
            "dog_3.jpg dog",
            "dog_4.jpg dog",
            "apascal_test.txt, line 1: 'dog' in dog_4.jpg, but row 4 of res101.mat is 'dog' in .*/dog_3.jpg",
        ),
        ("dog_3.jpg dog", "dog_3.jpg cat", "apascal_test.txt, line 1: 'cat' in dog_3.jpg, but row 4 of res101.mat is 'dog'"),
        ("dog 3 5 53", "dog 3 five 53", "apascal_test.txt, line 1: not an image, a class and the four numbers of a box"),
        ("dog 3 5 53 17 0 1", "dog 3", "apascal_test.txt, line 1: not an image"),
        ("dog_3.jpg dog 3 5 53 17 0 1\n", "", "7 rows in apascal_train.txt.* for 8 rows of res101.mat"),
    ],
)
def test_apy_annotations_that_disagree(apy, old, new, message):
    file = apy / "attribute_data" / "apascal_test.txt"
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=message):
        xlsa17.load("apy", apy)


def test_apy_without_annotations(files):
    with pytest.raises(UserError, match="no apascal_train.txt in .*attribute_data; .*attribute_data archive"):
        xlsa17.load("apy", save(files))


@needs_data
@pytest.mark.parametrize(
    "name, seen, unseen, attributes, rows, validation",
    [
        ("sun", 645, 72, 102, (10320, 2580, 1440), 65),
        ("cub", 150, 50, 312, (7057, 1764, 2967), 50),
        ("awa2", 40, 10, 85, (23527, 5882, 7913), 13),
        ("apy", 20, 12, 64, (5932, 1483, 7924), 5),
    ],
)
def test_the_real_splits_equal_an_independent_reading(tmp_path, name, seen, unseen, attributes, rows, validation):
    files = [generated_images.after_marker(image) for image in generated_images.real_names(name)]
    generated_images.write_images(tmp_path, files)
    if name == "apy":
        shutil.copytree(generated_images.SHARED_DATA / "apy_annotations", tmp_path / "apy_annotations")
    loaded = xlsa17.load(name, tmp_path, split_dir=XLSA17 / name.upper())
    assert (len(loaded.seen_classes), len(loaded.unseen_classes), loaded.attributes.shape[1]) == (seen, unseen, attributes)
    assert (len(loaded.train), len(loaded.test_seen), len(loaded.test_unseen)) == rows
    assert len(loaded.validation_classes) == validation and len(loaded.validation().unseen_classes) == validation

    splits = scipy.io.loadmat(XLSA17 / name.upper() / "att_splits.mat", squeeze_me=True)
    labels = scipy.io.loadmat(XLSA17 / name.upper() / "res101.mat", squeeze_me=True)["labels"].astype(int) - 1
    class_names = list(splits["allclasses_names"])
    for split, key in ((loaded.train, "trainval_loc"), (loaded.test_seen, "test_seen_loc"), (loaded.test_unseen, "test_unseen_loc")):
        expected = np.sort(splits[key].astype(int) - 1)
        np.testing.assert_array_equal(split, expected)
        assert [loaded.class_names[c] for c in loaded.labels[split]] == [class_names[c] for c in labels[expected]]
        np.testing.assert_array_equal(loaded.attributes[loaded.labels[split]], splits["att"].T[labels[expected]].astype(np.float32))
        assert loaded.paths[split].tolist() == [str(tmp_path / files[row]) for row in expected]
    listed = (XLSA17 / name.upper() / "valclasses1.txt").read_text().split()
    assert {loaded.class_names[c] for c in loaded.validation_classes} == set(listed)


@needs_data
def test_the_boxes_of_apy_equal_an_independent_reading(tmp_path):
    annotations = shutil.copytree(generated_images.SHARED_DATA / "apy_annotations", tmp_path / "apy_annotations")
    generated_images.write_images(tmp_path, [generated_images.after_marker(image) for image in generated_images.real_names("apy")])
    boxes = xlsa17.load("apy", tmp_path, split_dir=XLSA17 / "APY").boxes
    table = np.concatenate([np.loadtxt(annotations / file, usecols=range(2, 6)) for file in xlsa17.BOX_FILES])
    whole = np.isnan(boxes).all(axis=1)
    sides = np.minimum(table[:, 2] - table[:, 0], table[:, 3] - table[:, 1])
    np.testing.assert_array_equal(whole, sides < 10)
    np.testing.assert_array_equal(boxes[~whole], table[~whole])
    assert whole.sum() == 308
