import numpy as np
import pytest

from bgsnet_tf.data import synthetic
from bgsnet_tf.errors import UserError

IMAGES = 60
PLAIN = {"shape": "circle", "fill": "red", "texture": "solid", "outline": "no"}
PLAIN.update({"background": "slate", "backdrop": "plain", "size": "large", "count": "1"})


@pytest.fixture(scope="module", params=["many", "fine"])
def benchmark(request):
    return synthetic.render_benchmark(request.param)


@pytest.fixture(scope="module")
def many():
    return synthetic.render_benchmark("many")


def distances(attributes):
    """(C, C) numbers of groups in which one-hot classes differ."""
    return len(synthetic.GROUPS) - attributes @ attributes.T


@pytest.fixture
def draw(monkeypatch):
    """Draws (IMAGES, H, W, 3) float images of one kind, without noise, marks and bars."""
    monkeypatch.setattr(synthetic, "NOISE", 0)
    monkeypatch.setattr(synthetic, "MARKS", 0)
    monkeypatch.setattr(synthetic, "BAR_SHARE", 0)

    def images(**changes):
        kind = {**PLAIN, **changes}
        values = np.array([names.index(kind[group]) for group, names in synthetic.GROUPS.items()])
        return synthetic._render(np.tile(values, (IMAGES, 1)), synthetic.RADII["many"], np.random.default_rng(0)).astype(float)

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


def test_sizes_of_splits(benchmark):
    assert benchmark.pixels.shape == (4800, 64, 64, 3) and benchmark.pixels.dtype == np.uint8
    assert [len(rows) for rows in (benchmark.train, benchmark.test_seen, benchmark.test_unseen)] == [2700, 900, 1200]
    assert len(np.unique(np.concatenate([benchmark.train, benchmark.test_seen, benchmark.test_unseen]))) == 4800
    assert len(benchmark.seen_classes) == 90 and len(benchmark.unseen_classes) == 30
    assert set(np.bincount(benchmark.labels[benchmark.test_seen], minlength=120)[benchmark.seen_classes]) == {10}
    assert set(np.bincount(benchmark.labels[benchmark.test_unseen], minlength=120)[benchmark.unseen_classes]) == {40}


def test_validation_classes_are_seen_and_validation_works(benchmark):
    assert len(np.unique(benchmark.validation_classes)) == 22
    assert np.isin(benchmark.validation_classes, benchmark.seen_classes).all()
    assert len(benchmark.validation().unseen_classes) == 22


def test_names(benchmark, many):
    assert len(set(benchmark.class_names)) == 120 and len(set(benchmark.attribute_names)) == 31
    assert benchmark.attribute_names[0] == "shape=circle"
    assert many.name == "demo"
    for name, attributes in zip(benchmark.class_names, benchmark.attributes):
        for attribute in np.array(benchmark.attribute_names)[attributes > 0]:
            assert attribute.split("=")[1] in name


def test_one_hot_in_every_group(benchmark):
    group_of = np.array([name.split("=")[0] for name in benchmark.attribute_names])
    for group, names in synthetic.GROUPS.items():
        columns = benchmark.attributes[:, group_of == group]
        assert columns.shape == (120, len(names))
        assert set(columns.ravel()) == {0, 1} and (columns.sum(axis=1) == 1).all()


def test_every_value_is_trained_on_even_without_validation_classes(benchmark):
    classes = np.setdiff1d(benchmark.seen_classes, benchmark.validation_classes)
    assert benchmark.attributes[classes].any(axis=0).all()


def test_classes_of_many_differ_in_three_groups(many):
    assert distances(many.attributes)[~np.eye(120, dtype=bool)].min() >= 3


def test_families_of_fine():
    benchmark = synthetic.render_benchmark("fine")
    family = np.arange(120) % 30
    same = family[:, None] == family
    between = distances(benchmark.attributes)
    assert set(between[same & ~np.eye(120, dtype=bool)]) == {1, 2}
    assert between[~same].min() >= 3
    assert sorted(family[benchmark.unseen_classes]) == list(range(30))
    assert len(set(family[benchmark.validation_classes])) == 22


def test_is_deterministic(many):
    again = synthetic.render_benchmark("many")
    assert again.fingerprint() == many.fingerprint()
    np.testing.assert_array_equal(again.attributes, many.attributes)


def test_images_of_a_class_differ(many):
    assert len(np.unique(many.pixels[many.labels == 5].reshape(40, -1), axis=0)) == 40


def test_unknown_variant():
    with pytest.raises(UserError, match="many, fine"):
        synthetic.render_benchmark("coarse")


def test_flips_change_one_value_of_few_rows_and_never_shape_or_fill():
    values = np.tile([1, 2, 3, 2, 1, 0, 1, 2], (5000, 1))
    flipped = synthetic._flip_some(values, np.random.default_rng(0))
    changes = np.sum(flipped != values, axis=1)
    assert set(changes) == {0, 1}
    assert 0.05 < changes.mean() < 0.07
    assert (flipped[:, :2] == values[:, :2]).all() and (flipped[:, 2:] != values[:, 2:]).any(axis=0).all()
    assert (flipped >= 0).all() and (flipped.max(axis=0) < synthetic.GROUP_SIZES).all()


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
    rough = {texture: roughness(draw(texture=texture)) for texture in synthetic.GROUPS["texture"]}
    assert all(rough[texture] > 1.4 * rough["solid"] for texture in ("striped", "checkered", "dotted"))


def test_outline_adds_its_colour(draw):
    black, white = ({o: np.mean(test(draw(outline=o))) for o in ("no", "white", "black")} for test in (is_black, is_white))
    assert black["black"] > 3 * max(black["no"], black["white"])
    assert white["white"] > 3 * max(white["no"], white["black"])


def test_background_sets_the_typical_colour(draw):
    typical = {b: np.median(draw(background=b).reshape(-1, 3), axis=0) for b in synthetic.GROUPS["background"]}
    assert typical["light"].min() > max(typical[b].max() for b in ("dark", "slate"))
    assert typical["dark"].max() < min(typical[b].max() for b in ("light", "tan", "slate")) / 1.5
    assert typical["tan"][0] - typical["tan"][2] > 40 and typical["slate"][2] - typical["slate"][0] > 20


def test_backdrops_differ_in_fine_and_coarse_variation(draw):
    fine = {b: roughness(draw(backdrop=b)) for b in synthetic.GROUPS["backdrop"]}
    assert fine["lined"] > 1.2 * fine["blotchy"] > 1.2 * fine["plain"]
    coarse = {b: block_variation(draw(backdrop=b)) for b in synthetic.GROUPS["backdrop"]}
    assert coarse["blotchy"] > 3 * max(coarse["plain"], coarse["lined"])
