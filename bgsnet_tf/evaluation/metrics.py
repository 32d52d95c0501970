"""Accuracies of (generalised) zero-shot classification from score arrays, all in percent. It chooses nothing: see `calibration`.

The protocol is that of the Proposed Splits (Xian et al. 2018): accuracies are averaged per class. GZSL uses calibrated
stacking (Chao et al. 2016): a constant δ is subtracted from the scores of seen classes before the argmax.

Two splits are scored, `seen` (images of seen classes) and `unseen` (images of unseen ones). For each:
  scores: (images, C) one score per class, over ALL C classes; differences are taken in float64.
  labels: (images,) integer class indices.
`seen_classes` and `unseen_classes` are integer index arrays; a class in neither of them is never predicted.

Ties go to the class with the lowest index, as in `np.argmax`, also between a seen and an unseen class.
"""

import dataclasses
from typing import Optional

import numpy as np

from bgsnet_tf.evaluation.arguments import checked, checked_classes, checked_labels, checked_scores


def evaluate_gzsl(scores_seen, labels_seen, scores_unseen, labels_unseen, seen_classes, unseen_classes, delta):
    """T, U, S, H and AUSUC of one model.

    Args: see the module; `delta` is the δ of calibrated stacking, in the unit of the scores.

    Returns:
      dict of floats in percent. T: accuracy on the unseen split when only unseen classes can be predicted. U, S:
      accuracies on the unseen and on the seen split over seen and unseen classes at δ. H: their harmonic mean.
      AUSUC: area under the seen-unseen curve, which does not depend on δ; 100 for a perfect model.

    Raises:
      ValueError: a wrong shape or type, scores or a δ that are not finite, an empty split or class set, a class in both
        sets, a label outside the class set of its split.
    """
    arguments = checked(scores_seen, labels_seen, scores_unseen, labels_unseen, seen_classes, unseen_classes)
    scores_seen, labels_seen, scores_unseen, labels_unseen, seen_classes, unseen_classes = arguments
    rivals_seen = _rivals(scores_seen, seen_classes, unseen_classes)
    rivals_unseen = _rivals(scores_unseen, seen_classes, unseen_classes)
    unseen = per_class_accuracy(labels_unseen, rivals_unseen.winner(delta))
    seen = per_class_accuracy(labels_seen, rivals_seen.winner(delta))
    return {
        "T": per_class_accuracy(labels_unseen, rivals_unseen.unseen_class),
        "U": unseen,
        "S": seen,
        "H": float(harmonic_mean(unseen, seen)),
        "AUSUC": curve(_decisions(rivals_seen, labels_seen, rivals_unseen, labels_unseen, delta), labels_seen, labels_unseen).area,
    }


def evaluate_unseen(scores, labels, seen_classes, unseen_classes, delta):
    """T and U of one model, all that the unseen split alone says.

    Args and errors: as `evaluate_gzsl`, of the unseen split.
    """
    scores = checked_scores(scores, "scores")
    seen_classes, unseen_classes = checked_classes(seen_classes, unseen_classes, scores.shape[1])
    labels = checked_labels(labels, len(scores), unseen_classes, "unseen")
    rivals = _rivals(scores, seen_classes, unseen_classes)
    return {"T": per_class_accuracy(labels, rivals.unseen_class), "U": per_class_accuracy(labels, rivals.winner(delta))}


def evaluate_branches(scores, labels_seen, labels_unseen, seen_classes, unseen_classes, deltas):
    """`evaluate_gzsl` of several branches that scored the same images.

    Args:
      scores: dict from a branch's name to its pair (scores_seen, scores_unseen).
      deltas: dict from a branch's name to its δ; branches differ in the scale of their scores.

    Returns:
      dict from a branch's name to its metrics.
    """
    return {
        branch: evaluate_gzsl(scores_seen, labels_seen, scores_unseen, labels_unseen, seen_classes, unseen_classes, deltas[branch])
        for branch, (scores_seen, scores_unseen) in scores.items()
    }


