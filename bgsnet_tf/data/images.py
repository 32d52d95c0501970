"""From a row to the pixels the network sees: load, crop, resize, augment. All of it TensorFlow graph code.

A view is a number: 0 is the test view, with nothing random in it; any other is a training view, a pure function of
(seed, row, view). Letters: B images, H and W the network's input size.
"""

import dataclasses
import math
import os

import numpy as np
import tensorflow as tf

from bgsnet_tf.data import decoding
from bgsnet_tf.data.batches import without_autotuning
from bgsnet_tf.errors import UserError

AREAS, ASPECTS = (0.4, 1.0), (3 / 4, 4 / 3)  # of random rectangles: assumptions, the latter as ImageNet training has it
PARALLEL = os.cpu_count()  # images decoded at a time


@dataclasses.dataclass(frozen=True)
class Views:
    """How views are made of an image.

    Attributes:
      size: H = W of the result in pixels.
      resize: length of the shorter side before the crop to `size`.
      augment: "none"; "flip": odd views are mirrored; "crop_flip": random crop, and odd views are mirrored; "resized_crop_flip":
        the same with a random rectangle of the image, see `_random_rectangle`, stretched to the network's input;
        "dihedral": view v is symmetry v mod 8 of the square.
      seed: of the random crops.
    """

    size: int
    resize: int
    augment: str = "none"
    seed: int = 0

    @property
    def count(self):
        """How many views there are to draw from in training."""
        return {"none": 1, "flip": 2, "dihedral": 8, "crop_flip": 1 << 20, "resized_crop_flip": 1 << 20}[self.augment]

    def __call__(self, image, row=0, view=0):
        """(size, size, 3) float32 in 0..255 of an image (h, w, 3)."""
        row, view = tf.cast(row, tf.int32), tf.cast(view, tf.int32)
        shape = tf.shape(image)[:2]
        factor = self.resize / tf.reduce_min(shape)
        resized = tf.maximum(tf.cast(tf.round(tf.cast(shape, tf.float64) * factor), tf.int32), self.resize)
        slack = resized - self.size
        corner = slack // 2
        if self.augment == "crop_flip":
            share = tf.random.stateless_uniform([2], [self.seed, 0x9E3779B] + tf.stack([row, view]))
            random_corner = tf.cast(share * tf.cast(slack + 1, tf.float32), tf.int32)
            corner = tf.where(view > 0, random_corner, corner)
        if self.augment == "resized_crop_flip":
            stretched, random_corner = _random_rectangle(shape, self.size, [self.seed, 0x9E3779B] + tf.stack([row, view]))
            resized, corner = tf.where(view > 0, stretched, resized), tf.where(view > 0, random_corner, corner)
        image = _resized_crop(image, resized, corner, self.size)
        if self.augment in ("flip", "crop_flip", "resized_crop_flip"):
            image = tf.cond(view % 2 == 1, lambda: tf.reverse(image, [1]), lambda: image)
        if self.augment == "dihedral":
            image = tf.switch_case(view % 8, [lambda s=s: _symmetry(image, s) for s in range(8)])
        return tf.ensure_shape(image, [self.size, self.size, 3])


def row_images(benchmark):
    """A function from a row number, a scalar tensor, to its image (h, w, 3), cropped to its box."""
    if benchmark.pixels is not None:
        pixels = tf.constant(benchmark.pixels)
        return lambda row: tf.gather(pixels, row)
    paths = tf.constant(benchmark.paths.astype(str))

    def whole(row):
        return decoding.decode(tf.io.read_file(tf.gather(paths, row)), upright=benchmark.upright)

    if benchmark.boxes is None:
        return whole
    boxes = tf.constant(np.nan_to_num(benchmark.boxes, nan=-1).astype(np.int32))

    def cropped(row):
        image, box = whole(row), tf.gather(boxes, row)
        return tf.cond(box[0] < 0, lambda: image, lambda: _crop(image, box))

    return cropped


def items_of(rows, view_count=1):
    """(len(rows)·V, 2) int32 pairs of row and view: the views 0..V-1 of every row, in order."""
    return np.stack([np.repeat(rows, view_count), np.tile(np.arange(view_count), len(rows))], axis=1).astype(np.int32)


