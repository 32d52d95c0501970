import os
import time

import numpy as np
import pytest

from bgsnet_tf.data.reading.paths import find_images
from bgsnet_tf.errors import UserError
from tests.data import generated_images

AUTHORS = "/BS/xian/CUB_200_2011/images/001.Albatross/one.jpg"


def found(names, folder, **options):
    return [os.path.relpath(path, folder) if path else "" for path in find_images(names, folder, **options)]


def problems(names, folder, **options):
    lines = []
    find_images(names, folder, report=lines.append, **options)
    return lines


@pytest.mark.parametrize(
    "layout",
    [
        "one.jpg",
        "001.Albatross/one.jpg",
        "images/001.Albatross/one.jpg",
        "JPEGImages/001.Albatross/one.jpg",
        "CUB_200_2011/CUB_200_2011/images/001.Albatross/one.jpg",
        "images/001.Albatross/one.JPG",
    ],
)
@pytest.mark.parametrize("name", [AUTHORS, AUTHORS.replace("/", "\\"), AUTHORS.replace("/images/", "//images//"), AUTHORS[:-3] + "JpG"])
def test_an_authors_path_is_found_in_every_layout(tmp_path, layout, name):
    generated_images.write_images(tmp_path, [layout])
    assert found([name], tmp_path) == [layout]


def test_the_longest_suffix_wins(tmp_path):
    generated_images.write_images(tmp_path, ["images/001.Albatross/one.jpg", "thumbnails/001.Albatross/one.jpg", "one.jpg"])
    assert found([AUTHORS], tmp_path) == ["images/001.Albatross/one.jpg"]


def test_voc2008_is_not_taken_from_another_year(tmp_path):
    generated_images.write_images(tmp_path, [f"VOCdevkit/VOC{year}/JPEGImages/2008_000008.jpg" for year in (2008, 2009, 2012)])
    assert found(["/BS/VOCdevkit/VOC2008/JPEGImages/2008_000008.jpg"], tmp_path) == ["VOCdevkit/VOC2008/JPEGImages/2008_000008.jpg"]


def test_the_extensions_own_spelling_wins(tmp_path):
    generated_images.write_images(tmp_path, ["one.jpg", "one.JPG"])
    assert found(["one.JPG"], tmp_path, exact=True) == ["one.JPG"]


def test_rows_of_one_image_share_its_path(tmp_path):
    generated_images.write_images(tmp_path, ["one.jpg"])
    paths = find_images([AUTHORS, AUTHORS], tmp_path)
    assert list(paths) == [str(tmp_path / "one.jpg")] * 2


def test_copies_that_fit_equally_well_are_ambiguous(tmp_path):
    generated_images.write_images(tmp_path, ["a/001.Albatross/one.jpg", "b/001.Albatross/one.jpg"])
    (tmp_path / "b/001.Albatross/one.jpg").unlink()
    (tmp_path / "b/001.Albatross/one.jpg").write_bytes(generated_images.JPEG)
    with pytest.raises(UserError, match=r"one.jpg' fits 2 files .*\(a/001.Albatross/one.jpg, b/001.Albatross/one.jpg\)"):
        find_images([AUTHORS], tmp_path)


def test_two_names_cannot_be_one_file(tmp_path):
    generated_images.write_images(tmp_path, ["one.jpg"])
    with pytest.raises(UserError, match="'/x/b/one.jpg' fits only one.jpg .* another name fits too"):
        find_images(["/x/a/one.jpg", "/x/b/one.jpg"], tmp_path)


def test_a_missing_image_is_named_with_the_three_closest_and_the_number_of_others(tmp_path):
    generated_images.write_images(tmp_path, [f"001.Albatross/{name}.jpg" for name in ("ones", "once", "on", "two")])
    lines = problems([AUTHORS, "x/zzzzzzzz.png", "elsewhere/twos.jpg"], tmp_path)
    assert len(lines) == 3
    assert all(f"001.Albatross/{name}.jpg" in lines[0] for name in ("ones", "once", "on"))
    assert "two.jpg" not in lines[0] and "[2 more images are missing" in lines[0]
    assert "none is similar" in lines[1]
    assert "001.Albatross/two.jpg" in lines[2]


def test_of_many_missing_images_the_first_ten_are_explained(tmp_path):
    lines = problems([f"missing{i}.jpg" for i in range(500)], tmp_path)
    assert len(lines) == 10 and "[499 more" in lines[0] and "'missing9.jpg'" in lines[9]


@pytest.mark.parametrize("name", ["../one.jpg", "a/../../one.jpg", "..\\one.jpg"])
@pytest.mark.parametrize("exact", [True, False])
def test_nothing_leads_out_of_the_data_folder(tmp_path, name, exact):
    generated_images.write_images(tmp_path, ["one.jpg", "data/two.jpg"])
    assert problems([name], tmp_path / "data", exact=exact) == [
        f"image path {name!r} may leave the data folder and is not opened; give it relative to {tmp_path / 'data'} and without '..'"
    ]


@pytest.mark.parametrize("name", ["/one.jpg", "\\one.jpg", "C:\\one.jpg"])
def test_an_exact_name_is_relative(tmp_path, name):
    generated_images.write_images(tmp_path, ["one.jpg"])
    assert "may leave the data folder" in problems([name], tmp_path, exact=True)[0]


def test_an_exact_name_fits_from_the_data_folder_only(tmp_path):
    generated_images.write_images(tmp_path, ["a/one.jpg"])
    assert found([".//a\\one.jpg"], tmp_path, exact=True) == ["a/one.jpg"]
    assert "is missing" in problems(["one.jpg"], tmp_path, exact=True)[0]


def test_linked_folders_are_followed_but_not_in_circles(tmp_path):
    generated_images.write_images(tmp_path / "disk", ["001.Albatross/one.jpg"])
    data = tmp_path / "data"
    data.mkdir()
    (data / "images").symlink_to(tmp_path / "disk")
    (data / "again").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "circle").symlink_to(data)
    (tmp_path / "link").symlink_to(data)
    assert found(["/BS/001.Albatross/one.jpg"], tmp_path / "link") in (["images/001.Albatross/one.jpg"], ["again/001.Albatross/one.jpg"])


def test_a_data_folder_that_is_none(tmp_path):
    with pytest.raises(UserError, match="no data folder at .*nowhere.*--data_dir"):
        find_images(["one.jpg"], tmp_path / "nowhere")


@pytest.mark.skipif(not generated_images.SHARED_DATA.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize(
    "benchmark, archive",
    [
        ("sun", "SUNAttributeDB_Images/images/"),
        ("cub", "CUB_200_2011/images/"),
        ("awa2", "Animals_with_Attributes2/JPEGImages/"),
        ("apy", "VOC2008/JPEGImages/"),
        ("cub", ""),
    ],
)
def test_every_real_path_is_found(tmp_path, benchmark, archive):
    names = generated_images.real_names(benchmark)
    files = [("ayahoo_test_images/" if "ayahoo" in name else archive) + generated_images.after_marker(name) for name in names]
    generated_images.write_images(tmp_path, files)
    start = time.perf_counter()
    paths = find_images(names, tmp_path)
    assert time.perf_counter() - start < 10
    np.testing.assert_array_equal(paths, [str(tmp_path / file) for file in files])