def predict_gzsl(scores, seen_classes, unseen_classes, delta):
    """(images,) index of the class with the highest score after δ is subtracted from the seen classes'.

    Raises:
      ValueError: as `evaluate_gzsl`.
    """
    scores = checked_scores(scores, "scores")
    seen_classes, unseen_classes = checked_classes(seen_classes, unseen_classes, scores.shape[1])
    return _rivals(scores, seen_classes, unseen_classes).winner(delta)


def predict_zsl(scores, unseen_classes):
    """(images,) index of the unseen class with the highest score: what T counts.

    Raises:
      ValueError: `scores` are not (images, classes) or not finite.
    """
    return _best(checked_scores(scores, "scores"), unseen_classes)[0]


def per_class_accuracy(labels, predictions):
    """Mean over the classes present in `labels` of the accuracy within the class, in percent.

    Args and errors: as `class_accuracies`.
    """
    return float(np.mean(class_accuracies(labels, predictions)[2]))


def class_accuracies(labels, predictions):
    """Accuracy within each class that is present in `labels`.

    Args:
      labels: (images,) true classes.
      predictions: (images,) predicted classes.

    Returns:
      classes (P,) sorted, images per class (P,), accuracy per class (P,) in percent.

    Raises:
      ValueError: the arrays are empty, not one-dimensional or of different lengths.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.ndim != 1 or labels.shape != predictions.shape:
        raise ValueError(f"labels and predictions must be (images,) both, not {labels.shape} and {predictions.shape}")
    if not len(labels):
        raise ValueError("no labels: the accuracy of zero images is undefined")
    classes, inverse, images = np.unique(labels, return_inverse=True, return_counts=True)
    correct = np.bincount(inverse, weights=labels == predictions, minlength=len(classes))
    return classes, images, 100 * correct / images


def harmonic_mean(unseen, seen):
    """H = 2US / (U + S) elementwise, 0 where both are 0."""
    unseen, seen = np.asarray(unseen, np.float64), np.asarray(seen, np.float64)
    total = unseen + seen
    return np.divide(2 * unseen * seen, total, out=np.zeros_like(total), where=total > 0)


@dataclasses.dataclass(frozen=True)
class SeenUnseenCurve:
    """U and S for every δ (Chao et al. 2016), in percent.

    U and S are constant between two neighbouring switches: `U[i]` and `S[i]` hold for
    `switches[i - 1]` < δ < `switches[i]`, the first without a lower end and the last without an upper one.
    U rises from 0 to T, S falls to 0. Exactly at a switch the tie rule of `evaluate_gzsl` decides image by image.

    Attributes:
      switches: (D,) the increasing δ at which U or S changes; D is 0 where neither ever does.
      U: (D + 1,) accuracy on the unseen split.
      S: (D + 1,) accuracy on the seen split.
    """

    switches: np.ndarray
    U: np.ndarray
    S: np.ndarray

    @property
    def area(self):
        """AUSUC in percent: the points (U, S) joined by straight lines, as those of a ROC curve are."""
        return float(np.sum((self.S[:-1] - self.S[1:]) * (self.U[:-1] + self.U[1:]) / 2) / 100)

    @property
    def best_H(self):
        """The highest H over δ. On a test split it says how far a δ chosen elsewhere falls short, and is no result of its own."""
        return float(np.max(harmonic_mean(self.U, self.S)))


def seen_unseen_curve(scores_seen, labels_seen, scores_unseen, labels_unseen, seen_classes, unseen_classes):
    """The exact `SeenUnseenCurve`, without a grid over δ.

    An image is given its best seen class while δ < best seen score − best unseen score, and its best unseen class from
    there on. So one sort of these margins gives every point. Images that are wrong on both sides change nothing.

    Args and errors: as `evaluate_gzsl`.
    """
    found = decisions(scores_seen, labels_seen, scores_unseen, labels_unseen, seen_classes, unseen_classes)
    return curve(found, labels_seen, labels_unseen)


@dataclasses.dataclass(frozen=True)
class Decisions:
    """All that a model's figures need of its scores, image by image.

    Attributes:
      seen_right, unseen_right: (images,) bool of each split: whether the best class of the image's own kind is the true one.
      seen_margin, unseen_margin: (images,) best seen score − best unseen score, the δ at which the image switches.
      delta: the δ of U, S and H; None where there is none, for T and AUSUC alone.
    """

    seen_right: np.ndarray
    seen_margin: np.ndarray
    unseen_right: np.ndarray
    unseen_margin: np.ndarray
    delta: Optional[float] = None


def decisions(scores_seen, labels_seen, scores_unseen, labels_unseen, seen_classes, unseen_classes, delta=None):
    """The `Decisions` of a model.

    Args and errors: as `evaluate_gzsl`; without δ they are for T and AUSUC alone.
    """
    arguments = checked(scores_seen, labels_seen, scores_unseen, labels_unseen, seen_classes, unseen_classes)
    scores_seen, labels_seen, scores_unseen, labels_unseen, seen_classes, unseen_classes = arguments
    rivals_seen = _rivals(scores_seen, seen_classes, unseen_classes)
    return _decisions(rivals_seen, labels_seen, _rivals(scores_unseen, seen_classes, unseen_classes), labels_unseen, delta)


def _decisions(rivals_seen, labels_seen, rivals_unseen, labels_unseen, delta):
    right = rivals_seen.seen_class == labels_seen, rivals_unseen.unseen_class == labels_unseen
    return Decisions(right[0], rivals_seen.margin, right[1], rivals_unseen.margin, delta)


def curve(found, labels_seen, labels_unseen):
    """The `SeenUnseenCurve` of `Decisions` about images of these classes."""
    margins = np.concatenate([found.seen_margin[found.seen_right], found.unseen_margin[found.unseen_right]])
    switches, position = np.unique(margins, return_inverse=True)
    seen_position, unseen_position = np.split(position, [np.count_nonzero(found.seen_right)])
    lost = np.bincount(seen_position, image_weights(labels_seen)[found.seen_right], minlength=len(switches))
    won = np.bincount(unseen_position, image_weights(labels_unseen)[found.unseen_right], minlength=len(switches))
    return SeenUnseenCurve(switches, U=np.append(0.0, np.cumsum(won)), S=np.append(np.cumsum(lost[::-1])[::-1], 0.0))


@dataclasses.dataclass(frozen=True)
class _Rivals:
    """Per image (images,): its best seen and its best unseen class, and their scores in float64. All else follows from them."""

    seen_class: np.ndarray
    seen_score: np.ndarray
    unseen_class: np.ndarray
    unseen_score: np.ndarray

    @property
    def margin(self):
        """The δ at which the image switches."""
        return self.seen_score - self.unseen_score

    def winner(self, delta):
        """(images,) class after δ is subtracted from the seen ones' scores."""
        if not np.isfinite(delta):
            raise ValueError(f"delta must be finite, not {delta}")
        shifted = self.seen_score - float(delta)
        seen_wins = (shifted > self.unseen_score) | ((shifted == self.unseen_score) & (self.seen_class < self.unseen_class))
        return np.where(seen_wins, self.seen_class, self.unseen_class)


def _rivals(scores, seen_classes, unseen_classes):
    return _Rivals(*_best(scores, seen_classes), *_best(scores, unseen_classes))


def _best(scores, classes):
    """(images,) class of `classes` with the highest score, and that score in float64."""
    classes = np.sort(classes)
    best = classes[np.argmax(np.take(scores, classes, axis=1), axis=1)]
    return best, scores[np.arange(len(scores)), best].astype(np.float64)


def image_weights(labels):
    """(images,) what each image that is right contributes to the per-class accuracy, in percent."""
    classes, inverse, images = np.unique(labels, return_inverse=True, return_counts=True)
    return 100 / (len(classes) * images[inverse])
