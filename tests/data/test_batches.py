"""The order of training follows from seed and epoch alone."""

import numpy as np
import tensorflow as tf

from bgsnet_tf.data import batches


def test_an_epoch_holds_every_item_once():
    drawn = batches.epoch_batches(items=40, views=3, batch_size=8, seed=0, epoch=2)
    assert drawn.shape == (5, 8, 2) and drawn.dtype == np.int32
    assert sorted(drawn[..., 0].ravel()) == list(range(40))
    assert set(drawn[..., 1].ravel()) == {0, 1, 2}


def test_what_is_left_of_a_batch_is_dropped_and_changes():
    dropped = [set(range(43)) - set(batches.epoch_batches(43, 1, 8, 0, epoch)[..., 0].ravel()) for epoch in range(3)]
    assert all(len(rest) == 3 for rest in dropped) and len({frozenset(rest) for rest in dropped}) > 1


def test_fewer_items_than_a_batch_make_one_smaller_batch():
    assert batches.epoch_batches(5, 1, 8, 0, 0).shape == (1, 5, 2)
    assert batches.steps_per_epoch(5, 8) == 1


def draw(epoch):
    return batches.epoch_batches(16, 2, 4, seed=7, epoch=epoch)


def elements(count, *start, **share):
    return [element.numpy() for element in batches.epochs_dataset(draw, *start, **share).take(count)]


def test_a_later_start_sees_the_same_epochs():
    whole = elements(12, 0)
    np.testing.assert_array_equal(whole[8:], elements(4, 2))
    np.testing.assert_array_equal(whole[6:], elements(6, 1, 2))
    assert np.any(whole[0] != whole[4])


def test_shares_make_up_the_batch():
    whole = elements(6, 0, 3)
    halves = [elements(12, 0, 3, share=batches.Share(first, 2, 4)) for first in (0, 2)]
    for step, batch in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([*halves[0][2 * step : 2 * step + 2], *halves[1][2 * step : 2 * step + 2]]), batch)


def test_no_dataset_waits_for_the_autotuner():
    rows = batches.without_autotuning(tf.data.Dataset.range(3))
    for dataset in (rows.map(lambda row: row).batch(2), batches.epochs_dataset(draw, 0).prefetch(2)):
        assert dataset.options().autotune.enabled is False
