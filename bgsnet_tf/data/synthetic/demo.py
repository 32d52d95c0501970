"""The demo: a rendered benchmark of classes far apart, and one of families of classes close to each other.

Letters: R rows (images), C classes, A attributes, G attribute groups, H and W the image's height and width.
"""

import numpy as np

from bgsnet_tf.config.dials import DATA_SEED
from bgsnet_tf.data.benchmark import Benchmark
from bgsnet_tf.data.synthetic import drawing
from bgsnet_tf.data.synthetic.groups import GROUPS, attribute_names, class_name, distances, one_hot, other_value, sizes
from bgsnet_tf.errors import UserError

NEVER_FLIPPED = ("shape", "fill")
FLIPPED_SHARE = 0.06
MIN_DISTANCE = 3  # Least number of groups in which classes of two families differ.

CLASSES, UNSEEN, VALIDATION = 120, 30, 22
ROWS_PER_CLASS, TEST_ROWS_PER_SEEN_CLASS = 40, 10
FAMILY_SIZES = {"many": 1, "fine": 4}
NAMES = {"many": "demo", "fine": "demo_fine"}
RADII = {"many": (8.5, 13.0), "fine": (10.5, 15.0)}  # Of small and large; differences within a family have to be decidable.


def render_benchmark(variant="many", data_seed=DATA_SEED):
    """Draws a benchmark of 4800 images of 64x64 pixels; equal calls give equal benchmarks.

    Args:
      variant: "many", classes that differ in at least three attribute groups, or "fine", families of four
        classes that differ in one or two, of which one is unseen.
      data_seed: of the choice of classes and of all images.

    Returns:
      A `Benchmark` with C = 120 (90 seen, 30 unseen), A = 31 and `pixels` (R, H, W, 3) uint8.

    Raises:
      UserError: for an unknown variant.
    """
    if variant not in FAMILY_SIZES:
        raise UserError(f"unknown rendered benchmark '{variant}'; choose one of {', '.join(FAMILY_SIZES)}")
    rng = np.random.default_rng(data_seed)
    classes = _draw_classes(FAMILY_SIZES[variant], rng)
    labels = np.repeat(np.arange(CLASSES, dtype=np.int32), ROWS_PER_CLASS)
    number_in_class = np.arange(len(labels)) % ROWS_PER_CLASS
    seen = labels < CLASSES - UNSEEN
    tested = number_in_class >= ROWS_PER_CLASS - TEST_ROWS_PER_SEEN_CLASS
    return Benchmark(
        name=NAMES[variant],
        class_names=tuple(class_name(values) for values in classes),
        attribute_names=attribute_names(GROUPS),
        attributes=one_hot(classes, GROUPS),
        labels=labels,
        train=np.flatnonzero(seen & ~tested),
        test_seen=np.flatnonzero(seen & tested),
        test_unseen=np.flatnonzero(~seen),
        validation_classes=np.arange(CLASSES - UNSEEN - VALIDATION, CLASSES - UNSEEN),
        pixels=drawing.render(dict(zip(GROUPS, flip_some(classes[labels], rng).T)), drawing.scattered(RADII[variant]), rng),
    )


def _draw_classes(family_size, rng):
    """(C, G) values, families accepted one by one; first members first, so that the last 30 classes are of 30 families."""
    families = []
    while len(families) * family_size < CLASSES:
        family = _draw_family(family_size, rng)
        if all(distances(family, other).min() >= MIN_DISTANCE for other in families):
            families.append(family)
    return np.stack(families, axis=1).reshape(CLASSES, len(GROUPS))


def _draw_family(size, rng):
    """(size, G) values: a class, and the same with another value in the first, the second or both of two groups."""
    base = rng.integers(sizes(GROUPS))
    family = np.tile(base, (size, 1))
    for bit, group in enumerate(rng.choice(len(GROUPS), size=2, replace=False)):
        changed = np.arange(size) >> bit & 1 == 1
        family[changed, group] = other_value(base[group], sizes(GROUPS)[group], rng)
    return family


def flip_some(values, rng):
    """(R, G) values as drawn: in a few rows one value is not the class's, as in hand-made annotations."""
    groups = [g for g, name in enumerate(GROUPS) if name not in NEVER_FLIPPED]
    flipped = values.copy()
    for row in np.flatnonzero(rng.random(len(values)) < FLIPPED_SHARE):
        group = rng.choice(groups)
        flipped[row, group] = other_value(values[row, group], sizes(GROUPS)[group], rng)
    return flipped
