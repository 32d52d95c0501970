"""The annealing schedule of the gates."""


def gate_scale(epoch, max_epochs, s_max):
    """Sharpness s of the gates: linear from 1/s_max in epoch 1 to s_max in epoch `max_epochs` (Eq. 16).

    A schedule of one epoch has no slope: its s is s_max.

    Args:
      epoch: eph, a number or tensor, counted from 1.
      max_epochs: eph_max, at least 1.
      s_max: the final sharpness, at least 1.

    Returns:
      s, a number or tensor as `epoch` is.

    Raises:
      ValueError: where `max_epochs` or `s_max` is below 1.
    """
    if max_epochs < 1 or s_max < 1:
        raise ValueError(f"max_epochs and s_max must be at least 1, are {max_epochs} and {s_max}")
    progress = 1.0 if max_epochs == 1 else (epoch - 1) / (max_epochs - 1)
    return 1 / s_max + (s_max - 1 / s_max) * progress
