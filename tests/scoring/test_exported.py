"""An export asked from Python."""

import os

import numpy as np
import pytest

from bgsnet_tf.errors import UserError
from bgsnet_tf.scoring import exported as exported_module


def test_calibrated_scores_of_an_export(exported):
    benchmark = exported.benchmark
    rows = np.concatenate([benchmark.test_seen[:4], benchmark.test_unseen[:4]])
    scores = exported_module.calibrated_scores(os.path.join(exported.directory, "1"), benchmark, rows, batch_size=3)
    np.testing.assert_allclose(scores, exported.expected_scores(), rtol=1e-5, atol=1e-5)


def test_an_export_of_other_classes_is_refused(exported):
    other = exported.benchmark.validation()
    with pytest.raises(UserError, match="other classes"):
        exported_module.calibrated_scores(os.path.join(exported.directory, "1"), other, other.train, batch_size=3)
    with pytest.raises(UserError, match="holds no export"):
        exported_module.calibrated_scores(exported.directory, exported.benchmark, exported.benchmark.train, batch_size=3)
