"""ESZSL, the closed-form reference that every reader of the field knows (Romera-Paredes & Torr, ICML 2015). NumPy only.

Letters: R rows, K features, C seen classes, A attributes.
"""

import itertools

import numpy as np
from scipy import optimize, special

from bgsnet_tf.evaluation import metrics

HELD_OUT = 5  # one row in so many
LEAST_DEVIATION = 1e-6  # of a channel that never varies
LOG_SCALES = (-5.0, 10.0)
EXPONENTS = range(-3, 4)  # the powers of ten that the ESZSL paper searches for both regularisers


class Eszsl:
    """Minimiser V of ‖XᵀVS − Y‖² + γ‖VS‖² + λ‖XᵀV‖² + γλ‖V‖² for any γ and λ, after two eigendecompositions.

    The closed form is V = (X Xᵀ + γI)⁻¹ X Y Sᵀ (S Sᵀ + λI)⁻¹ with Y = ±1 (their Eq. 5).

    Args:
      features: (R, K).
      labels: (R,) rows of `class_attributes`.
      class_attributes: (C, A) of the seen classes.
    """

    def __init__(self, features, labels, class_attributes):
        x, s = np.asarray(features, np.float64), np.asarray(class_attributes, np.float64)
        y = np.full((len(x), len(s)), -1.0)
        y[np.arange(len(x)), labels] = 1
        self.feature_values, self.feature_vectors = np.linalg.eigh(x.T @ x)
        self.attribute_values, self.attribute_vectors = np.linalg.eigh(s.T @ s)
        self.middle = self.feature_vectors.T @ (x.T @ y @ s) @ self.attribute_vectors

    def weights(self, gamma, lam):
        """V (K, A); the scores of rows X (R, K) for classes S (C, A) are X V Sᵀ."""
        scaled = self.middle / np.outer(self.feature_values + gamma, self.attribute_values + lam)
        return self.feature_vectors @ scaled @ self.attribute_vectors.T


def classifier_start(features, labels, class_attributes):
    """V (K, A) at one fixed pair of regularisers, scaled so that a softmax over x V Sᵀ is calibrated: where f_g may start.

    γ is the number of rows and λ is 1: assumptions that suit standardised features and unit attribute rows, the best of a grid on
    the validation classes of real photos (docs/results.md). The scale has the least cross-entropy on every fifth row, under the V
    of the other rows: on its own rows V is too sure.

    Args: as `Eszsl`, of at least `HELD_OUT` rows.
    """
    features, class_attributes = np.asarray(features, np.float64), np.asarray(class_attributes, np.float64)
    held = np.arange(len(features)) % HELD_OUT == 0

    def closed_form(rows):
        return Eszsl(features[rows], labels[rows], class_attributes).weights(gamma=np.sum(rows), lam=1.0)

    logits = features[held] @ closed_form(~held) @ class_attributes.T

    def cross_entropy(log_scale):
        scaled = np.exp(log_scale) * logits
        return np.mean(special.logsumexp(scaled, axis=1) - scaled[np.arange(len(scaled)), labels[held]])

    log_scale = optimize.minimize_scalar(cross_entropy, bounds=LOG_SCALES, method="bounded").x
    return np.exp(log_scale) * closed_form(np.ones(len(features), bool))


def standardized_classifier(features, labels, class_attributes):
    """A function from features (rows, K) to attributes (rows, A): `classifier_start` on channels standardised by these features.

    Args: as `classifier_start`.
    """
    features = np.asarray(features, np.float64)
    mean, deviation = features.mean(axis=0), np.maximum(features.std(axis=0), LEAST_DEVIATION)
    weights = classifier_start((features - mean) / deviation, labels, class_attributes)
    return lambda x: (x - mean) / deviation @ weights


def choose(features, labels, class_attributes, test_features, test_labels, test_class_attributes):
    """The (γ, λ) with the highest T on unseen classes. They must be VALIDATION classes: nothing is chosen on a test split.

    Args:
      features, labels, class_attributes: of the seen classes, as in `Eszsl`.
      test_features: (rows, K) of the unseen classes.
      test_labels: (rows,) rows of `test_class_attributes`.
      test_class_attributes: (classes, A).

    Returns:
      (γ, λ), powers of ten; the first in the order of `EXPONENTS` where several are as good.
    """
    model = Eszsl(features, labels, class_attributes)

    def accuracy(regularisers):
        scores = test_features @ model.weights(*regularisers) @ test_class_attributes.T
        return metrics.per_class_accuracy(test_labels, np.argmax(scores, axis=1))

    grid = [(10.0**g, 10.0**a) for g, a in itertools.product(EXPONENTS, EXPONENTS)]
    return max(grid, key=accuracy)
