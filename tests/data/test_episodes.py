"""Invariants of sampled tasks."""

import numpy as np
import pytest

from bgsnet_tf.data import episodes
from bgsnet_tf.errors import UserError

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(25), 12))


@pytest.fixture
def tasks():
    return episodes.sample(np.random.default_rng(1), LABELS, tasks=20, way=10, shot=5, query=3)


def test_shapes(tasks):
    assert tasks.support_rows.shape == (20, 10, 5) and tasks.query_rows.shape == (20, 10, 3)
    assert tasks.support_classes.shape == tasks.query_classes.shape == (20, 10)


def test_rows_belong_to_their_classes(tasks):
    assert np.all(LABELS[tasks.support_rows] == tasks.support_classes[..., None])
    assert np.all(LABELS[tasks.query_rows] == tasks.query_classes[..., None])


def test_training_and_validation_classes_are_disjoint_and_distinct(tasks):
    for support, query in zip(tasks.support_classes, tasks.query_classes):
        assert len({*support, *query}) == 20


def test_no_row_twice_in_a_task(tasks):
    for rows in tasks.support_rows.reshape(20, -1):
        assert len(set(rows)) == 50


def test_all_classes_and_rows_are_drawn_in_the_long_run():
    many = episodes.sample(np.random.default_rng(2), LABELS, tasks=200, way=10, shot=5, query=3)
    assert set(many.support_rows.ravel()) == set(many.query_rows.ravel()) == set(range(len(LABELS)))


def test_the_generator_decides():
    twice = [episodes.sample(np.random.default_rng(3), LABELS, 2, 10, 5, 3).support_rows for _ in range(2)]
    np.testing.assert_array_equal(*twice)


def test_a_small_class_gives_rows_again():
    labels = np.array([0, 0, 1, 1, 1, 1, 1])
    task = episodes.sample(np.random.default_rng(0), labels, tasks=4, way=1, shot=5, query=5)
    for rows, classes in ((task.support_rows, task.support_classes), (task.query_rows, task.query_classes)):
        for of_class, c in zip(rows[:, 0], classes[:, 0]):
            assert len(set(of_class)) == (2 if c == 0 else 5)


def test_way_shrinks_to_half_of_the_classes():
    assert episodes.feasible_way(7, 10) == 3
    assert episodes.feasible_way(20, 10) == 10
    with pytest.raises(UserError, match="--nometa"):
        episodes.feasible_way(1, 10)


def test_too_many_ways_are_refused():
    with pytest.raises(ValueError, match="25"):
        episodes.sample(np.random.default_rng(0), LABELS, tasks=1, way=13, shot=1, query=1)


def test_views_of_rows():
    task = episodes.sample(np.random.default_rng(0), LABELS, tasks=4, way=5, shot=5, query=5)
    in_views = episodes.in_views(np.random.default_rng(1), task, 4)
    np.testing.assert_array_equal(in_views.support_rows // 4, task.support_rows)
    assert set(np.unique(in_views.query_rows % 4)) == {0, 1, 2, 3}
