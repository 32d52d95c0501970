"""Random well-formed data comes back as it was; random damage gives a UserError of one line or leaves the data well formed."""

import csv
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgsnet_tf.config import DataConfig
from bgsnet_tf.data import check
from bgsnet_tf.data.reading import tables, xlsa17
from bgsnet_tf.errors import UserError
from tests.data import generated_images, generated_xlsa17

settings.register_profile("readers", max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
settings.load_profile("readers")

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Z")), min_size=1, max_size=12)
VALUES = st.floats(-1e6, 1e6, width=32)
EDGES = st.floats(0, 1000, width=32)


@st.composite
def data_sets(draw):
    """A well-formed data set: attribute names, dict from class to vector, rows (image, class, split, box)."""
    attribute_names = draw(st.lists(NAMES.filter(lambda name: name != "class"), min_size=1, max_size=4, unique=True))
    vector = st.lists(VALUES, min_size=len(attribute_names), max_size=len(attribute_names)).filter(any)
    attributes = draw(st.dictionaries(NAMES, vector, min_size=2, max_size=5))
    unseen = draw(st.sets(st.sampled_from(list(attributes)), max_size=len(attributes) - 1))
    boxes = st.tuples(EDGES, EDGES, EDGES, EDGES).filter(lambda box: box[0] < box[2] and box[1] < box[3])
    rows = []
    for i, name in enumerate(attributes):
        splits = (
            ["test_unseen"] if name in unseen else ["trainval", *draw(st.lists(st.sampled_from(["trainval", "test_seen"]), max_size=2))]
        )
        rows += [(f"{i}_{j}.jpg", name, split, draw(st.none() | boxes)) for j, split in enumerate(splits)]
    return attribute_names, attributes, draw(st.permutations(rows))


def write_tables(folder, attribute_names, attributes, rows):
    generated_images.write_images(folder, [row[0] for row in rows])
    with open(folder / "attributes.csv", "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["class", *attribute_names], *([name, *values] for name, values in attributes.items())])
    with open(folder / "images.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "class", "split", *tables.BOX_COLUMNS])
        writer.writerows([path, name, split, *(box or [""] * 4)] for path, name, split, box in rows)


@given(data_sets())
def test_tables_round_trip(data_set):
    attribute_names, attributes, rows = data_set
    with tempfile.TemporaryDirectory() as folder:
        write_tables(Path(folder), *data_set)
        loaded = tables.load(folder)
    assert loaded.attribute_names == tuple(attribute_names) and loaded.class_names == tuple(attributes)
    np.testing.assert_array_equal(loaded.attributes, np.float32(list(attributes.values())))
    assert [Path(path).name for path in loaded.paths] == [row[0] for row in rows]
    assert [loaded.class_names[c] for c in loaded.labels] == [row[1] for row in rows]
    for split, indices in (("trainval", loaded.train), ("test_seen", loaded.test_seen), ("test_unseen", loaded.test_unseen)):
        assert indices.tolist() == [r for r, row in enumerate(rows) if row[2] == split]
    boxes = np.float32([row[3] or [math.nan] * 4 for row in rows])
    assert loaded.boxes is None if np.isnan(boxes).all() else np.array_equal(loaded.boxes, boxes, equal_nan=True)


def damaged(contents, start, length, replacement):
    start = int(start * len(contents))
    return contents[:start] + replacement + contents[start + length :]


DAMAGE = {"start": st.floats(0, 1), "length": st.integers(0, 40), "replacement": st.binary(max_size=8)}
CSV_DAMAGE = {
    **DAMAGE,
    "replacement": st.sampled_from([b"", b",", b"\n", b'"', b"nan", b"../", b"\x00", b"\xff", b"cat", b"-1", b"1e99"]),
}


def check_never_crashes(config):
    report = check.check(config, quick=True)
    assert all(line and "\n" not in line for line in report.problems)
    return report


@pytest.mark.parametrize("file", ["images.csv", "attributes.csv"])
@given(**CSV_DAMAGE)
def test_damaged_tables_give_one_line_or_well_formed_data(file, start, length, replacement):
    attributes = {"cat": [1, 0], "dog": [1, 0.5], "horse": [1, 1], "whale": [0, 1]}
    rows = [(f"{i}.jpg", name, "test_unseen" if name == "whale" else "trainval", (0, 0, 9, i + 1)) for i, name in enumerate(attributes)]
    with tempfile.TemporaryDirectory() as folder:
        write_tables(Path(folder), ["furry", "big"], attributes, rows)
        target = Path(folder, file)
        contents = target.read_bytes()
        target.write_bytes(damaged(contents, start, length, replacement))
        try:
            loaded = tables.load(folder)
        except UserError as error:
            assert str(error) and "\n" not in str(error)
            assert not check_never_crashes(DataConfig(dataset="csv", data_dir=folder)).ready
        else:
            assert np.isfinite(loaded.attributes).all() and all(Path(path).is_relative_to(folder) for path in loaded.paths)
            if file == "images.csv":
                lines = [line for line in target.read_text(encoding="utf-8-sig").splitlines() if line]
                assert len(loaded.labels) == len(lines) - 1


@st.composite
def mat_fields(draw):
    """Well-formed fields in the form of `generated_xlsa17.fields`, with other attributes, labels' order and splits."""
    fields = generated_xlsa17.fields()
    order = draw(st.permutations(range(8)))
    images, labels = fields["res101"]["image_files"][list(order)], fields["res101"]["labels"][list(order)]
    fields["res101"].update(image_files=images, labels=labels.astype(draw(st.sampled_from([np.uint8, np.int32, np.float64]))))
    att = draw(st.lists(st.lists(st.floats(0.125, 1000, width=32), min_size=4, max_size=4), min_size=1, max_size=5))
    rows = [[order.index(row) + 1] for row in range(8)]
    seen = draw(st.permutations([rows[1], rows[3], rows[5]]))
    fields["att_splits"].update(
        att=np.array(att),
        trainval_loc=np.array([rows[0], rows[2], rows[4]], dtype=draw(st.sampled_from([np.uint16, np.float64]))),
        test_seen_loc=np.array(seen[: draw(st.integers(1, 3))]).T,
        test_unseen_loc=np.array([rows[6], rows[7]]),
    )
    return fields


@given(mat_fields())
def test_mat_files_round_trip(fields):
    with tempfile.TemporaryDirectory() as folder:
        loaded = xlsa17.load("sun", generated_xlsa17.save(Path(folder), fields))
    np.testing.assert_array_equal(loaded.attributes, fields["att_splits"]["att"].T.astype(np.float32))
    np.testing.assert_array_equal(loaded.labels, fields["res101"]["labels"].ravel() - 1)
    assert [Path(path).name for path in loaded.paths] == [image.item().split("/")[-1] for image in fields["res101"]["image_files"].ravel()]
    for key, rows in (("trainval_loc", loaded.train), ("test_seen_loc", loaded.test_seen), ("test_unseen_loc", loaded.test_unseen)):
        np.testing.assert_array_equal(rows, np.sort(fields["att_splits"][key].ravel()) - 1)


@pytest.mark.parametrize("file", ["att_splits.mat", "res101.mat", "valclasses1.txt", "trainvalclasses.txt"])
@given(**DAMAGE)
def test_damaged_split_folders_give_one_line_or_well_formed_data(file, start, length, replacement):
    with tempfile.TemporaryDirectory() as folder:
        generated_xlsa17.save(Path(folder), generated_xlsa17.fields())
        target = Path(folder, file)
        target.write_bytes(damaged(target.read_bytes(), start, length, replacement))
        assert_error_or_data(folder)


FIELDS = [(file, key) for file in ("att_splits", "res101") for key in generated_xlsa17.fields()[file]]
STRANGE = [
    np.zeros((0, 0)),
    np.array([[np.nan, 1.5]]),
    np.array([[1 + 2j]]),
    np.array([["text"]], dtype=object),
    "text",
    {"a": 1.0},
    np.full((8, 1), 70000),
    np.full((2, 3, 4), 1.0),
    np.full((8, 1), 1 + 2j),
    np.full((8, 1), np.nan),
    np.full((3, 4), 1 + 2j),
    np.full((3, 4), np.inf),
    np.zeros((0, 4)),
    generated_xlsa17.cells(["cat", "cat", "dog", "dog"]),
    np.array([[True]]),
]


@pytest.mark.parametrize("file, key", FIELDS)
@given(strange=st.sampled_from(STRANGE), extra=st.sampled_from([None, "original_att", "train_loc"]))
def test_strange_fields_give_one_line_or_well_formed_data(file, key, strange, extra):
    fields = generated_xlsa17.fields()
    fields[file][key] = strange
    if extra:
        fields["att_splits"][extra] = strange
    with tempfile.TemporaryDirectory() as folder:
        generated_xlsa17.save(Path(folder), fields)
        assert_error_or_data(folder)


def assert_error_or_data(folder):
    try:
        loaded = xlsa17.load("sun", folder)
    except UserError as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert np.isfinite(loaded.attributes).all() and len(loaded.labels) == 8 == len(loaded.paths)
        assert loaded.labels.max() < len(loaded.class_names) == len(loaded.attributes) == 4
    check_never_crashes(DataConfig(dataset="sun", data_dir=folder))
