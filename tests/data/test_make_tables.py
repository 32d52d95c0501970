import csv
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from bgsnet_tf.config import DataConfig
from bgsnet_tf.data import check
from bgsnet_tf.data.make_tables import draw_unseen, make_tables, read_vectors, scaled
from bgsnet_tf.data.reading import tables
from bgsnet_tf.errors import UserError
from tests.data import generated_images

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CLASSES = ["cat", "dog", "horse", "whale"]
ATTRIBUTES = {"cat": [0.1, 0.5], "dog": [0.2, 0.5], "horse": [0.3, 0.6], "whale": [0.4, 0.9]}


@pytest.fixture
def data_dir(tmp_path):
    generated_images.write_images(tmp_path, [f"images/{name}/{i}.jpg" for name in CLASSES for i in range(10)])
    return tmp_path


def make(data_dir, attributes=ATTRIBUTES, unseen=("whale",)):
    return make_tables(data_dir, "images", ("small", "round"), attributes, unseen)


def test_the_tables_are_ready_to_train_on(data_dir):
    benchmark, warnings = make(data_dir)
    assert warnings == []
    assert benchmark.class_names == tuple(CLASSES) and benchmark.attribute_names == ("small", "round")
    np.testing.assert_array_equal(benchmark.attributes, np.float32(list(ATTRIBUTES.values())))
    assert [benchmark.class_names[c] for c in benchmark.unseen_classes] == ["whale"]
    assert (len(benchmark.train), len(benchmark.test_seen), len(benchmark.test_unseen)) == (24, 6, 10)
    assert np.bincount(benchmark.labels[benchmark.test_seen]).tolist() == [2, 2, 2]
    for row, path in enumerate(benchmark.paths):
        assert pathlib.Path(path).parent.name == benchmark.class_names[benchmark.labels[row]]
    assert check.check(DataConfig(dataset="csv", data_dir=str(data_dir)), quick=True).ready


def test_the_same_images_are_held_out_every_time(data_dir, tmp_path):
    first = make(data_dir)[0]
    for table in ("images.csv", "attributes.csv"):
        (data_dir / table).unlink()
    again = make(data_dir, attributes=dict(reversed(ATTRIBUTES.items())))[0]
    assert set(first.paths[first.test_seen]) == set(again.paths[again.test_seen])


def test_a_class_of_one_image_is_trained(data_dir):
    for i in range(1, 10):
        (data_dir / "images" / "cat" / f"{i}.jpg").unlink()
    benchmark, _ = make(data_dir)
    assert np.sum(benchmark.labels[benchmark.train] == 0) == 1


def test_what_the_tables_leave_out_is_said(data_dir):
    (data_dir / "images" / "cat" / "notes.txt").write_text("")
    (data_dir / "images" / "stray.jpg").write_bytes(generated_images.JPEG)
    _, warnings = make(data_dir, attributes={**ATTRIBUTES, "horse": [0.3, 0.5]})
    assert warnings == [
        "2 files are no .jpg, .jpeg, .png in a class folder and are left out, first images/cat/notes.txt",
        "1 attributes have one value in all seen classes and teach nothing, first 'round'",
    ]


@pytest.mark.parametrize(
    "attributes, unseen, message",
    [
        ({k: v for k, v in ATTRIBUTES.items() if k != "dog"}, ["whale"], "class folder 'dog' in .*images has no attributes; add its row"),
        ({("dogs" if k == "dog" else k): v for k, v in ATTRIBUTES.items()}, ["whale"], "'dog' .* has no attributes; is it 'dogs' there"),
        (ATTRIBUTES, ["wale"], "--unseen: there is no class 'wale'; the closest are whale"),
        (ATTRIBUTES, ["whale", "cat", "dog"], "--unseen: 3 of 4 classes; at least one is unseen and two are seen"),
        (ATTRIBUTES, [], "--unseen: 0 of 4 classes"),
    ],
)
def test_faults(data_dir, attributes, unseen, message):
    with pytest.raises(UserError, match=message):
        make(data_dir, attributes, unseen)
    assert not list(data_dir.glob("*.csv"))


