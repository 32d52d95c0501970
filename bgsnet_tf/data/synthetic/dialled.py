"""A rendered benchmark whose difficulty has dials: each makes one situation that a mechanism of the paper is meant for.

The validation classes get what the unseen ones get: independent attributes and the other light. So they are no classes to
train on: the final split has the seen and the unseen classes alone, the validation split the same seen ones and others.
Letters: R rows (images), C classes, G attribute groups.
"""

import functools

import numpy as np

from bgsnet_tf.config.dials import SEEN_CLASSES
from bgsnet_tf.data.benchmark import Benchmark
from bgsnet_tf.data.synthetic import drawing
from bgsnet_tf.data.synthetic.groups import GROUPS, attribute_names, class_name, distances, one_hot, sizes

OTHERS = 12  # unseen classes, and as many validation classes
ROWS_PER_CLASS = 40  # of the others, and of seen ones where they are as many as by default
TESTED = 4  # one of so many rows of a seen class is tested
RADII = (10.5, 15.0)
BADGES = ("no", "white", "black")
FAMILY_SIZE = len(BADGES)
MIN_DISTANCE = 3  # least number of groups, the badge apart, in which classes of two families differ


@functools.lru_cache(maxsize=1)  # an experiment's runs of one draw share a process; nobody writes into a benchmark
def render_benchmark(dials, split, rows_per_class=ROWS_PER_CLASS):
    """Draws a benchmark of C classes, `seen_classes` seen and 12 others, of images of 64x64 pixels.

    Args:
      dials: a `dials.Dials`. With `cues`, the attributes are those of the cues; else those of one kind of object.
      split: "final", where the others are the unseen classes, or "validation", where they are the validation classes.
      rows_per_class: images of each of the others; those of the seen classes are as many in all as 48 such classes have.

    Returns:
      A `Benchmark`. For "validation" the validation classes are among its seen ones, for its `validation()` to part.
    """
    rng = np.random.default_rng([dials.data_seed, 0])
    draw_classes = _draw_cue_classes if dials.cues else _draw_object_classes
    values, groups, names = draw_classes(dials, rng)
    validation, seen_count = split == "validation", dials.drawn_classes
    first = seen_count if validation else seen_count + OTHERS
    chosen = np.r_[:seen_count, first : first + OTHERS]
    rows = np.repeat([rows_per_class * SEEN_CLASSES // seen_count, rows_per_class], [seen_count, OTHERS])
    labels = np.repeat(np.arange(len(chosen), dtype=np.int32), rows)
    number_in_class = np.concatenate([np.arange(count) for count in rows])
    tested = number_in_class >= (rows - rows // TESTED)[labels]
    seen = labels < seen_count
    return Benchmark(
        name="demo_dials",
        class_names=tuple(names[c] for c in chosen),
        attribute_names=attribute_names(groups),
        attributes=one_hot(values[chosen], groups),
        labels=labels,
        train=np.flatnonzero(~tested & seen | validation & ~seen),
        test_seen=np.flatnonzero(tested & seen),
        test_unseen=np.flatnonzero(~seen & (not validation)),
        validation_classes=np.arange(seen_count, seen_count + OTHERS) if validation else np.array([], dtype=np.int32),
        pixels=_render(values[chosen][labels], groups, ~seen, dials, np.random.default_rng([dials.data_seed, 1 + validation])),
    )


def _draw_object_classes(dials, rng):
    """Values (C, G), groups and names of seen, validation and unseen classes.

    In each of the three, `fine_share` of the classes come in families that differ in the badge alone.
    """
    texture_of_shape = rng.permutation(len(GROUPS["texture"]))[np.arange(len(GROUPS["shape"])) % len(GROUPS["texture"])]
    classes, shape, texture = [], list(GROUPS).index("shape"), list(GROUPS).index("texture")
    for count, correlation in ((dials.drawn_classes, dials.correlation), (OTHERS, 0.0), (OTHERS, 0.0)):
        families = round(dials.fine_share * count / FAMILY_SIZE)
        for number in range(families + count - FAMILY_SIZE * families):
            base = _far_from(classes, rng, correlation, texture_of_shape, shape, texture)
            badges = np.arange(FAMILY_SIZE) if number < families else [rng.integers(FAMILY_SIZE)]
            classes += [np.append(base, badge) for badge in badges]
    values = np.stack(classes)
    if not dials.detail:
        return values[:, :-1], GROUPS, [class_name(of_class[:-1]) for of_class in values]
    names = [f"{class_name(of_class[:-1])}, {BADGES[of_class[-1]]} badge" for of_class in values]
    return values, {**GROUPS, "badge": BADGES}, names


def _far_from(classes, rng, correlation, texture_of_shape, shape, texture):
    """(G,) values of `GROUPS`, `MIN_DISTANCE` or more from all `classes`; texture follows shape with probability `correlation`."""
    while True:
        base = rng.integers(sizes(GROUPS))
        if rng.random() < correlation:
            base[texture] = texture_of_shape[base[shape]]
        if not classes or distances(base[None], np.stack(classes)[:, :-1]).min() >= MIN_DISTANCE:
            return base


def _draw_cue_classes(dials, rng):
    """Values (C, G), groups and names of classes whose attributes are those of `cues` objects, each of another shape."""
    shapes = GROUPS["shape"][: dials.cues]
    groups = {f"{shape} {group}": GROUPS[group] for shape in shapes for group in drawing.CUE_GROUPS}
    apart = min(MIN_DISTANCE, dials.cues)  # one cue has no more than 72 kinds: all of them are needed
    classes = np.empty((0, len(groups)), int)
    while len(classes) < dials.drawn_classes + 2 * OTHERS:
        one = rng.integers(sizes(groups))[None]
        if len(classes) == 0 or distances(one, classes).min() >= apart:
            classes = np.concatenate([classes, one])
    return classes, groups, [_cue_name(of_class, groups) for of_class in classes]


def _cue_name(values, groups):
    words = [names[value] for value, names in zip(values, groups.values())]
    shapes = [group.split()[0] for group in groups][:: len(drawing.CUE_GROUPS)]
    cues = zip(shapes, words[::3], words[1::3], words[2::3])
    return "; ".join(f"{fill} {texture} {shape}, {outline} outline" for shape, fill, texture, outline in cues)


def _render(values, groups, others, dials, rng):
    """(R, H, W, 3) uint8 images of (R, G) values; those of the rows `others` in the other light."""
    value = dict(zip(groups, values.T))
    if dials.cues:
        for group in ("background", "backdrop"):
            value[group] = rng.integers(len(GROUPS[group]), size=len(values))
        draw = drawing.in_cells(GROUPS["shape"][: dials.cues])
    else:
        draw = drawing.scattered(RADII, dials.detail)
    pixels = drawing.render(value, draw, rng)
    pixels[others] = drawing.relight(pixels[others], dials.light_shift, rng)
    return pixels
