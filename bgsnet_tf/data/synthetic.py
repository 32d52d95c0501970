"""A rendered benchmark: small images of textured shapes, drawn by NumPy alone. It needs no download and reads no file.

Letters: R rows (images), C classes, A attributes, G attribute groups, H and W the image's height and width,
n images or objects of one chunk, P the side of the patch that an object is drawn in. Lengths are in pixels.
"""

import numpy as np

from bgsnet_tf.data.benchmark import Benchmark
from bgsnet_tf.errors import UserError

DATA_SEED = 20  # Pinned: the choice of classes alone moves accuracy more than any method does.
GROUPS = {
    "shape": ("circle", "square", "triangle", "star", "plus", "ring"),
    "fill": ("red", "green", "blue", "yellow", "magenta", "cyan"),
    "texture": ("solid", "striped", "checkered", "dotted"),
    "outline": ("no", "white", "black"),
    "background": ("light", "dark", "tan", "slate"),
    "backdrop": ("plain", "lined", "blotchy"),
    "size": ("small", "large"),
    "count": ("1", "2", "3"),
}
GROUP_SIZES = tuple(len(values) for values in GROUPS.values())
NEVER_FLIPPED = ("shape", "fill")
FLIPPED_SHARE = 0.06
MIN_DISTANCE = 3  # Least number of groups in which classes of two families differ.

CLASSES, UNSEEN, VALIDATION = 120, 30, 22
ROWS_PER_CLASS, TEST_ROWS_PER_SEEN_CLASS = 40, 10
FAMILY_SIZES = {"many": 1, "fine": 4}
NAMES = {"many": "demo", "fine": "demo_fine"}
RADII = {"many": (8.5, 13.0), "fine": (10.5, 15.0)}  # Of small and large; differences within a family have to be decidable.

SIDE = 64
PATCH_SIDE = 40  # Holds the largest object with its outline, stretched and rotated.
CHUNK = 80  # Images drawn at once; small enough for the processor's cache.

FILL_COLOURS = np.float32([(225, 40, 40), (40, 180, 50), (50, 80, 235), (240, 220, 40), (215, 50, 205), (40, 205, 220)]) / 255
OUTLINE_COLOURS = np.float32([(0, 0, 0), (255, 255, 255), (5, 5, 5)]) / 255  # The first is never seen.
BACKGROUND_COLOURS = np.float32([(205, 205, 200), (48, 47, 54), (178, 138, 92), (98, 116, 140)]) / 255
DARK_TONE = 0.4  # A texture's second colour, as a share of the first.
OUTLINE_WIDTH = 2.0
LINED_DEPTH, BLOTCHY_DEPTH = 0.22, 0.4  # Shares of the background's brightness.

MAX_ASPECT = 1.15
RADIUS_JITTER = 0.07
LAYOUTS_TRIED = 100
MARKS, MARK_PATCH_SIDE = 4, 8
BAR_SHARE = 0.15
GAIN = (0.85, 1.1)
MAX_LIGHT_SLOPE = 0.22  # Change of brightness from the centre to an edge.
NOISE = 0.035


def render_benchmark(variant="many"):
    """Draws a benchmark of 4800 images of 64x64 pixels; equal calls give equal benchmarks.

    Args:
      variant: "many", classes that differ in at least three attribute groups, or "fine", families of four
        classes that differ in one or two, of which one is unseen.

    Returns:
      A `Benchmark` with C = 120 (90 seen, 30 unseen), A = 31 and `pixels` (R, H, W, 3) uint8.

    Raises:
      UserError: for an unknown variant.
    """
    if variant not in FAMILY_SIZES:
        raise UserError(f"unknown rendered benchmark '{variant}'; choose one of {', '.join(FAMILY_SIZES)}")
    rng = np.random.default_rng(DATA_SEED)
    classes = _draw_classes(FAMILY_SIZES[variant], rng)
    labels = np.repeat(np.arange(CLASSES, dtype=np.int32), ROWS_PER_CLASS)
    number_in_class = np.arange(len(labels)) % ROWS_PER_CLASS
    seen = labels < CLASSES - UNSEEN
    tested = number_in_class >= ROWS_PER_CLASS - TEST_ROWS_PER_SEEN_CLASS
    return Benchmark(
        name=NAMES[variant],
        class_names=tuple(_class_name(values) for values in classes),
        attribute_names=tuple(f"{group}={value}" for group, values in GROUPS.items() for value in values),
        attributes=_one_hot(classes),
        labels=labels,
        train=np.flatnonzero(seen & ~tested),
        test_seen=np.flatnonzero(seen & tested),
        test_unseen=np.flatnonzero(~seen),
        validation_classes=np.arange(CLASSES - UNSEEN - VALIDATION, CLASSES - UNSEEN),
        pixels=_render(_flip_some(classes[labels], rng), RADII[variant], rng),
    )


