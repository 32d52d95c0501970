"""The gates' schedule, Eq. 16, and its edges."""

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.model.schedules import gate_scale


def test_ends_of_the_schedule():
    assert gate_scale(1, 100, 5.0) == pytest.approx(1 / 5)
    assert gate_scale(100, 100, 5.0) == pytest.approx(5)


def test_the_schedule_is_linear():
    np.testing.assert_allclose(np.diff([gate_scale(epoch, 11, 5.0) for epoch in range(1, 12)]), (5 - 1 / 5) / 10)


def test_one_epoch_means_s_max():
    assert gate_scale(1, 1, 5.0) == 5


def test_tensors_are_taken():
    assert gate_scale(tf.constant(3.0), 5, 4.0).numpy() == pytest.approx(gate_scale(3, 5, 4.0))


@pytest.mark.parametrize("max_epochs, s_max", [(0, 5.0), (10, 0.5)])
def test_impossible_schedules_are_refused(max_epochs, s_max):
    with pytest.raises(ValueError, match="at least 1"):
        gate_scale(1, max_epochs, s_max)
