import numpy as np
import pytest

from bgsnet_tf.data.synthetic import demo, drawing
from bgsnet_tf.data.synthetic.groups import GROUPS

IMAGES = 60
PLAIN = {"shape": "circle", "fill": "red", "texture": "solid", "outline": "no"}
PLAIN.update({"background": "slate", "backdrop": "plain", "size": "large", "count": "1"})


@pytest.fixture
def draw(monkeypatch):
    """Draws (IMAGES, H, W, 3) float images of one kind, without noise, marks and bars."""
    monkeypatch.setattr(drawing, "NOISE", 0)
    monkeypatch.setattr(drawing, "MARKS", 0)
    monkeypatch.setattr(drawing, "BAR_SHARE", 0)

    def images(**changes):
        kind = {**PLAIN, **changes}
        value = {group: np.full(IMAGES, names.index(kind[group])) for group, names in GROUPS.items()}
        return drawing.render(value, drawing.scattered(demo.RADII["many"]), np.random.default_rng(0)).astype(float)

    return images


def vivid(images):
    """(n, H, W): pixels of saturated colour, which no background has."""
    return np.ptp(images, axis=-1) > 85


def roughness(images):
    """Mean difference between neighbouring pixels."""
    return np.abs(np.diff(images, axis=1)).mean()


def block_variation(images):
    """Mean difference between neighbouring blocks of 8x8 pixels, where at most a lone object disturbs."""
    blocks = images.mean(axis=-1).reshape(-1, 8, 8, 8, 8).mean(axis=(2, 4))
    return np.median(np.abs(np.diff(blocks, axis=1)))


def is_black(images):
    return images.max(axis=-1) < 40


def is_white(images):
    return images.min(axis=-1) > 200


@pytest.mark.parametrize("fill, bright", [("red", "r"), ("green", "g"), ("blue", "b"), ("yellow", "rg"), ("magenta", "rb"), ("cyan", "gb")])
def test_fill_is_the_brightest_channels(fill, bright, draw):
    images = draw(fill=fill)
    colour = images[vivid(images)].mean(axis=0)
    order = sorted("rgb", key=lambda channel: -colour["rgb".index(channel)])
    assert set(order[: len(bright)]) == set(bright)


def test_circle_and_ring_differ_in_the_middle(draw):
    for shape, filled in (("circle", True), ("ring", False)):
        mask = vivid(draw(shape=shape))
        y, x = np.indices(mask.shape[1:])
        centres = [(round(y[m].mean()), round(x[m].mean())) for m in mask]
        share_filled = np.mean([m[centre] for m, centre in zip(mask, centres)])
        assert (share_filled > 0.8) == filled and (share_filled < 0.2) != filled


def test_reach_of_shapes_with_corners_exceeds_the_circles(draw):
    reach = {}
    for shape in ("circle", "square", "triangle", "star", "plus"):
        mask = vivid(draw(shape=shape))
        y, x = np.indices(mask.shape[1:])
        spread = np.array([y[m].var() + x[m].var() for m in mask])
        reach[shape] = np.median(spread / mask.sum(axis=(1, 2)))
    assert reach["circle"] < reach["square"] < reach["triangle"] < reach["plus"]
    assert reach["square"] < reach["star"]


def test_size_and_count_show_in_the_coloured_area(draw):
    area = {count: np.median(vivid(draw(count=count)).sum(axis=(1, 2))) for count in "123"}
    assert area["2"] > 1.7 * area["1"] and area["3"] > 2.4 * area["1"]
    assert vivid(draw(size="small")).mean() < 0.6 * vivid(draw()).mean()


def test_textures_are_rougher_than_solid(draw):
    rough = {texture: roughness(draw(texture=texture)) for texture in GROUPS["texture"]}
    assert all(rough[texture] > 1.4 * rough["solid"] for texture in ("striped", "checkered", "dotted"))


def test_outline_adds_its_colour(draw):
    black, white = ({o: np.mean(test(draw(outline=o))) for o in ("no", "white", "black")} for test in (is_black, is_white))
    assert black["black"] > 3 * max(black["no"], black["white"])
    assert white["white"] > 3 * max(white["no"], white["black"])


def test_background_sets_the_typical_colour(draw):
    typical = {b: np.median(draw(background=b).reshape(-1, 3), axis=0) for b in GROUPS["background"]}
    assert typical["light"].min() > max(typical[b].max() for b in ("dark", "slate"))
    assert typical["dark"].max() < min(typical[b].max() for b in ("light", "tan", "slate")) / 1.5
    assert typical["tan"][0] - typical["tan"][2] > 40 and typical["slate"][2] - typical["slate"][0] > 20


def test_backdrops_differ_in_fine_and_coarse_variation(draw):
    fine = {b: roughness(draw(backdrop=b)) for b in GROUPS["backdrop"]}
    assert fine["lined"] > 1.2 * fine["blotchy"] > 1.2 * fine["plain"]
    coarse = {b: block_variation(draw(backdrop=b)) for b in GROUPS["backdrop"]}
    assert coarse["blotchy"] > 3 * max(coarse["plain"], coarse["lined"])