def image_batches(benchmark, items, views, batch_size, view_count=1):
    """A dataset of batches (B, H, W, 3) of `items` (n, 2), pairs of row and view, in order; the last batch may be smaller.

    Each `view_count` = V items in a row must be of the same row: its image is then decoded once. B is `batch_size`
    without its remainder by V, and at least V.
    """
    load = _loader(benchmark, views)
    by_row = without_autotuning(tf.data.Dataset.from_tensor_slices(items.reshape(-1, view_count, 2)))
    batches = by_row.map(lambda items: load(items[0, 0], tf.unstack(items[:, 1])), PARALLEL).batch(max(1, batch_size // view_count))
    return batches.map(lambda images: tf.reshape(images, [-1, *images.shape[2:]])).prefetch(2)


def shuffled_image_batches(benchmark, labels, item_batches, views):
    """A dataset of (images (B, H, W, 3), labels (B,)).

    Args:
      labels: (training rows,) int.
      item_batches: dataset of (B, 2) pairs of position among the training rows, and view.
    """
    load, rows = _loader(benchmark, views), tf.constant(benchmark.train.astype(np.int32))
    labels = tf.constant(labels)

    def example(item):
        return load(tf.gather(rows, item[0]), [item[1]])[0], tf.gather(labels, item[0])

    batch_size = item_batches.element_spec.shape[0]
    return item_batches.unbatch().map(example, PARALLEL).batch(batch_size, drop_remainder=True).prefetch(2)


def find_unusable(benchmark, rows):
    """Raises a `UserError` that names the first row whose file is no image, or whose box lies outside; returns if there is none."""
    for row in rows if benchmark.paths is not None else ():
        try:
            pixels, _ = decoding.read(benchmark.paths[row], benchmark.upright)
        except UserError as error:
            raise UserError(f"{benchmark.name}: {benchmark.row_name(row)} {error}; replace the file or take its row out") from error
        fault, is_outside = benchmark.box_fault(row, pixels.shape[1::-1])
        if is_outside:
            raise UserError(f"{benchmark.name}: row {row + 1}, {benchmark.row_name(row)}: {fault}")


def _loader(benchmark, views):
    """A function from a row and a list of V numbers of views to what the network sees of them, (V, H, W, 3) or features (V, K)."""
    if benchmark.features is not None:
        features = tf.constant(benchmark.features)
        return lambda row, numbers: tf.gather(features, [row] * len(numbers))
    load_image = row_images(benchmark)

    @tf.autograph.experimental.do_not_convert  # which takes longer than tracing it
    def load(row, numbers):
        image = load_image(row)
        return tf.stack([views(image, row, view) for view in numbers])

    return load


def _crop(image, box):
    """Cuts the box xmin, ymin, xmax, ymax, clipped to the image. Fails where it lies outside, see `find_unusable`."""
    size, low = tf.shape(image)[:2], tf.stack([box[1], box[0]])
    high = tf.clip_by_value(tf.stack([box[3], box[2]]), low + 1, size)
    with tf.control_dependencies([decoding.check(tf.reduce_all(low < size), "the box lies outside its image")]):
        return image[low[0] : high[0], low[1] : high[1]]


def _random_rectangle(shape, size, seed):
    """Where a random rectangle of an image of `shape` (2,) lies once it is `size` × `size`: (2,) of the whole image, (2,) of its corner.

    Its share of the image's area is uniform in `AREAS`, the logarithm of width : height in that of `ASPECTS`; what is longer than
    the image is cut to it.
    """
    area, aspect, *place = tf.unstack(tf.random.stateless_uniform([4], seed))
    image = tf.cast(shape, tf.float32)
    side = tf.sqrt((AREAS[0] + area * (AREAS[1] - AREAS[0])) * tf.reduce_prod(image))
    stretch = tf.exp(0.5 * (math.log(ASPECTS[0]) + aspect * math.log(ASPECTS[1] / ASPECTS[0])))
    rectangle = tf.minimum(tf.stack([side / stretch, side * stretch]), image)
    whole = tf.maximum(tf.cast(tf.round(image * size / rectangle), tf.int32), size)
    return whole, tf.cast(tf.stack(place) * tf.cast(whole - size + 1, tf.float32), tf.int32)


def _resized_crop(image, resized, corner, size):
    """(size, size, 3) float32: the crop at `corner` (2,) of an image (h, w, 3) that is resized to `resized` (2,) with antialiasing.

    Pixels are those of `tf.image.resize` and a slice, but for the rounding of float32 (0.002 of 255). It computes no
    others, and one axis at a time with the other one laid into the channels: TensorFlow's kernel is vectorised over
    channels alone, and three are too few.
    """
    shape, corner = tf.shape(image)[:2], tf.cast(corner, tf.float32)
    scale = tf.cast(resized, tf.float32) / tf.cast(shape, tf.float32)
    reach = tf.maximum(1 / scale, 1) + 1  # of the triangle filter, and a pixel for rounding
    low = tf.maximum(tf.cast(corner / scale - reach, tf.int32), 0)
    high = tf.minimum(tf.cast((corner + size) / scale + reach, tf.int32) + 1, shape)
    image = image[low[0] : high[0], low[1] : high[1]]
    offset = tf.cast(low, tf.float32) * scale - corner
    rows = _resize_rows(image, size, scale[0], offset[0])
    columns = _resize_rows(tf.transpose(rows, [1, 0, 2]), size, scale[1], offset[1])
    return tf.transpose(columns, [1, 0, 2])


def _resize_rows(image, count, scale, offset):
    """(count, w, 3) float32: the height of an image (h, w, 3) scaled, and moved down by `offset` pixels of the result."""
    height, width = tf.unstack(tf.shape(image)[:2])
    rows = tf.raw_ops.ScaleAndTranslate(
        images=tf.reshape(image, [1, height, 1, width * 3]),
        size=[count, 1],
        scale=tf.stack([scale, 1.0]),
        translation=tf.stack([offset, 0.0]),
        kernel_type="triangle",
        antialias=True,
    )
    return tf.reshape(rows, [count, width, 3])


def _symmetry(image, index):
    """One of the eight symmetries of a square image; 0 is the identity, 1 the mirror image."""
    image = tf.reverse(image, [1]) if index % 2 else image  # a slice of step -1 takes TensorFlow seven times as long
    image = tf.reverse(image, [0]) if index // 2 % 2 else image
    return tf.transpose(image, [1, 0, 2]) if index // 4 else image
