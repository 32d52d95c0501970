"""Checks mean, deviation and test against hand-made figures, and what the tables say of noise."""

import base64
import json
import re

import numpy as np
import pytest

from bgsnet_tf.experiments import comparison, runs
from bgsnet_tf.reporting import figures

FULL = {"T": [90.0, 91.0, 92.0], "U": [80.0, 80.0, 80.0], "S": [70.0, 71.0, 70.5], "H": [60.0, 60.0, 60.0], "AUSUC": [50.0, 50.0, 50.0]}
OTHER = {"T": [85.0, 86.1, 87.0], "U": [80.0, 80.0, 80.0], "S": [71.0, 70.0, 70.6], "H": [59.0, 59.0, 59.0], "AUSUC": [50.1, 49.8, 50.2]}


def rows(seeds=3, other=OTHER, gates=(4, 5, 3)):
    return [
        {"variant": name, "seed": seed, **{figure: values[seed] for figure, values in of_name.items()}, "gates": gate, "delta": 0.5}
        for seed in range(seeds)
        for name, of_name, gate in (("full", FULL, gates[seed]), ("other", other, None))
    ]


def report(**settings):
    of_rows = rows(**settings)
    given = {"title": "Ablation of <birds>", "dataset": "birds", "command": "python -m it --seeds=3", "notes": ["On <some> split."]}
    made = {"versions": [{"TensorFlow": "2.15"}], "flags": {"eta": 0.5}, "rows": of_rows}
    return {**given, **comparison.compare(of_rows, "full"), **made}


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
        "On <some> split.",
        "One seed: no deviation and no test; every difference may be noise.",
    ]


def test_tables():
    lines = comparison.format_table(report()).splitlines()
    assert lines[1:3] == [
        "full     91.0 ± 1.0    80.0 ± 0.0    70.5 ± 0.5    60.0 ± 0.0    50.0 ± 0.0     4.0 ± 1.0",
        "other  86.0 ± 1.0 *    80.0 ± 0.0    70.5 ± 0.5    59.0 ± 0.0    50.0 ± 0.2             -",
    ]
    assert (
        lines[3] == "On <some> split." and lines[4].startswith("Mean ± standard deviation over 3 seeds") and "is within noise" in lines[4]
    )
    assert lines[5] == "1 of 5 comparisons have a *; about 1 would by chance alone if no variant differed."
    markdown = comparison.format_markdown(report(), {"it": "T of all"})
    assert "    python -m it --seeds=3\n" in markdown
    assert "![T of all](figures/it.svg)" in markdown
    assert "| other | 86.0 ± 1.0 * | 80.0 ± 0.0 |" in markdown
    assert "| other | -5.0 (0.000) * | +0.0 | +0.0 (0.959) | -1.0 | +0.0 (0.808) |" in markdown


def test_a_report_gathers_rows_versions_and_the_flags_of_the_base():
    results = {name: values[0] for name, values in FULL.items()}
    by_branch = {
        "dataset": "birds",
        "fused": results,
        "special": results,
        "deltas": {"fused": 1.0, "special": 2.0},
        "gates": [0.9, 0.5, 0.6],
    }
    outcomes = [
        runs.Outcome(runs.Variant(name, branch=branch), 0, {**by_branch, "flags": {"eta": eta}, "versions": {"TensorFlow": version}})
        for name, branch, eta, version in (("full", "fused", 0.1, "1"), ("other", "special", 0.2, "2"), ("third", "special", 0.3, "1"))
    ]
    made = comparison.report("Title", "python -m it", [], outcomes, ["eta"])
    assert made["rows"][1] == {"variant": "other", "eta": 0.2, "seed": 0, **results, "gates": 2, "delta": 2.0}
    assert made["versions"] == [{"TensorFlow": "1"}, {"TensorFlow": "2"}] and made["flags"] == {"eta": 0.1}
    assert made["variants"] == comparison.compare(made["rows"], "full")["variants"]


def write(directory, made):
    comparison.write(directory, "ablation", made, {"drawn": (figures.variants(made["variants"]), "T & H of all")})


def test_files(tmp_path):
    write(tmp_path / "new", report())
    names = ["ablation.csv", "ablation.json", "ablation.md", "figures", "report.html"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    assert sorted(path.name for path in (tmp_path / "new" / "figures").iterdir()) == ["drawn.png", "drawn.svg"]
    assert json.loads((tmp_path / "new" / "ablation.json").read_text()) == report()
    lines = (tmp_path / "new" / "ablation.csv").read_text().splitlines()
    assert lines[:2] == ["variant,seed,T,U,S,H,AUSUC,gates,delta", "full,0,90.0,80.0,70.0,60.0,50.0,4,0.5"] and len(lines) == 7


def test_the_page_is_one_file_with_every_figure_of_the_report(tmp_path):
    write(tmp_path, report())
    page = (tmp_path / "report.html").read_text()
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses) and "<script" not in page
    drawn = base64.b64encode((tmp_path / "figures" / "drawn.svg").read_bytes()).decode()
    assert f"data:image/svg+xml;base64,{drawn}" in addresses and 'alt="T &amp; H of all"' in page
    shown = (
        "Ablation of &lt;birds&gt;",
        "On &lt;some&gt; split.",
        "<td>86.0<small>±1.0*</small></td>",
        "<td>-5.0<small>(0.000)*</small></td>",
        "Beyond noise (*): other in T (-5.0, p = 0.000). Every other difference is within noise.",
        "<td>full</td><td>2</td><td>92.0</td><td>80.0</td><td>70.5</td><td>60.0</td><td>50.0</td><td>3</td><td>0.50</td>",
        "python -m it --seeds=3",
        "Seeds 0, 1, 2. TensorFlow 2.15.",
        "--eta=0.5",
    )
    assert [text for text in shown if text not in page] == []


@pytest.mark.parametrize("settings, words", [({"other": FULL}, "Every difference is within noise."), ({"seeds": 1}, "there is no test")])
def test_the_page_says_where_there_is_only_noise(tmp_path, settings, words):
    write(tmp_path, report(**settings))
    page = (tmp_path / "report.html").read_text()
    assert words in page and "Beyond noise" not in page
