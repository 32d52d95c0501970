"""What a trained network's arrays say about each mechanism of the paper: the statistics of `experiments.mechanisms`.

All are about images of unseen classes that are told apart from each other (T), which needs no δ.
Letters: n images, C classes, A attributes, N sub-modules, K channels.
"""

import dataclasses
from typing import Optional

import numpy as np

from bgsnet_tf.evaluation import analysis, metrics

RANDOM_SETS = 50  # of sub-modules, that the kept ones are set against


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a network makes of the images of unseen classes; the special branch's parts are None where there is none.

    Attributes:
      labels: (n,) rows of `phi`.
      phi: (C, A), φ of the unseen classes.
      families: (C,) number of the family of each; a class without relatives has one of its own.
      general: (n, A) a_g.
      embeddings: (n, N, K) e_l.
      weights: (n, N, K) w^t.
      gates: (N,) at inference.
      w_start, w: (N,) w^d before and after training.
      kernel, bias: (N, K, A) and (A,) of f_s, one dense layer.
    """

    labels: np.ndarray
    phi: np.ndarray
    families: np.ndarray
    general: np.ndarray
    embeddings: Optional[np.ndarray] = None
    weights: Optional[np.ndarray] = None
    gates: Optional[np.ndarray] = None
    w_start: Optional[np.ndarray] = None
    w: Optional[np.ndarray] = None
    kernel: Optional[np.ndarray] = None
    bias: Optional[np.ndarray] = None

    @property
    def special(self):
        """(n, A) a_s."""
        return self.alone.sum(axis=1) - (len(self.gates) - 1) * self.bias

    @property
    def alone(self):
        """(n, N, A) a_s of each sub-module without all others."""
        balanced = self.weights * self.embeddings * self.gates[:, np.newaxis]
        return np.stack([balanced[:, i] @ self.kernel[i] for i in range(len(self.gates))], axis=1) + self.bias

    @property
    def fused(self):
        """(n, A) ā."""
        return self.general + self.special

    def with_gates(self, gates):
        return dataclasses.replace(self, gates=np.asarray(gates, np.float32))

    def with_shuffled_weights(self, rng):
        """Every image gets w^t of another one."""
        return dataclasses.replace(self, weights=self.weights[rng.permutation(len(self.weights))])

    def with_shuffled_gates(self, rng):
        """The sub-modules' w^d and gates are dealt anew."""
        order = rng.permutation(len(self.gates))
        return dataclasses.replace(self, gates=self.gates[order], w=self.w[order])


def accuracy(measured, attributes):
    """T in percent of attributes (n, A)."""
    return metrics.per_class_accuracy(measured.labels, _predicted(measured, attributes))


def accuracy_within(measured, attributes):
    """How often the right member of the image's own family is chosen among its members, in percent, on images of families."""
    scores = attributes @ measured.phi.T
    relatives = measured.families[measured.labels][:, np.newaxis] == measured.families
    own = np.flatnonzero(relatives.sum(axis=1) > 1)
    chosen = np.where(relatives, scores, -np.inf).argmax(axis=1)
    return metrics.per_class_accuracy(measured.labels[own], chosen[own])


def accuracy_between(measured, attributes):
    """How often the chosen class is of the right family, in percent, on all images."""
    families = measured.families
    return metrics.per_class_accuracy(families[measured.labels], families[_predicted(measured, attributes)])


def at_equal_scales(first, second, phi):
    """(n, A): the sum of two predictions, each over the standard deviation of its scores on classes `phi`."""
    return sum(attributes / np.std(attributes @ phi.T, axis=1).mean() for attributes in (first, second))


def share_of_images(measured):
    """Share of the variance of w^t that is not between sub-modules alone."""
    return 1 - analysis.weight_figures(measured.weights)["fixed"]


def loss_by_shuffling(measured, rng):
    """Points of T that the fused branch loses when every image gets w^t of another one."""
    return accuracy(measured, measured.fused) - accuracy(measured, measured.with_shuffled_weights(rng).fused)


def fine_told_by_weights(measured):
    """Probability that an image of a family has a higher mean w^t than one of a class without relatives; .5 is chance."""
    mean = measured.weights.mean(axis=(1, 2))
    fine = np.bincount(measured.families)[measured.families[measured.labels]] > 1
    above = mean[fine][:, np.newaxis] - mean[~fine]
    return float(np.mean(above > 0) + 0.5 * np.mean(above == 0))


def correlation_of_errors(measured):
    """Mean over pairs of sub-modules of the correlation of their errors on images; NaN where fewer than two vary."""
    found = analysis.error_correlation(analysis.class_errors(measured.alone, measured.labels, measured.phi))
    return np.nan if found is None else found


def kept(measured):
    """Number of sub-modules with a gate over one half."""
    return int(np.sum(measured.gates > 0.5))


def kept_against_random(measured, rng):
    """Points of T, special branch, by which the kept sub-modules alone are ahead of the mean random set of their number.

    Gates are 1 or 0. Where all or none are kept there was no choice: 0.
    """
    open_gates = (measured.gates > 0.5).astype(np.float32)
    if open_gates.min() == open_gates.max():
        return 0.0
    alone = measured.with_gates(np.ones_like(open_gates)).alone - measured.bias
    sets = [open_gates, *(rng.permutation(open_gates) for _ in range(RANDOM_SETS))]
    found = [accuracy(measured, np.tensordot(gates, alone, axes=(0, 1)) + measured.bias) for gates in sets]
    return found[0] - float(np.mean(found[1:]))


def order_kept(measured):
    """Rank correlation of w^d at the start and at the end; 1 where nothing varies."""
    found = analysis.rank_correlation(measured.w_start, measured.w)
    return 1.0 if found is None else found


def families_of(attributes, last_group):
    """(C,) family number of classes with one-hot attributes (C, A): equal but for the last `last_group` attributes (0: for none)."""
    base = attributes[:, : attributes.shape[1] - last_group]
    return np.unique(base, axis=0, return_inverse=True)[1].reshape(-1)


def _predicted(measured, attributes):
    return np.argmax(attributes @ measured.phi.T, axis=1)
