"""The δ of calibrated stacking (Chao et al. 2016), chosen exactly. It is chosen on validation data, never on a test split."""

import dataclasses

import numpy as np

from bgsnet_tf.evaluation import metrics

H_TOLERANCE = 1e-9  # Percent; far above the rounding of sums, far below what one image changes.


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A chosen δ, in the unit of the scores, and the accuracies in percent that it gives on the data it was chosen on."""

    delta: float
    U: float
    S: float
    H: float


def best_delta(scores_seen, labels_seen, scores_unseen, labels_unseen, seen_classes, unseen_classes):
    """The δ with the highest H. It must be given VALIDATION data only: a δ chosen on test images overstates H.

    Args and errors: as `metrics.evaluate_gzsl`, with the seen and unseen classes of the validation split.

    Returns:
      Calibration.
    """
    curve = metrics.seen_unseen_curve(scores_seen, labels_seen, scores_unseen, labels_unseen, seen_classes, unseen_classes)
    delta = peak(curve)
    unseen = metrics.per_class_accuracy(labels_unseen, metrics.predict_gzsl(scores_unseen, seen_classes, unseen_classes, delta))
    seen = metrics.per_class_accuracy(labels_seen, metrics.predict_gzsl(scores_seen, seen_classes, unseen_classes, delta))
    return Calibration(delta, U=unseen, S=seen, H=float(metrics.harmonic_mean(unseen, seen)))


def peak(curve):
    """The δ with the highest H of a `metrics.SeenUnseenCurve`.

    U and S are constant between two neighbouring switches of the seen-unseen curve. δ is the middle of such a plateau,
    as far as it can be from either switch; a δ exactly at a switch, where ties decide, is not considered. Of plateaus
    with the same H, the one whose middle is nearest to 0 wins, then the lower one. The two outermost plateaus have no
    middle and an H of 0: for the case that H is always 0, they are given an end max(1, 2·max|switch|) away.
    """
    reach = max(1.0, 2 * np.max(np.abs(curve.switches), initial=0.0))
    lowest, highest = (curve.switches[0], curve.switches[-1]) if len(curve.switches) else (0.0, 0.0)
    edges = np.concatenate([[lowest - reach], curve.switches, [highest + reach]])
    middles = (edges[:-1] + edges[1:]) / 2
    # Two switches that are neighbouring floats have no number between them.
    real = (edges[:-1] < middles) & (middles < edges[1:])
    harmonic = np.where(real, metrics.harmonic_mean(curve.U, curve.S), -1.0)
    best = np.flatnonzero(harmonic >= harmonic.max() - H_TOLERANCE)
    return float(middles[best[np.argmin(np.abs(middles[best]))]])
