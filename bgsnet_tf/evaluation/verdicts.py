"""What draws of classes say about a prediction: an interval, and a verdict by rules that know no result."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import special

CONFIDENCE = 0.95
MET, OPEN, MISSED = "met", "open", "missed"
SHOWN, NOT_SHOWN, REFUTED, TOO_FEW = "shown", "not shown", "refuted", "not shown (too few draws)"


@dataclasses.dataclass(frozen=True)
class Finding:
    """Student's interval of a statistic's mean over draws, and on which side of the threshold it lies.

    Attributes:
      values: one a draw, those that exist.
      mean: of them; NaN where there are none.
      low, high: the interval's ends; infinite with fewer than two draws.
      status: `MET`, `OPEN` or `MISSED`.
    """

    values: Sequence[float]
    mean: float
    low: float
    high: float
    status: str


def find(values, threshold):
    """The `Finding` of a statistic that is predicted to lie above a threshold.

    Args:
      values: (draws,), independent of each other; NaN where the statistic does not exist.
      threshold: number.
    """
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if len(known) < 2:
        return Finding(known.tolist(), float(known[0]) if len(known) else np.nan, -np.inf, np.inf, OPEN)
    mean = known.mean()
    half = special.stdtrit(len(known) - 1, (1 + CONFIDENCE) / 2) * known.std(ddof=1) / np.sqrt(len(known))
    low, high = mean - half, mean + half
    status = MET if low > threshold else MISSED if high < threshold else OPEN
    return Finding(known.tolist(), float(mean), float(low), float(high), status)


def verdict(findings, enough):
    """One of the four verdicts on a mechanism.

    Args:
      findings: of all its conditions.
      enough: whether draws and seeds are as many as were registered.
    """
    if not enough:
        return TOO_FEW
    statuses = {finding.status for finding in findings}
    if statuses == {MET}:
        return SHOWN
    return REFUTED if MISSED in statuses else NOT_SHOWN
