import csv
import subprocess
import sys

import numpy as np
import pytest

from bgsnet_tf.data.reading import tables
from bgsnet_tf.errors import UserError
from tests.data import generated_images

ATTRIBUTES = "class,furry,big\ncat,0.9,0.1\ndog,0.8,0.4\nhorse,0.7,0.9\nwhale,0,1\nunicorn,0.7,0.8\n"
IMAGES = """path,class,split,xmin,ymin,xmax,ymax
a/1.jpg,cat,trainval,0,1,8,9.5
a/1.jpg,dog,trainval,,,,
a/2.jpg,dog,test_seen,0,0,4,4
b/3.jpg,horse,trainval,,,,
b/4.jpg,whale,test_unseen,1,1,2,2
"""


@pytest.fixture
def data_dir(tmp_path):
    folder = tmp_path / "zoo"
    generated_images.write_images(folder, ["a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg"])
    (folder / "images.csv").write_text(IMAGES, encoding="utf-8")
    (folder / "attributes.csv").write_text(ATTRIBUTES, encoding="utf-8")
    return folder


def change(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_rows_classes_and_splits(data_dir):
    zoo = tables.load(data_dir)
    assert zoo.name == "zoo"
    assert zoo.class_names == ("cat", "dog", "horse", "whale", "unicorn")
    assert zoo.attribute_names == ("furry", "big")
    np.testing.assert_array_equal(zoo.attributes[1], np.float32([0.8, 0.4]))
    assert zoo.labels.tolist() == [0, 1, 1, 2, 3]
    assert (zoo.train.tolist(), zoo.test_seen.tolist(), zoo.test_unseen.tolist()) == ([0, 1, 3], [2], [4])
    assert zoo.unseen_classes.tolist() == [3, 4]
    assert zoo.paths.tolist() == [str(data_dir / name) for name in ("a/1.jpg", "a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg")]
    np.testing.assert_array_equal(zoo.boxes[[0, 1]], [[0, 1, 8, 9.5], [np.nan] * 4])


def test_boxes_are_optional(data_dir):
    assert tables.load(data_dir, use_boxes=False).boxes is None
    lines = [",".join(line.split(",")[:3]) for line in IMAGES.splitlines() if "a/1.jpg,dog" not in line]
    (data_dir / "images.csv").write_text("\n".join(lines).replace("test_seen", "trainval"))
    assert tables.load(data_dir).boxes is None


def test_validation_classes_do_not_depend_on_the_order_of_the_files(data_dir):
    names = [f"class{i}" for i in range(9)]
    chosen = set()
    for order in (names, names[::-1]):
        (data_dir / "attributes.csv").write_text("class,a\n" + "".join(f"{name},1\n" for name in order))
        rows = "".join(f"a/1.jpg,{name},trainval,0,0,9,{i + 1}\n" for i, name in enumerate(order))
        (data_dir / "images.csv").write_text("path,class,split,xmin,ymin,xmax,ymax\n" + rows)
        loaded = tables.load(data_dir)
        chosen.add(tuple(sorted(loaded.class_names[c] for c in loaded.validation_classes)))
    assert len(chosen) == 1 and len(chosen.pop()) == 2


@pytest.mark.parametrize("seen, validation", [(1, 0), (2, 0), (3, 1), (4, 2), (7, 2), (8, 2), (12, 3), (40, 10)])
def test_a_quarter_of_the_seen_classes_is_for_validation(seen, validation):
    assert len(tables._validation_classes([f"class{c}" for c in range(seen)], np.arange(seen))) == validation


def test_quoted_cells_a_byte_order_mark_and_spaces(data_dir):
    text = IMAGES.replace("cat", '" the ""big"", cat "')
    (data_dir / "images.csv").write_text(text, encoding="utf-8-sig")
    change(data_dir / "attributes.csv", "cat", '"the ""big"", cat"')
    assert tables.load(data_dir).class_names[0] == 'the "big", cat'


IMAGE_FAULTS = {
    "missing column": ("class,split", "klass,split", "images.csv, line 1: no column 'class'; the columns there are path, klass"),
    "missing box column": (",xmax", ",x_max", "images.csv, line 1: no column 'xmax'"),
    "unknown column": ("xmin,ymin,xmax,ymax", "x0,y0,x1,y1", "images.csv: unknown column 'x0'; the columns are path"),
    "column twice": (",xmax", ",xmin", "images.csv, line 1: column 'xmin' comes twice"),
    "unknown class": ("horse", "hors", "images.csv, line 5: class 'hors' is not in .*attributes.csv; is it 'horse'?"),
    "unknown split": ("test_seen", "test", "images.csv, line 4: unknown split 'test'; it is one of trainval"),
    "empty path": ("b/3.jpg", "", "images.csv, line 5: the path is empty"),
    "duplicate row": ("a/2.jpg,dog,test_seen,0,0,4,4", "a//1.jpg,dog,test_seen,,,,", "line 4: the same path and box as on line 3"),
    "box inverted": ("0,1,8,9.5", "8,1,0,9.5", "images.csv, line 2: the box 8.0 1.0 0.0 9.5 is empty or inverted"),
    "box outside": ("0,1,8,9.5", "0,-1,8,9.5", "images.csv, line 2: the box 0.0 -1.0 8.0 9.5 is"),
    "box not a number": ("0,1,8,9.5", "0,one,8,9.5", "images.csv, line 2: the box is not four finite numbers"),
    "box half empty": ("0,1,8,9.5", "0,,8,9.5", "images.csv, line 2: the box is not four finite numbers"),
    "box too large": (
        "0,1,8,9.5",
        "0,1,3e9,9.5",
        "line 2: the box 0.0 1.0 3000000000.0 9.5 is larger than any image; an edge is",
    ),
    "box beyond float32": ("0,1,8,9.5", "0,1,1e39,9.5", "images.csv, line 2: the box is not four finite numbers"),
    "line break in a path": (
        "b/3.jpg",
        '"b/3\n.jpg"',
        r"line 6: the path 'b/3\\n.jpg' has a line break or control character",
    ),
    "path out of the folder": ("b/3.jpg", "../zoo/b/3.jpg", "image path '../zoo/b/3.jpg' may leave the data folder"),
    "absolute path": ("b/3.jpg", "/etc/passwd", "image path '/etc/passwd' may leave the data folder"),
    "missing image": ("b/3.jpg", "b/33.jpg", "image 'b/33.jpg' is missing below .*; add it .*; the closest names there: b/3.jpg"),
    "seen and unseen": ("dog,test_seen", "dog,test_unseen", "images.csv, line 4: class 'dog' is test_unseen here and trainval on line 3"),
    "tested but not trained": ("cat,trainval", "cat,test_seen", "class 'cat' has test_seen rows but no training row"),
    "too few cells": ("trainval,0,1,8,9.5", "trainval", "images.csv, line 2: 3 cells under 7 columns"),
    "open quote": ("b/4.jpg", '"b/4.jpg', "images.csv: cannot be read as UTF-8 CSV: unexpected end of data"),
}

ATTRIBUTE_FAULTS = {
    "no class column": ("class", "klass", "attributes.csv, line 1: no column 'class'"),
    "not a number": ("0.7,0.9", "0.7,large", "attributes.csv, line 4: attribute 'big' of class 'horse' is 'large'; give a finite number"),
    "NaN": ("0.7,0.9", "nan,0.9", "attributes.csv, line 4: attribute 'furry' of class 'horse' is 'nan'"),
    "too large": ("0.7,0.9", "0.7,1e39", "attributes.csv, line 4: attribute 'big' of class 'horse' is '1e39'"),
    "empty cell": ("0.7,0.9", "0.7,", "attributes.csv, line 4: attribute 'big' of class 'horse' is ''"),
    "duplicate class": ("unicorn", "dog", "attributes.csv, line 6: class 'dog' is already on line 3"),
    "nameless class": ("unicorn", "", "attributes.csv, line 6: the class has no name"),
    "line break in a class": ("unicorn", '"uni\ncorn"', r"line 7: the class name 'uni\\ncorn' has a line break or control character in it"),
    "line separator": ("unicorn", "uni\u2028corn", r"line 6: the class name 'uni\\u2028corn' has a line break"),
    "control character": ("unicorn", "uni\x1bcorn", r"line 6: the class name 'uni\\x1bcorn' has a line break or control"),
    "what XML cannot hold": ("unicorn", "uni\uffffcorn", r"line 6: the class name 'uni\\uffffcorn' has"),
    "attribute of two lines": ("furry", '"fur\nry"', r"line 1: the attribute name 'fur\\nry' has a line break"),
    "zero vector": ("0.9,0.1", "0,0", "all attributes of class 'cat' are 0"),
    "missing class": ("whale,0,1\n", "", "images.csv, line 6: class 'whale' is not in .*attributes.csv; give it a row there"),
}


@pytest.mark.parametrize(
    "file, fault",
    [("images.csv", fault) for fault in IMAGE_FAULTS.values()] + [("attributes.csv", fault) for fault in ATTRIBUTE_FAULTS.values()],
    ids=[*IMAGE_FAULTS, *ATTRIBUTE_FAULTS],
)
def test_a_fault_is_named_with_file_and_line(data_dir, file, fault):
    old, new, message = fault
    change(data_dir / file, old, new)
    with pytest.raises(UserError, match=message) as error:
        tables.load(data_dir)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("file", ["images.csv", "attributes.csv"])
@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "the file is empty"),
        (b"path,class,split\n", "there is no row under the header"),
        (b"path,class\n\xff\xfe,1\n", "cannot be read as UTF-8 CSV"),
        (None, "cannot be read as UTF-8 CSV: .*No such file"),
    ],
)
def test_a_file_that_cannot_be_read(data_dir, file, content, message):
    (data_dir / file).unlink() if content is None else (data_dir / file).write_bytes(content)
    with pytest.raises(UserError, match=f"{file}: {message}"):
        tables.load(data_dir)


def test_attributes_without_an_attribute(data_dir):
    (data_dir / "attributes.csv").write_text("class\ncat\n")
    with pytest.raises(UserError, match="no attribute column"):
        tables.load(data_dir)


@pytest.mark.parametrize("on_disk, in_table", [("caf\u00e9", "cafe\u0301"), ("cafe\u0301", "caf\u00e9")])
def test_accents_have_one_spelling(data_dir, on_disk, in_table):
    """Archives made on a Mac write them apart (NFD), and tables are mostly typed in one (NFC)."""
    (data_dir / "b" / "3.jpg").rename(data_dir / "b" / f"{on_disk}.JPG")
    change(data_dir / "images.csv", "b/3.jpg,horse", f"b/{in_table}.jpg,{in_table}")
    change(data_dir / "attributes.csv", "horse", on_disk)
    zoo = tables.load(data_dir)
    assert zoo.class_names[2] == "caf\u00e9" and zoo.labels[3] == 2
    assert zoo.paths[3] == str(data_dir / "b" / f"{on_disk}.JPG")


def test_a_hint_that_looks_like_the_name_is_quoted(data_dir):
    (data_dir / "b" / "3.jpg").rename(data_dir / "b" / "3.jpg ")
    with pytest.raises(UserError, match=r"'b/3.jpg' is missing .* the closest names there: 'b/3.jpg ', b/4.jpg"):
        tables.load(data_dir)


