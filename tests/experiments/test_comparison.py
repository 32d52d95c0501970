"""Checks mean, deviation and test against hand-made figures, and what the tables say of noise."""

import json

import numpy as np
import pytest

from bgsnet_tf.experiments import comparison

FULL = {"T": [90.0, 91.0, 92.0], "U": [80.0, 80.0, 80.0], "S": [70.0, 71.0, 70.5], "H": [60.0, 60.0, 60.0], "AUSUC": [50.0, 50.0, 50.0]}
OTHER = {"T": [85.0, 86.1, 87.0], "U": [80.0, 80.0, 80.0], "S": [71.0, 70.0, 70.6], "H": [59.0, 59.0, 59.0], "AUSUC": [50.1, 49.8, 50.2]}


def rows(seeds=3, other=OTHER, gates=(4, 5, 3)):
    return [
        {"variant": name, "seed": seed, **{figure: values[seed] for figure, values in figures.items()}, "gates": gate, "delta": 0.5}
        for seed in range(seeds)
        for name, figures, gate in (("full", FULL, gates[seed]), ("other", other, None))
    ]


def report(**settings):
    return {"dataset": "birds", "command": "python -m it --seeds=3", **comparison.compare(rows(**settings), "full")}


def test_mean_deviation_and_paired_test():
    of_other = report()["variants"]["other"]
    assert of_other["T"]["mean"] == pytest.approx(np.mean(OTHER["T"]))
    assert of_other["T"]["std"] == pytest.approx(np.sqrt(np.sum((np.array(OTHER["T"]) - np.mean(OTHER["T"])) ** 2) / 2))
    differences = np.array([-5.0, -4.9, -5.0])
    statistic = differences.mean() / (differences.std(ddof=1) / np.sqrt(3))
    # Student's distribution with two degrees of freedom has a closed form.
    p = 1 - abs(statistic) / np.sqrt(2 + statistic**2)
    assert of_other["T"]["difference"] == pytest.approx(-4.966667, abs=1e-6)
    assert of_other["T"]["p"] == pytest.approx(p, rel=1e-6)
    assert not of_other["T"]["within_noise"] and of_other["S"]["within_noise"] and of_other["AUSUC"]["within_noise"]


def test_gates_are_counted_where_there_are_any():
    variants = report()["variants"]
    assert variants["full"]["gates"] == {"mean": 4.0, "std": 1.0} and "gates" not in variants["other"]
    assert "difference" not in variants["full"]["T"]


@pytest.mark.parametrize("figure", ["U", "H"])
def test_a_difference_without_spread_has_no_p_and_is_noise(figure):
    of_other = report()["variants"]["other"][figure]
    assert of_other["p"] is None and of_other["within_noise"]


def test_one_seed_is_only_noise():
    one = report(seeds=1)
    assert one["variants"]["other"]["T"] == {"mean": 85.0, "std": None, "difference": -5.0, "p": None, "within_noise": True}
    assert comparison.format_table(one).splitlines() == [
        "birds             T             U             S             H         AUSUC    gates > .5",
        "full           90.0          80.0          70.0          60.0          50.0           4.0",
        "other          85.0          80.0          71.0          59.0          50.1             -",
        "One seed: no deviation and no test; every difference may be noise.",
    ]


def test_tables():
    lines = comparison.format_table(report()).splitlines()
    assert lines[1:3] == [
        "full     91.0 ± 1.0    80.0 ± 0.0    70.5 ± 0.5    60.0 ± 0.0    50.0 ± 0.0     4.0 ± 1.0",
        "other  86.0 ± 1.0 *    80.0 ± 0.0    70.5 ± 0.5    59.0 ± 0.0    50.0 ± 0.2             -",
    ]
    assert lines[3].startswith("Mean ± standard deviation over 3 seeds") and "is within noise" in lines[3]
    assert lines[4] == "1 of 5 comparisons have a *; about 1 would by chance alone if no variant differed."
    markdown = comparison.format_markdown(report())
    assert "    python -m it --seeds=3\n" in markdown
    assert "| other | 86.0 ± 1.0 * | 80.0 ± 0.0 |" in markdown
    assert "| other | -5.0 (0.000) * | +0.0 | +0.0 (0.959) | -1.0 | +0.0 (0.808) |" in markdown


def test_files(tmp_path):
    comparison.write(tmp_path / "new", rows(), report())
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["ablation.csv", "ablation.json", "ablation.md", "figures"]
    assert sorted(path.name for path in (tmp_path / "new" / "figures").iterdir()) == ["ablation.png", "ablation.svg"]
    assert json.loads((tmp_path / "new" / "ablation.json").read_text()) == report()
    lines = (tmp_path / "new" / "ablation.csv").read_text().splitlines()
    assert lines[:2] == ["variant,seed,T,U,S,H,AUSUC,gates,delta", "full,0,90.0,80.0,70.0,60.0,50.0,4,0.5"] and len(lines) == 7