def test_an_empty_class_folder(data_dir):
    (data_dir / "images" / "yeti").mkdir()
    with pytest.raises(UserError, match="class folder 'yeti' .* has no attributes"):
        make(data_dir)


def test_a_class_without_images_is_an_unseen_candidate(data_dir):
    (data_dir / "images" / "unicorn").mkdir()
    benchmark, warnings = make(data_dir, {**ATTRIBUTES, "yeti": [1, 1], "unicorn": [0, 1]}, unseen=["whale", "yeti"])
    assert warnings == ["2 classes have attributes but no image, first yeti; they are unseen candidates"]
    assert [benchmark.class_names[c] for c in benchmark.unseen_classes] == ["whale", "yeti", "unicorn"]
    assert len(benchmark.test_unseen) == 10


def test_only_classes_with_images_are_drawn(data_dir):
    lines = ["class,small,round", *(f"{name},{a},{b}" for name, (a, b) in ATTRIBUTES.items()), *(f"yeti{i},1,{i}" for i in range(9))]
    (data_dir / "traits.csv").write_text("\n".join(lines))
    done = run(data_dir, f"--attributes={data_dir}/traits.csv", "--unseen_count=2")
    assert done.returncode == 0, done.stderr
    assert len(tables.load(data_dir).test_unseen) == 20


@pytest.mark.parametrize("name", [b"caf\xe9.jpg", b"two\nlines.jpg", b"space.jpg"])
def test_a_file_name_that_no_table_can_hold(data_dir, name):
    folder = b"images/cat" if b"space" not in name else b"images/cat /"
    os.makedirs(os.path.join(os.fsencode(data_dir), folder), exist_ok=True)
    os.link(data_dir / "images" / "cat" / "0.jpg", os.path.join(os.fsencode(data_dir), folder, name))
    with pytest.raises(UserError, match="the name .* (has a|begins or ends with a space).*; rename it") as error:
        make(data_dir)
    assert "\n" not in str(error.value) and str(error.value).isprintable()
    assert not list(data_dir.glob("*.csv"))


def test_folders_and_attributes_may_spell_accents_apart(data_dir):
    (data_dir / "images" / "cat").rename(data_dir / "images" / "cafe\u0301")
    benchmark, _ = make(data_dir, {("caf\u00e9" if name == "cat" else name): vector for name, vector in ATTRIBUTES.items()})
    assert np.sum(benchmark.labels == 0) == 10


def test_one_attribute_far_larger_than_the_others_earns_a_warning_and_can_be_scaled(data_dir):
    heavy = {name: [*vector, 4000 + c] for c, (name, vector) in enumerate(ATTRIBUTES.items())}
    warned = make_tables(data_dir, "images", ("small", "round", "weight"), heavy, ["whale"], "a.csv", "b.csv")[1]
    assert len(warned) == 1 and "point almost the same way (mean cosine 1.0000)" in warned[0] and "'weight' is 4002 on average" in warned[0]
    benchmark, warnings = make_tables(data_dir, "images", ("small", "round", "weight"), scaled(heavy), ["whale"])
    assert not warnings and np.abs(benchmark.attributes).max(axis=0).tolist() == [1, 1, 1]


def test_nothing_of_tables_that_do_not_load_is_left(data_dir):
    with pytest.raises(UserError, match="all attributes of class 'cat' are 0"):
        make(data_dir, {**ATTRIBUTES, "cat": [0, 0]})
    assert not list(data_dir.glob("*.csv"))


def test_nothing_is_overwritten(data_dir):
    (data_dir / "images.csv").write_text("mine")
    with pytest.raises(UserError, match="images.csv exists already; move it away"):
        make(data_dir)
    assert (data_dir / "images.csv").read_text() == "mine" and not (data_dir / "attributes.csv").exists()


def test_a_folder_without_class_folders(tmp_path):
    with pytest.raises(UserError, match="no folder .*images; --data_dir/--class_folders"):
        make(tmp_path)


def test_unseen_classes_are_drawn_by_seed_alone():
    names = [f"class{i}" for i in range(20)]
    drawn = draw_unseen(names, 5, seed=1)
    assert len(set(drawn)) == 5 and set(drawn) < set(names)
    assert drawn == draw_unseen(names[::-1], 5, seed=1) != draw_unseen(names, 5, seed=2)