@pytest.mark.slow
def test_a_million_rows_load_in_twenty_seconds_and_little_memory(tmp_path):
    folders = [f"images/class_{c:04}" for c in range(1000)]
    generated_images.write_images(tmp_path, [f"{folder}/{i}.jpg" for folder in folders for i in range(60)])
    rows = [f"{folder}/{i % 60}.jpg,{folder[7:]},trainval,0,0,16,{1 + i / 2000}" for folder in folders for i in range(1000)]
    (tmp_path / "images.csv").write_text("path,class,split,xmin,ymin,xmax,ymax\n" + "\n".join(rows) + "\n")
    (tmp_path / "attributes.csv").write_text("class,a,b\n" + "".join(f"{folder[7:]},1,{c}\n" for c, folder in enumerate(folders)))
    script = """if True:
        import resource, sys, time
        from bgsnet_tf.data.reading import tables
        start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert len(tables.load(sys.argv[1]).labels) == 1_000_000
        print(time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    seconds, kilobytes = map(float, done.stdout.split())
    assert seconds < 20 and kilobytes < 1_000_000


def test_a_report_that_returns_gets_every_problem_once(data_dir):
    change(data_dir / "images.csv", "test_seen", "test")
    change(data_dir / "images.csv", "whale", "wale")
    change(data_dir / "images.csv", "b/3.jpg", "b/33.jpg")
    change(data_dir / "attributes.csv", "0.7,0.9", "nan,0.9")
    problems = []
    zoo = tables.load(data_dir, report=problems.append)
    assert len(problems) == 4
    assert zoo.labels.tolist() == [0, 1, 2] and zoo.paths[2] == ""


def test_a_report_that_returns_does_not_save_a_table_without_a_good_row(data_dir):
    (data_dir / "attributes.csv").write_text("class,furry\ncat,1,2\n")
    problems = []
    with pytest.raises(UserError, match="no row is left to use"):
        tables.load(data_dir, report=problems.append)
    assert "line 2: 3 cells under 2 columns" in problems[0]


@pytest.mark.skipif(not generated_images.SHARED_DATA.is_dir(), reason="needs ../shared/data")
def test_cub_photos_equal_an_independent_reading():
    folder = generated_images.SHARED_DATA / "cub_photos"
    photos = tables.load(folder)
    with open(folder / "images.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    with open(folder / "attributes.csv", newline="") as stream:
        classes = {row.pop("class"): [float(value) for value in row.values()] for row in csv.DictReader(stream)}
    assert photos.attributes.shape == (10, 312) and len(photos.labels) == 543
    assert (len(photos.seen_classes), len(photos.unseen_classes), len(photos.validation_classes)) == (7, 3, 2)
    assert [photos.class_names[c] for c in photos.labels] == [row["class"] for row in rows]
    assert photos.paths.tolist() == [str(folder / row["path"]) for row in rows]
    np.testing.assert_array_equal(photos.boxes, np.float32([[row[c] for c in ("xmin", "ymin", "xmax", "ymax")] for row in rows]))
    np.testing.assert_array_equal(photos.attributes, np.float32([classes[name] for name in photos.class_names]))
    for split, indices in (("trainval", photos.train), ("test_seen", photos.test_seen), ("test_unseen", photos.test_unseen)):
        assert indices.tolist() == [r for r, row in enumerate(rows) if row["split"] == split]
