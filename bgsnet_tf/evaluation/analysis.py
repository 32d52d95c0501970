"""What a run's arrays say beyond its accuracies: confusions, attributes, decisions, instance weights. It draws nothing.

Letters: n images, C classes, A attributes, N sub-modules, K channels.
"""

import dataclasses

import numpy as np
import pandas as pd

EXAMPLES = 3  # of right and of wrong predictions each
NEAR_ZERO, NEAR_ONE = 0.1, 0.9  # a gate or weight below or above is called binary


def confusion(labels, predictions, classes):
    """(len(classes), len(classes)) images of the row's class that were given the column's.

    Args:
      labels, predictions: (n,) class indices, all among `classes`.
      classes: sorted class indices.
    """
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (np.searchsorted(classes, labels), np.searchsorted(classes, predictions)), 1)
    return counts


def most_confused(counts, limit):
    """Up to `limit` pairs (row, column, images) of a confusion matrix, most images first, the diagonal left out."""
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    rows, columns = np.unravel_index(np.argsort(-wrong, axis=None, kind="stable")[:limit], wrong.shape)
    return [(int(i), int(j), int(wrong[i, j])) for i, j in zip(rows, columns) if wrong[i, j]]


@dataclasses.dataclass(frozen=True)
class AttributeQuality:
    """How well each attribute is read, (A,) each; NaN for an attribute that is the same in all classes of the images.

    Attributes:
      correlation: Pearson's, between the predicted attribute and that of the image's class, over images.
      average_precision: of the images ranked by the predicted attribute; positive are those whose class has more of it than
        the middle between its least and its largest value.
      positives: share of positive images, which a random ranking would have as average precision.
    """

    correlation: np.ndarray
    average_precision: np.ndarray
    positives: np.ndarray


def attribute_quality(attributes, labels, class_attributes):
    """`AttributeQuality` of predicted attributes.

    Class attributes stand in for those of an image: an image that shows less than its class has counts as an error.

    Args:
      attributes: (n, A) predicted.
      labels: (n,) class indices.
      class_attributes: (C, A).
    """
    truth = class_attributes[labels].astype(np.float64)
    least, largest = truth.min(axis=0), truth.max(axis=0)
    varies = largest > least
    positive = truth > (least + largest) / 2
    quality = np.full((3, truth.shape[1]), np.nan)
    for a in np.flatnonzero(varies):
        predicted = attributes[:, a].astype(np.float64)
        quality[0, a] = np.corrcoef(predicted, truth[:, a])[0, 1] if np.ptp(predicted) else 0.0
        quality[1, a] = average_precision(predicted, positive[:, a])
        quality[2, a] = positive[:, a].mean()
    return AttributeQuality(*quality)


