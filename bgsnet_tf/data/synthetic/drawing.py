"""The renderer: small images of textured shapes, drawn by NumPy alone. It knows no classes and reads no file.

Letters: R rows (images), H and W the image's height and width, n images or objects of one chunk, P the side of the
patch that an object is drawn in. Lengths are in pixels. "Values" is a dict from a group of `groups.GROUPS` to the
number of its value, an array with one entry an image.
"""

import numpy as np

from bgsnet_tf.data.synthetic.groups import GROUPS

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

MAX_BADGE, BADGE_PATCH_SIDE = 12, 16
CUE_GROUPS = ("fill", "texture", "outline")
CUE_RADIUS = 8.0
CELL_JITTER = np.float32([1.0, 5.0])  # Along the short and the long side of a cell of 21 by 32 pixels.
OTHER_LIGHT_LOSS = np.float32([0.35, 0.5, 0.65])  # Of red, green and blue.
OTHER_LIGHT_NOISE = 0.06


def render(value, draw, rng):
    """(R, H, W, 3) uint8 images.

    Args:
      value: values; those of background and backdrop are drawn here.
      draw: what draws the objects, `scattered` or `in_cells`, of the rest.
      rng: NumPy's generator.
    """
    rows = len(value["background"])
    pixels = np.empty((rows, SIDE, SIDE, 3), dtype=np.uint8)
    for start in range(0, rows, CHUNK):
        chunk = slice(start, start + CHUNK)
        pixels[chunk] = _render_chunk({group: of_group[chunk] for group, of_group in value.items()}, draw, rng)
    return pixels


def scattered(radii, badge=0.0):
    """A function that draws an image's one to three equal objects anywhere, of radius `radii[size]`.

    Where `badge` is not 0, each bears a round badge of that diameter in its centre, if the value of "badge" is not "no".
    """
    radii = np.float32(radii)

    def draw(canvas, value, rng):
        radius = radii[value["size"]]
        centres = _layout(value["count"] + 1, radius, rng)
        for slot in range(centres.shape[1]):
            rows = np.flatnonzero(value["count"] >= slot)
            _draw_objects(canvas, rows, centres[rows, slot], radius[rows], {group: v[rows] for group, v in value.items()}, rng)
            if badge:
                _draw_badges(canvas, rows, centres[rows, slot], value["badge"][rows], badge, rng)

    return draw


def in_cells(shapes):
    """A function that draws one object of every shape named, at most six, each in a cell of its own; cells are dealt for every image.

    The values of an object's fill, texture and outline have the shape before their name: "circle fill".
    """

    def draw(canvas, value, rng):
        rows = np.arange(len(canvas))
        centres = _cells(len(canvas), rng)
        for cue, shape in enumerate(shapes):
            of_cue = {group: value[f"{shape} {group}"] for group in CUE_GROUPS}
            of_cue["shape"] = np.full(len(rows), GROUPS["shape"].index(shape))
            _draw_objects(canvas, rows, centres[:, cue], np.full(len(rows), CUE_RADIUS, np.float32), of_cue, rng)

    return draw


def relight(pixels, share, rng):
    """(R, H, W, 3) uint8 images in another light: darker, warmer and noisier, fully so for `share` = 1 and not at all for 0."""
    light = 1 - share * OTHER_LIGHT_LOSS
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(share * OTHER_LIGHT_NOISE)
    return (255 * np.clip(pixels / np.float32(255) * light + noise, 0, 1) + 0.5).astype(np.uint8)


def _render_chunk(value, draw, rng):
    """(n, H, W, 3) uint8."""
    canvas = _background(value, rng)
    for _ in range(MARKS):
        _draw_marks(canvas, rng)
    draw(canvas, value, rng)
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


def _cells(n, rng):
    """(n, 6, 2) centres x, y of the cells of a grid, 3 by 2 or 2 by 3, in random order and a little off."""
    order = rng.permuted(np.tile(np.arange(6), (n, 1)), axis=1)
    centres = (np.stack([order % 3, order // 3], axis=-1) + 0.5) * np.float32([SIDE / 3, SIDE / 2])
    centres += CELL_JITTER * _uniform(rng, -1, 1, centres.shape)
    turned = rng.random(n) < 0.5
    centres[turned] = centres[turned, :, ::-1]
    return centres.astype(np.float32)


def _draw_badges(canvas, rows, centres, badge, diameter, rng):
    """Draws a round badge on each object; badge (n,) values, centres (n, 2)."""
    index, u, v = _patch(rows, centres, BADGE_PATCH_SIDE, np.ones(len(rows), np.float32), rng)
    cover = _coverage(np.hypot(u, v) - np.float32(diameter / 2)) * (badge > 0)[:, None, None]
    _blend(canvas, index, OUTLINE_COLOURS[badge][:, None, None], cover)


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