def _draw_classes(family_size, rng):
    """(C, G) values, families accepted one by one; first members first, so that the last 30 classes are of 30 families."""
    families = []
    while len(families) * family_size < CLASSES:
        family = _draw_family(family_size, rng)
        if all(_distances(family, other).min() >= MIN_DISTANCE for other in families):
            families.append(family)
    return np.stack(families, axis=1).reshape(CLASSES, len(GROUPS))


def _draw_family(size, rng):
    """(size, G) values: a class, and the same with another value in the first, the second or both of two groups."""
    base = rng.integers(GROUP_SIZES)
    family = np.tile(base, (size, 1))
    for bit, group in enumerate(rng.choice(len(GROUPS), size=2, replace=False)):
        changed = np.arange(size) >> bit & 1 == 1
        family[changed, group] = _other_value(base[group], group, rng)
    return family


def _distances(a, b):
    """(len(a), len(b)) numbers of groups in which the classes of `a` and `b`, both (., G), differ."""
    return np.sum(a[:, None] != b[None], axis=-1)


def _other_value(value, group, rng):
    size = GROUP_SIZES[group]
    return (value + rng.integers(1, size)) % size


def _flip_some(values, rng):
    """(R, G) values as drawn: in a few rows one value is not the class's, as in hand-made annotations."""
    groups = [g for g, name in enumerate(GROUPS) if name not in NEVER_FLIPPED]
    flipped = values.copy()
    for row in np.flatnonzero(rng.random(len(values)) < FLIPPED_SHARE):
        group = rng.choice(groups)
        flipped[row, group] = _other_value(values[row, group], group, rng)
    return flipped


def _one_hot(values):
    """(C, A) float32 from (C, G)."""
    return np.concatenate([np.eye(size, dtype=np.float32)[column] for size, column in zip(GROUP_SIZES, values.T)], axis=1)


def _class_name(values):
    word = {group: GROUPS[group][value] for group, value in zip(GROUPS, values)}
    return "{size} {fill} {texture} {shape} x{count}, {outline} outline, {background} {backdrop} background".format(**word)


def _render(values, radii, rng):
    """(R, H, W, 3) uint8 images of (R, G) values."""
    pixels = np.empty((len(values), SIDE, SIDE, 3), dtype=np.uint8)
    for start in range(0, len(values), CHUNK):
        chunk = slice(start, start + CHUNK)
        pixels[chunk] = _render_chunk(dict(zip(GROUPS, values[chunk].T)), np.float32(radii), rng)
    return pixels


def _render_chunk(value, radii, rng):
    """(n, H, W, 3) uint8; `value` maps a group to (n,) values, `radii` is (2,)."""
    canvas = _background(value, rng)
    for _ in range(MARKS):
        _draw_marks(canvas, rng)
    radius = radii[value["size"]]
    centres = _layout(value["count"] + 1, radius, rng)
    for slot in range(centres.shape[1]):
        rows = np.flatnonzero(value["count"] >= slot)
        _draw_objects(canvas, rows, centres[rows, slot], radius[rows], {group: v[rows] for group, v in value.items()}, rng)
    _draw_bars(canvas, rng)
    canvas *= _light(len(canvas), rng)
    noise = rng.standard_normal(canvas.shape, dtype=np.float32)
    noise *= NOISE
    canvas += noise
    return (255 * np.clip(canvas, 0, 1, out=canvas) + 0.5).astype(np.uint8)


