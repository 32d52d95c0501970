"""The .mat reader against SciPy's on whole files, and on damaged ones, on which SciPy's ends the process."""

import contextlib
import io
import random
import struct

import numpy as np
import pytest
import scipy.io

from bgsnet_tf.data.reading import mat_files, xlsa17
from bgsnet_tf.errors import UserError
from tests.conftest import shared_data
from tests.data import generated_xlsa17

VALUES = {
    "double": np.array([[0.5, -1e300], [np.nan, np.inf], [3, 4]]),
    "single": np.float32([[1.5]]),
    "bytes": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "long": np.array([[-(2**62)]]),
    "truth": np.array([[True, False]]),
    "complex": np.array([[1 + 2j, 3]]),
    "cube": np.arange(24.0).reshape(2, 3, 4),
    "empty": np.zeros((0, 4)),
}


def assert_as_scipy(file, names):
    expected, found = scipy.io.loadmat(file), mat_files.read(file, names)
    assert set(found) == set(names)
    for name in names:
        if expected[name].dtype == object:
            assert found[name].shape == expected[name].shape
            assert found[name].ravel().tolist() == [cell.item() for cell in expected[name].ravel()]
        else:
            np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize("compressed", [False, True])
def test_numbers_strings_and_cells_are_as_scipy_reads_them(tmp_path, compressed):
    names = generated_xlsa17.cells(["cat", "Käuzchen", "\N{OWL}", "x" * 300])
    values = {**VALUES, "names": names, "word": "horse", "ignored": {"a": np.ones(9)}}
    scipy.io.savemat(tmp_path / "a.mat", values, do_compression=compressed)
    assert_as_scipy(tmp_path / "a.mat", [*VALUES, "names"])
    assert mat_files.read(tmp_path / "a.mat", ["word", "ignored", "missing"]) == {"word": "horse", "ignored": None}


@pytest.mark.parametrize("name", ["SUN", "CUB", "AWA2", "APY"])
def test_the_published_files_are_as_scipy_reads_them(name):
    folder = shared_data("xlsa17") / "data" / name
    assert_as_scipy(folder / "att_splits.mat", ["att", "original_att", "allclasses_names", *xlsa17.SPLIT_KEYS])
    assert_as_scipy(folder / "res101.mat", ["image_files", "labels"])


def element(kind, contents):
    return struct.pack(">2I", kind, len(contents)) + contents + bytes(-len(contents) % 8)


def test_a_file_of_a_big_endian_machine(tmp_path):
    numbers = element(9, np.array([1.5, 2.5], ">f8").tobytes())
    parts = element(6, struct.pack(">2I", 6, 0)) + element(5, struct.pack(">2i", 2, 1)) + b"\x00\x01\x00\x01a\0\0\0" + numbers
    (tmp_path / "a.mat").write_bytes(b"MATLAB".ljust(124) + b"\x01\x00MI" + element(14, parts))
    assert_as_scipy(tmp_path / "a.mat", ["a"])


def uncompressed():
    stream = io.BytesIO()
    scipy.io.savemat(stream, generated_xlsa17.fields()["att_splits"], do_compression=False)
    return stream.getvalue()


def test_damage_is_an_error_or_other_values_but_never_the_end_of_the_process(tmp_path):
    whole, errors = uncompressed(), 0
    for seed in range(1500):  # SciPy 1.15 dies of number 23
        rng, contents = random.Random(seed), bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            contents[rng.randrange(128, len(contents))] = rng.randrange(256)
        (tmp_path / "a.mat").write_bytes(contents)
        try:
            xlsa17.read_mat(str(tmp_path / "a.mat"), ("att", "allclasses_names", *xlsa17.SPLIT_KEYS))
        except UserError as error:
            assert "\n" not in str(error)
            errors += 1
    assert 300 < errors < 1400


def test_a_file_that_is_cut_short_is_an_error_or_has_fewer_variables(tmp_path):
    whole, names = uncompressed(), list(generated_xlsa17.fields()["att_splits"])
    for end in range(len(whole)):
        (tmp_path / "a.mat").write_bytes(whole[:end])
        with contextlib.suppress(ValueError):
            assert len(mat_files.read(tmp_path / "a.mat", names)) < len(names)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda whole: whole[:124] + b"\x00\x02IM", "does not begin as a file of MATLAB 5 to 7"),
        (lambda whole: whole[:-9], "cut short"),
        (lambda whole: whole[:128] + b"\x07" + whole[129:], "an element of type 7 stands where a variable should"),
        (lambda whole: whole[:160] + b"\xff" + whole[161:], "a variable of 255 x 4 has 12 values"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, damage, message):
    (tmp_path / "a.mat").write_bytes(damage(uncompressed()))
    with pytest.raises(ValueError, match=message):
        mat_files.read(tmp_path / "a.mat", ["att"])


def test_a_compressed_variable_is_whole_or_an_error(tmp_path):
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"a": np.arange(100.0)}, do_compression=True)
    whole = stream.getvalue()
    for position in range(136, len(whole)):
        (tmp_path / "a.mat").write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(ValueError):
            mat_files.read(tmp_path / "a.mat", ["a"])


def test_a_cell_in_a_cell_is_nothing(tmp_path):
    cells = generated_xlsa17.cells(["cat"])
    inner = np.empty((1, 2), dtype=object)
    inner[0, 0], inner[0, 1] = cells, np.zeros((0, 0))
    scipy.io.savemat(tmp_path / "a.mat", {"a": inner})
    found = mat_files.read(tmp_path / "a.mat", ["a"])["a"]
    assert found[0, 0] is None and found[0, 1].size == 0