def average_precision(scores, positive):
    """Area under the precision-recall steps; images with equal scores are taken in one step.

    Args:
      scores: (n,) higher means more likely positive.
      positive: (n,) bool, at least one of them true.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    found = np.cumsum(positive[order])[ends]
    precision, recall = found / (ends + 1), found / found[-1]
    return float(np.sum(np.diff(recall, prepend=0) * precision))


@dataclasses.dataclass(frozen=True)
class Decision:
    """Why an image was given a class rather than the next best one.

    Attributes:
      image: its position.
      label, chosen, rival: class indices; the rival has the second highest score.
      margin: score of `chosen` less that of `rival`.
      attributes: indices of the attributes that contribute most to the margin, by size.
      contributions: what each adds to it: predicted attribute times the difference of the two class attributes.
    """

    image: int
    label: int
    chosen: int
    rival: int
    margin: float
    attributes: np.ndarray
    contributions: np.ndarray


def decide(image, attributes, label, class_attributes, classes, limit):
    """The `Decision` among `classes`, at least two, for an image with predicted attributes (A,)."""
    order = np.argsort(-(class_attributes[classes] @ attributes), kind="stable")
    chosen, rival = (int(classes[i]) for i in order[:2])
    parts = attributes * (class_attributes[chosen] - class_attributes[rival])
    largest = np.argsort(-np.abs(parts), kind="stable")[:limit]
    return Decision(int(image), int(label), chosen, rival, float(parts.sum()), largest, parts[largest])


def examples(decisions):
    """(verdict, decision) of up to `EXAMPLES` right and as many wrong ones, from a clear to a narrow decision."""
    right = np.array([d.label == d.chosen for d in decisions])
    margins = np.array([d.margin for d in decisions])
    groups = ("right", np.flatnonzero(right)), ("wrong", np.flatnonzero(~right))
    return [(verdict, decisions[i]) for verdict, among in groups for i in typical(margins, among, EXAMPLES)]


def typical(margins, among, count):
    """Up to `count` positions from `among` that are evenly spaced in the order of (n,) `margins`, largest first."""
    return spread(among[np.argsort(-margins[among], kind="stable")], count)


def spread(values, count):
    """Up to `count` of the values of a 1-D array, evenly spaced, in their order."""
    return values[np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int))]


def gate_figures(gates):
    """How binary N gates are, as a dict of counts: those below `NEAR_ZERO`, above `NEAR_ONE`, and above one half."""
    gates = np.asarray(gates)
    return {"near_zero": int(np.sum(gates < NEAR_ZERO)), "near_one": int(np.sum(gates > NEAR_ONE)), "over_half": int(np.sum(gates > 0.5))}


def weight_figures(weights):
    """How binary and how diverse instance weights w^t (n, N, K) are, as a dict of shares and one number.

    near_zero, near_one: shares of weights below `NEAR_ZERO` and above `NEAR_ONE`. alone: share of channels in which one
    sub-module has a mean weight above .5 and the others do not. effective_modules: (Σ_i w_i)² / Σ_i w_i² of a channel's
    weights, mean over images and channels: 1 if one sub-module has all, N if all have the same. fixed, per_image, joint:
    shares of the variance of a channel's weights (mean over channels) that lie between sub-modules, between images, and in
    their interaction; fixed = 1 means that w^t does not depend on the image, joint that sub-modules answer images differently.
    """
    weights = weights.astype(np.float64)
    of_module = weights.mean(axis=0)
    total = weights.var(axis=(0, 1)).mean()
    fixed = of_module.var(axis=0).mean() / total if total else 1.0
    per_image = weights.mean(axis=1).var(axis=0).mean() / total if total else 0.0
    return {
        "near_zero": float(np.mean(weights < NEAR_ZERO)),
        "near_one": float(np.mean(weights > NEAR_ONE)),
        "alone": float(np.mean(np.sum(of_module > 0.5, axis=0) == 1)),
        "effective_modules": float(np.mean(weights.sum(axis=1) ** 2 / np.sum(weights**2, axis=1))),
        "fixed": float(fixed),
        "per_image": float(per_image),
        "joint": float(1 - fixed - per_image),
    }


def error_correlation(errors):
    """Mean over pairs of sub-modules of Pearson's correlation of their errors; None where fewer than two vary.

    Args:
      errors: (n, N) how wrong each sub-module alone is about each image, see `class_errors`.
    """
    varying = errors[:, np.ptp(errors, axis=0) > 0].astype(np.float64)
    count = varying.shape[1]
    if count < 2:
        return None
    return float((np.corrcoef(varying.T).sum() - count) / (count * (count - 1)))


def class_errors(attributes, labels, class_attributes):
    """(n, N): 1 less the probability of the right class, by the softmax of Eq. 1.

    Args:
      attributes: (n, N, A) predicted by each sub-module alone.
      labels: (n,) rows of `class_attributes`.
      class_attributes: (C, A), φ of the classes in the softmax.
    """
    logits = attributes.astype(np.float64) @ class_attributes.T
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    own = np.take_along_axis(odds, np.asarray(labels)[:, None, None], axis=-1)[..., 0]
    return 1 - own / odds.sum(axis=-1)


def rank_correlation(before, after):
    """Spearman's correlation of two sequences; None where one of them does not vary."""
    if np.ptp(before) == 0 or np.ptp(after) == 0:
        return None
    return float(np.corrcoef(pd.DataFrame([before, after]).rank(axis=1))[0, 1])