def _background(value, rng):
    """(n, H, W, 3) float32 in [0, 1]."""
    n = len(value["background"])
    lines = _ramp(n, rng) * (2 * np.pi / _uniform(rng, 6, 8, (n, 1, 1)))
    waves = [_ramp(n, rng) * (2 * np.pi / _uniform(rng, 18, 28, (n, 1, 1))) for _ in range(3)]
    tone = np.ones_like(lines)
    lined, blotchy = (value["backdrop"] == GROUPS["backdrop"].index(name) for name in ("lined", "blotchy"))
    tone[lined] = 1 - LINED_DEPTH * (np.sin(lines[lined]) > 0)
    tone[blotchy] = 1 + BLOTCHY_DEPTH * (sum(np.sin(wave[blotchy]) for wave in waves) / 3)
    return tone[..., None] * BACKGROUND_COLOURS[value["background"]][:, None, None]


def _draw_marks(canvas, rng):
    """Adds one small distractor, a spot or a stroke, to each image."""
    n = len(canvas)
    index, u, v = _patch(np.arange(n), _uniform(rng, 0, SIDE, (n, 2)), MARK_PATCH_SIDE, _uniform(rng, 1, 3, n), rng)
    radius = _uniform(rng, 0.8, 1.6, (n, 1, 1))
    _blend(canvas, index, rng.random((n, 1, 1, 3), dtype=np.float32), _coverage(np.hypot(u, v) - radius))


def _layout(count, radius, rng):
    """(n, 3, 2) centres x, y: of random layouts the first without overlap, or else the one with the least."""
    n = len(count)
    room = SIDE - 2 * radius[:, None, None, None]
    tried = radius[:, None, None, None] + room * rng.random((n, LAYOUTS_TRIED, 3, 2), dtype=np.float32)
    nearest = np.full((n, LAYOUTS_TRIED), np.inf, dtype=np.float32)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        distance = np.linalg.norm(tried[:, :, first] - tried[:, :, second], axis=-1)
        nearest = np.where((count > second)[:, None], np.minimum(nearest, distance), nearest)
    wanted = 2 * (radius + OUTLINE_WIDTH)[:, None]
    return tried[np.arange(n), np.argmax(np.minimum(nearest, wanted), axis=1)]


def _draw_objects(canvas, rows, centres, radius, value, rng):
    """Draws one object in each image of `rows`; centres (n, 2), radius (n,)."""
    n = len(rows)
    index, u, v = _patch(rows, centres, PATCH_SIDE, _uniform(rng, 1 / MAX_ASPECT, MAX_ASPECT, n), rng)
    r = (radius * _uniform(rng, 1 - RADIUS_JITTER, 1 + RADIUS_JITTER, n))[:, None, None]
    distance = _per_value(SHAPES, value["shape"], u, v, r)
    share = _per_value(TEXTURES, value["texture"], u, v, r)
    fill = FILL_COLOURS[value["fill"]][:, None, None]
    outlined = (value["outline"] > 0)[:, None, None]
    edge = np.where(outlined[..., None], OUTLINE_COLOURS[value["outline"]][:, None, None], fill)
    inside = fill * (DARK_TONE + (1 - DARK_TONE) * share)[..., None]
    colour = edge + _coverage(distance)[..., None] * (inside - edge)
    _blend(canvas, index, colour, _coverage(distance - np.float32(OUTLINE_WIDTH) * outlined))


def _draw_bars(canvas, rng):
    """Lays a bar over some of the images, anywhere from edge to edge."""
    rows = np.flatnonzero(rng.random(len(canvas)) < BAR_SHARE)
    half_width = _uniform(rng, 1.5, 3, (len(rows), 1, 1))
    grey = _uniform(rng, 0.2, 0.8, (len(rows), 1, 1, 1))
    _blend(canvas, rows, grey, _coverage(np.abs(_ramp(len(rows), rng)) - half_width))


def _light(n, rng):
    """(n, H, W, 1) float32 factors: a brightness that rises evenly in one direction."""
    slope = _uniform(rng, 0, MAX_LIGHT_SLOPE, (n, 1, 1)) / (SIDE / 2)
    return (_uniform(rng, *GAIN, (n, 1, 1)) + slope * _ramp(n, rng, max_shift=0))[..., None]


def _uniform(rng, low, high, shape):
    return np.float32(low) + np.float32(high - low) * rng.random(shape, dtype=np.float32)


def _ramp(n, rng, max_shift=SIDE / 3):
    """(n, H, W) distances from a line of random direction that passes the centre at no more than `max_shift`."""
    angle = _uniform(rng, 0, 2 * np.pi, (n, 1, 1))
    axis = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    return np.cos(angle) * axis + np.sin(angle) * axis[:, None] + _uniform(rng, -max_shift, max_shift, (n, 1, 1))


def _patch(rows, centres, side, aspect, rng):
    """The square of pixels around each centre: its index into (n, H, W), and coordinates u, v (n, P, P), turned and stretched."""
    corner = np.clip(np.rint(centres).astype(int) - side // 2, 0, SIDE - side)
    x, y = (corner[:, axis, None] + np.arange(side) for axis in (0, 1))
    dx = (x - centres[:, :1]).astype(np.float32)[:, None, :]
    dy = (y - centres[:, 1:]).astype(np.float32)[:, :, None]
    angle = _uniform(rng, 0, 2 * np.pi, (len(rows), 1, 1))
    cos, sin = np.cos(angle), np.sin(angle)
    stretch = np.sqrt(aspect)[:, None, None]
    index = (rows[:, None, None], y[:, :, None], x[:, None, :])
    return index, (cos * dx + sin * dy) * stretch, (cos * dy - sin * dx) / stretch


def _coverage(distance):
    """Share of a pixel inside a shape, from the signed distance of the pixel's centre to its edge (negative inside)."""
    return np.clip(0.5 - distance, 0, 1)


def _blend(canvas, index, colour, cover):
    under = canvas[index]
    canvas[index] = under + cover[..., None] * (colour - under)


def _per_value(functions, which, u, v, r):
    """(n, P, P): object i by functions[which[i]] of its coordinates u, v (n, P, P) and radius r (n, 1, 1)."""
    result = np.empty_like(u)
    for value, function in enumerate(functions):
        chosen = which == value
        result[chosen] = function(u[chosen], v[chosen], r[chosen])
    return result


def _star(points, tip, notch):
    """Signed distance to a star; a regular polygon is one whose notches lie on the lines between its tips.

    `tip` and `notch` are distances from the centre as shares of the radius.
    """
    half = np.pi / points
    edge = np.array([notch * np.cos(half) - tip, notch * np.sin(half)])  # From a tip on the axis to the next notch.
    normal_x, normal_y = (float(c) for c in np.array([edge[1], -edge[0]]) / np.linalg.norm(edge))

    def distance(u, v, r):
        angle = np.abs(np.mod(np.arctan2(v, u), 2 * half) - half)  # Folds all edges onto one; tips lie at `half`.
        length = np.hypot(u, v)
        return (length * np.cos(half - angle) - tip * r) * normal_x + length * np.sin(half - angle) * normal_y

    return distance


def _plus(u, v, r):
    along, across = np.maximum(np.abs(u), np.abs(v)), np.minimum(np.abs(u), np.abs(v))
    return np.maximum(along - r, across - 0.33 * r)


def _wave(x, period):
    """1 and 0 in turn with soft edges, half a period each."""
    return np.clip(0.5 + 2 * np.sin(2 * np.pi / period * x), 0, 1)


SHAPES = (
    lambda u, v, r: np.hypot(u, v) - 0.9 * r,
    _star(4, 1.15, 1.15 * np.cos(np.pi / 4)),
    _star(3, 1.2, 0.6),
    _star(5, 1.2, 0.5),
    _plus,
    lambda u, v, r: np.abs(np.hypot(u, v) - 0.75 * r) - 0.22 * r,
)
TEXTURES = (
    lambda u, v, r: np.ones_like(u),
    lambda u, v, r: _wave(u, 0.65 * r),
    lambda u, v, r: np.abs(_wave(u, 0.9 * r) - _wave(v, 0.9 * r)),
    lambda u, v, r: np.clip(1.3 - 2 * (np.cos(2 * np.pi / 0.62 / r * u) + np.cos(2 * np.pi / 0.62 / r * v)), 0, 1),
)
