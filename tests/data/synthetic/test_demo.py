import functools

import numpy as np
import pytest

from bgsnet_tf.data.synthetic import demo, groups
from bgsnet_tf.errors import UserError

rendered = functools.cache(demo.render_benchmark)


@pytest.fixture(scope="module", params=["many", "fine"])
def benchmark(request):
    return rendered(request.param)


@pytest.fixture(scope="module")
def many():
    return rendered("many")


def distances(attributes):
    """(C, C) numbers of groups in which one-hot classes differ."""
    return len(groups.GROUPS) - attributes @ attributes.T


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
    for group, names in groups.GROUPS.items():
        columns = benchmark.attributes[:, group_of == group]
        assert columns.shape == (120, len(names))
        assert set(columns.ravel()) == {0, 1} and (columns.sum(axis=1) == 1).all()


def test_every_value_is_trained_on_even_without_validation_classes(benchmark):
    classes = np.setdiff1d(benchmark.seen_classes, benchmark.validation_classes)
    assert benchmark.attributes[classes].any(axis=0).all()


def test_classes_of_many_differ_in_three_groups(many):
    assert distances(many.attributes)[~np.eye(120, dtype=bool)].min() >= 3


def test_families_of_fine():
    benchmark = rendered("fine")
    family = np.arange(120) % 30
    same = family[:, None] == family
    between = distances(benchmark.attributes)
    assert set(between[same & ~np.eye(120, dtype=bool)]) == {1, 2}
    assert between[~same].min() >= 3
    assert sorted(family[benchmark.unseen_classes]) == list(range(30))
    assert len(set(family[benchmark.validation_classes])) == 22


def test_is_deterministic(many):
    again = demo.render_benchmark("many")
    assert again.fingerprint == many.fingerprint
    np.testing.assert_array_equal(again.attributes, many.attributes)


def test_images_of_a_class_differ(many):
    assert len(np.unique(many.pixels[many.labels == 5].reshape(40, -1), axis=0)) == 40


def test_unknown_variant():
    with pytest.raises(UserError, match="many, fine"):
        demo.render_benchmark("coarse")


def test_flips_change_one_value_of_few_rows_and_never_shape_or_fill():
    values = np.tile([1, 2, 3, 2, 1, 0, 1, 2], (5000, 1))
    flipped = demo.flip_some(values, np.random.default_rng(0))
    changes = np.sum(flipped != values, axis=1)
    assert set(changes) == {0, 1}
    assert 0.05 < changes.mean() < 0.07
    assert (flipped[:, :2] == values[:, :2]).all() and (flipped[:, 2:] != values[:, 2:]).any(axis=0).all()
    assert (flipped >= 0).all() and (flipped.max(axis=0) < groups.sizes(groups.GROUPS)).all()