@pytest.mark.parametrize("count", [-1, 0, 3, 4])
def test_too_few_or_too_many_unseen_classes(count):
    with pytest.raises(UserError, match=f"--unseen_count={count}: with 4 classes it is from 1 to 2"):
        draw_unseen(CLASSES, count, seed=0)


def save_vectors(folder, vectors, names=CLASSES):
    np.save(folder / "vectors.npy", vectors)
    (folder / "names.txt").write_text("\n".join(names) + "\n")
    return str(folder / "vectors.npy"), str(folder / "names.txt")


def test_embeddings(tmp_path):
    vectors = np.arange(12, dtype=np.float64).reshape(4, 3)
    names, attributes = read_vectors(*save_vectors(tmp_path, vectors))
    assert names == ("dimension_001", "dimension_002", "dimension_003")
    assert list(attributes) == CLASSES
    np.testing.assert_array_equal(list(attributes.values()), vectors)


@pytest.mark.parametrize(
    "vectors, names, message",
    [
        (np.ones(4), CLASSES, r"vectors.npy holds float64 of shape \(4,\); it needs numbers, one row a class"),
        (np.full((4, 2), "a"), CLASSES, "vectors.npy holds <U1"),
        (np.ones((4, 0)), CLASSES, "vectors.npy holds float64 of shape"),
        (np.ones((5, 2)), CLASSES, "vectors.npy has 5 rows; .*names.txt needs as many class names, all different, and has 4"),
        (np.ones((4, 2)), ["cat", "cat", "dog", "horse"], "needs as many class names, all different"),
        (np.array([[1, 1], [1, np.nan], [1, 1], [1, 1]]), CLASSES, "the vector of 'dog' is no finite float32 at position 1"),
        (np.array([[1, 1], [1e39, 1], [1, 1], [1, 1]]), CLASSES, "the vector of 'dog' is no finite float32 at position 0"),
        (np.ones((4, 2)), ["cat", "dog", "ho\u2028rse", "whale"], r"the class name 'ho\\u2028rse' has a line break"),
        (np.array([{}], dtype=object), CLASSES, "cannot read the vectors .*vectors.npy"),
    ],
)
def test_embeddings_that_do_not_fit(tmp_path, vectors, names, message):
    with pytest.raises(UserError, match=message):
        read_vectors(*save_vectors(tmp_path, vectors, names))


@pytest.mark.parametrize("contents", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00v\x00{'descr': ((((", b"\x93NUMPY"])
def test_a_file_that_is_no_npy(tmp_path, contents):
    file, names = save_vectors(tmp_path, np.ones((4, 2)))
    pathlib.Path(file).write_bytes(contents)
    with pytest.raises(UserError, match="cannot read the vectors"):
        read_vectors(file, names)


def test_a_npy_file_needs_class_names(tmp_path):
    file, _ = save_vectors(tmp_path, np.ones((4, 2)))
    with pytest.raises(UserError, match="cannot read .* --classes=: "):
        read_vectors(file, "")


def run(data_dir, *arguments):
    command = [sys.executable, "-m", "bgsnet_tf.data.make_tables", f"--data_dir={data_dir}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})


def test_the_command(data_dir):
    with open(data_dir / "traits.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([["class", "small", "round"], *([name, *values] for name, values in ATTRIBUTES.items())])
    done = run(data_dir, f"--attributes={data_dir}/traits.csv", "--unseen_count=2", "--seed=3")
    assert done.returncode == 0, done.stderr
    assert "20 images: " not in done.stdout and "40 images: 16 trainval, 4 test_seen, 20 test_unseen" in done.stdout
    assert len(tables.load(data_dir).unseen_classes) == 2


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((), "error: --data_dir and --attributes are needed"),
        (("--attributes=x.csv",), "error: give either --unseen=NAME,NAME or --unseen_count=NUMBER"),
        (("--attributes=x.csv", "--unseen=cat"), "error: x.csv: cannot be read as UTF-8 CSV: "),
    ],
)
def test_the_command_fails_in_one_line(data_dir, arguments, message):
    done = run(data_dir, *arguments)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr
