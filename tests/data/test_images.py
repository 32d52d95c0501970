"""Decoding, boxes and views against plain NumPy."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from bgsnet_tf.config import DataConfig
from bgsnet_tf.data import images
from bgsnet_tf.data.decoding import decode
from bgsnet_tf.data.images import Views
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.errors import UserError
from bgsnet_tf.exported import layout
from bgsnet_tf.serving import inputs
from tests.data.hard_images import RGB, encoded, with_exif


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_the_test_view_is_the_centre_and_never_random():
    image = noise(40, 50)
    for augment in ("none", "flip", "crop_flip", "resized_crop_flip", "dihedral"):
        view = Views(32, 40, augment)(image)
        np.testing.assert_array_equal(view, image[4:36, 9:41].astype(np.float32))


@pytest.mark.parametrize("shape", [(40, 50), (50, 40), (300, 20), (20, 20), (1, 1), (1, 90)])
def test_every_shape_gives_the_networks_input(shape):
    assert Views(32, 36)(noise(*shape)).shape == (32, 32, 3)


def test_odd_views_are_mirrored():
    image = noise(32, 32)
    np.testing.assert_array_equal(Views(32, 32, "flip")(image, view=3), image[:, ::-1])
    np.testing.assert_array_equal(Views(32, 32, "flip")(image, view=2), image)


def test_dihedral_views_are_the_eight_symmetries():
    image = noise(8, 8)
    ours = {Views(8, 8, "dihedral")(image, view=v).numpy().astype(np.uint8).tobytes() for v in range(8)}
    turned = [np.rot90(turn, k) for turn in (image, image[:, ::-1]) for k in range(4)]
    assert ours == {np.ascontiguousarray(turn).tobytes() for turn in turned}


def test_crops_follow_from_seed_row_and_view():
    image = noise(60, 60)
    crop = Views(32, 60, "crop_flip", seed=1)
    same, again = crop(image, row=4, view=2), crop(image, row=4, view=2)
    np.testing.assert_array_equal(same, again)
    others = [crop(image, 5, 2), crop(image, 4, 4), Views(32, 60, "crop_flip", seed=2)(image, 4, 2)]
    assert all(np.any(same != other) for other in others)


def test_crops_reach_every_corner():
    image = np.tile(np.arange(36, dtype=np.uint8)[None, :, None], (36, 1, 3))
    firsts = {int(Views(32, 36, "crop_flip")(image, row, view=2)[0, 0, 0]) for row in range(60)}
    assert firsts == {0, 1, 2, 3, 4}


def test_random_rectangles_have_the_areas_and_aspects_that_are_said_and_reach_every_edge():
    """On an image whose pixels hold their own coordinates, edges can be read off a view."""
    height, width = 120, 160
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    image = tf.constant(np.stack([rows, columns, np.zeros_like(rows)], axis=-1).astype(np.uint8))
    views = Views(64, 64, "resized_crop_flip", seed=3)
    view = tf.function(lambda row: views(image, row, 2))
    seen = np.stack([view(tf.constant(row)).numpy() for row in range(200)])
    steps = (
        np.stack([seen[:, 40, 32, 0] - seen[:, 24, 32, 0], seen[:, 32, 40, 1] - seen[:, 32, 24, 1]], axis=1) / 16 * 64
    )  # sides in pixels
    share, aspect = steps[:, 0] * steps[:, 1] / (height * width), steps[:, 1] / steps[:, 0]
    low, high = images.AREAS
    assert low - 0.03 < share.min() < low + 0.1 and high - 0.2 < share.max() < high + 0.01
    assert images.ASPECTS[0] - 0.05 < aspect.min() < 0.9 and 1.2 < aspect.max() < images.ASPECTS[1] + 0.05
    assert seen[..., 0].min() < 2 and seen[..., 0].max() > height - 3 and seen[..., 1].min() < 2 and seen[..., 1].max() > width - 3
    np.testing.assert_array_less(np.diff(np.array(views(image, 0, 3))[32, :, 1]), 0.01)  # odd views are mirrored


def test_a_box_is_cut_out_and_clipped(tiny_dir):
    from bgsnet_tf.data.reading import tables

    lines = (tiny_dir / "images.csv").read_text().splitlines()
    boxes = [",10,5,30,25", ",30,20,90,90"] + [",,,,"] * (len(lines) - 3)
    (tiny_dir / "images.csv").write_text("\n".join([lines[0] + ",xmin,ymin,xmax,ymax", *(a + b for a, b in zip(lines[1:], boxes))]))
    benchmark = tables.load(str(tiny_dir))
    load = images.row_images(benchmark)
    whole = [decode(tf.io.read_file(path)) for path in benchmark.paths[:3]]
    np.testing.assert_array_equal(load(0), whole[0][5:25, 10:30])
    np.testing.assert_array_equal(load(1), whole[1][20:, 30:])
    np.testing.assert_array_equal(load(2), whole[2])


def test_a_box_outside_its_image_is_refused_and_its_row_named(tiny_dir):
    lines = (tiny_dir / "images.csv").read_text().splitlines()
    boxes = [",10,5,30,25", ",99,0,100,9"] + [",,,,"] * (len(lines) - 3)
    (tiny_dir / "images.csv").write_text("\n".join([lines[0] + ",xmin,ymin,xmax,ymax", *(a + b for a, b in zip(lines[1:], boxes))]))
    benchmark = load_benchmark(DataConfig(dataset="csv", data_dir=str(tiny_dir)))
    batches = images.image_batches(benchmark, images.items_of(np.arange(3)), Views(32, 36), batch_size=3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="outside its image"):
        next(iter(batches))
    width, height = Image.open(benchmark.paths[1]).size
    message = rf"row 2, {benchmark.paths[1]}: the box 99.0 0.0 100.0 9.0 lies outside its image of {width} x {height} pixels; mend the box"
    with pytest.raises(UserError, match=message):
        images.find_unusable(benchmark, np.arange(3))


@pytest.mark.parametrize("height, width", [(375, 500), (500, 333), (256, 256), (90, 61), (1000, 1300)])
def test_a_view_is_the_crop_of_tensorflows_antialiased_resize(height, width):
    image = noise(height, width)
    shorter = min(height, width)
    target = [max(256, round(side * 256 / shorter)) for side in (height, width)]
    top, left = ((side - 224) // 2 for side in target)
    whole = tf.image.resize(image, target, antialias=True).numpy()
    np.testing.assert_allclose(Views(224, 256)(image), whole[top : top + 224, left : left + 224], rtol=0, atol=5e-3)


def test_views_of_one_row_share_its_decoding_and_equal_those_made_alone(tiny_dir):
    from bgsnet_tf.data.reading import tables

    benchmark = tables.load(str(tiny_dir))
    views, items = Views(32, 36, "crop_flip"), images.items_of(np.arange(5), 3)
    batches = images.image_batches(benchmark, items, views, batch_size=7, view_count=3)
    assert batches.options().autotune.enabled is False  # see `without_autotuning`
    together = list(batches)
    assert [len(batch) for batch in together] == [6, 6, 3]
    alone = list(images.image_batches(benchmark, items, views, batch_size=15))
    np.testing.assert_array_equal(np.concatenate(together), alone[0])


@pytest.mark.parametrize("upright", [False, True])
def test_training_and_an_export_turn_images_alike(tmp_path, upright):
    contents = with_exif(encoded(RGB, "JPEG"), 6)  # stored 40 x 50
    (tmp_path / "0.jpg").write_bytes(contents)
    (tmp_path / "images.csv").write_text("path,class,split\n0.jpg,cat,trainval\n")
    (tmp_path / "attributes.csv").write_text("class,furry\ncat,1\n")
    benchmark = load_benchmark(DataConfig(dataset="csv", data_dir=str(tmp_path), exif_rotation=upright))
    image = images.row_images(benchmark)(tf.constant(0))
    assert image.shape == ((50, 40, 3) if upright else (40, 50, 3))
    exported = inputs.decode_images(tf.constant([contents]), Views(32, 36), benchmark.upright)
    np.testing.assert_array_equal(exported[0], Views(32, 36)(image))
    assert benchmark.fingerprint == load_benchmark(DataConfig(dataset="csv", data_dir=str(tmp_path))).fingerprint or upright
    *_, model = layout.write(tmp_path, benchmark, Views(32, 36), 0.0)
    assert json.loads(pathlib.Path(model).read_text())["exif_rotation"] is upright
