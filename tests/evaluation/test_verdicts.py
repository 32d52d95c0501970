"""Intervals against SciPy, and every verdict."""

import numpy as np
import pytest
import scipy.stats

from bgsnet_tf.evaluation import verdicts
from bgsnet_tf.evaluation.verdicts import MET, MISSED, OPEN

VALUES = [1.0, 2.0, 4.0, 1.5, 3.0]


def test_the_interval_is_students():
    found = verdicts.find(VALUES, 0.0)
    low, high = scipy.stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high)) and found.mean == pytest.approx(np.mean(VALUES))


@pytest.mark.parametrize("threshold, status", [(0.0, MET), (2.0, OPEN), (5.0, MISSED)])
def test_a_condition_is_met_where_its_whole_interval_is_above_the_threshold(threshold, status):
    assert verdicts.find(VALUES, threshold).status == status


def test_a_statistic_that_does_not_exist_leaves_a_condition_open():
    assert verdicts.find([np.nan] * 3, 0).status == verdicts.find([], 0).status == verdicts.find([7.0], 0).status == OPEN
    assert verdicts.find([7.0, np.nan, 8.0], 0).values == [7.0, 8.0]


@pytest.mark.parametrize(
    "statuses, expected", [([MET, MET], "shown"), ([MET, OPEN], "not shown"), ([OPEN, OPEN], "not shown"), ([MET, MISSED, OPEN], "refuted")]
)
def test_verdicts_and_that_few_draws_give_none(statuses, expected):
    findings = [verdicts.Finding([1.0], 1.0, 0.5, 1.5, status) for status in statuses]
    assert verdicts.verdict(findings, enough=True) == expected
    assert verdicts.verdict(findings, enough=False) == "not shown (too few draws)"


def test_noise_is_seldom_shown():
    rng = np.random.default_rng(0)
    statuses = [verdicts.find(rng.normal(size=5), 0).status for _ in range(2000)]
    assert statuses.count(MET) / 2000 == pytest.approx(0.025, abs=0.01)
