"""Checks means, intervals and corrections against hand-made models, and what the tables say of noise."""

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from bgsnet_tf.evaluation import bootstrap, metrics
from bgsnet_tf.experiments import comparison, runs
from bgsnet_tf.reporting import figures
from bgsnet_tf.text_table import format_markdown

LABELS = np.repeat(np.arange(5), 4), np.repeat(np.arange(5, 10), 4)  # four images of each class
VERSIONS = {"TensorFlow": "2.15"}


def outcome(variant, seeds, right, gates=(0.9, 0.5, 0.6), labels=LABELS, **results):
    """A model that knows all seen classes and `right` of the five unseen ones without doubt, so that images do not matter."""
    known = (labels[1] - 5 < right, labels[1])
    chosen = np.where(known[0], labels[1], 5 + (labels[1] + 1) % 5)
    scores = np.eye(10)[labels[0]], np.eye(10)[chosen]
    found = metrics.decisions(scores[0], labels[0], scores[1], labels[1], np.arange(5), np.arange(5, 10), 0.0)
    accuracies = {name: float(values[0, 0]) for name, values in bootstrap.replicate([found], *labels).items()}
    made = {"dataset": "birds", "deltas": {variant.branch: 0.5}, "gates": gates, "flags": {"eta": 0.5}, "versions": VERSIONS}
    return runs.Outcome(variant, seeds, {**made, variant.branch: accuracies, **results}, found, labels)


FULL, OTHER = runs.Variant("full"), runs.Variant("other", branch="general", against=["full"])


def outcomes(full=(5, 4, 5), other=(2, 2, 3)):
    return [
        outcome(variant, [seed], right) for seed, of_seed in enumerate(zip(full, other)) for variant, right in zip((FULL, OTHER), of_seed)
    ]


def report(made=None, **settings):
    return comparison.report("Ablation of <birds>", "python -m it --seeds=3", ["On <some> split."], made or outcomes(), **settings)


def test_mean_deviation_and_gates():
    variants = report()["variants"]
    assert variants["full"]["T"] == pytest.approx({"mean": np.mean([100, 80, 100]), "std": np.std([100, 80, 100], ddof=1)})
    assert variants["full"]["gates"] == {"mean": 2.0, "std": 0.0} and "gates" not in variants["other"]


def test_where_images_do_not_matter_a_difference_has_students_interval():
    (row,) = report()["differences"]
    expected = scipy.stats.ttest_rel([40, 40, 60], [100, 80, 100])
    low, high = expected.confidence_interval(0.95)
    assert (row["variant"], row["against"]) == ("other", "full")
    assert row["T"] == pytest.approx(
        {"difference": -140 / 3, "low": low, "high": high, "p": expected.pvalue, "p_holm": row["T"]["p_holm"], "beyond_noise": False}
    )
    assert row["T"]["p_holm"] > row["T"]["p"] and row["S"]["p"] is None and not row["S"]["beyond_noise"]


def test_the_correction_is_holms():
    found = [{"p": p} for p in (0.01, 0.04, None, 0.03, 0.005)]
    comparison._correct(found, seeds=3)
    assert [row["p_holm"] for row in found] == pytest.approx([0.03, 0.06, None, 0.06, 0.02])
    assert [row["beyond_noise"] for row in found] == [True, False, False, False, True]


def test_pairs_of_seeds_count_as_the_seeds_that_they_are_made_of():
    of_seed = np.array([[10.0, 11.0], [20.0, 23.0], [60.0, 61.0], [30.0, 32.0]])  # (seeds, 1 + replicates)
    pairs = [(i, j) for i in range(4) for j in range(i)]
    summed = [outcome(OTHER, pair, 1) for pair in pairs]
    values = np.array([(of_seed[i] + of_seed[j]) / 2 for i, j in pairs])
    np.testing.assert_allclose(comparison._per_seed(summed, range(4), values), of_seed)


def test_one_seed_shows_nothing():
    made = report(outcomes(full=[5], other=[2]))
    (row,) = made["differences"]
    assert row["T"]["difference"] == -60 and not row["T"]["beyond_noise"] and made["variants"]["other"]["T"]["std"] is None
    assert "another seed may move them" in comparison.summary(made) and "*" not in comparison.summary(made)


def test_other_images_are_compared_with_nothing():
    labels = LABELS[0], np.repeat(np.arange(5, 10), [3, 5, 4, 4, 4])
    made = [outcome(FULL, [0], 5), outcome(OTHER, [0], 2, labels=labels)]
    assert comparison.summary(report([outcome(FULL, [seed], 5) for seed in (0, 1)])).endswith("over 2 seeds, in percent.")
    assert report(made)["differences"] == [] and list(report(made)["variants"]) == ["full", "other"]


def test_accuracies_that_mean_nothing_are_left_out():
    made = report(accuracies=("T", "AUSUC"))
    assert set(made["differences"][0]) == {"variant", "against", "T", "AUSUC"} and set(made["variants"]["other"]) == {"T", "AUSUC"}
    assert list(made["rows"][0]) == ["variant", "seed", "T", "AUSUC", "gates", "delta"]
    assert comparison.tables(made)[0][0] == ["birds", "T", "AUSUC", "gates > .5"]


def test_a_bar_in_a_cell_ends_no_cell_of_a_markdown_table():
    assert format_markdown([["a", "b", "c"], ["|η|", "x", "1"]], texts=2) == "| a | b | c |\n|---|---|---:|\n| \\|η\\| | x | 1 |"


def test_tables():
    lines = comparison.summary(report()).splitlines()
    assert lines[0].split() == ["birds", "T", "U", "S", "H", "AUSUC", "gates", ">", ".5"]
    assert re.fullmatch(r"full +93\.3 ± 11\.5 .* 2\.0 ± 0\.0", lines[1]) and re.fullmatch(r"other +46\.7 ± 11\.5 .* -", lines[2])
    assert re.fullmatch(r"other − full +-46\.7 \(-75\.4 to -18\.0\) .* \+0\.0 .*", lines[4])
    assert lines[5] == "On <some> split." and "Holm's correction for all 5 comparisons" in lines[6]
    markdown = comparison.format_document(report(), {"it": "T of all"})
    assert "    python -m it --seeds=3\n" in markdown and "![T of all](figures/it.svg)" in markdown
    assert "| other − full | -46.7 (-75.4 to -18.0) " in markdown


def test_a_report_gathers_rows_versions_and_the_flags_of_the_base():
    made = [outcome(FULL, [3], 5, flags={"eta": 0.1}), outcome(OTHER, [3, 4], 2, flags={"eta": 0.2}, versions={"TensorFlow": "2.16"})]
    found = report(made, flags=["eta"])
    accuracies = {name: made[1].results["general"][name] for name in ("T", "U", "S", "H", "AUSUC")}
    assert found["rows"][1] == {"variant": "other", "eta": 0.2, "seed": "3+4", **accuracies, "gates": None, "delta": 0.5}
    assert found["versions"] == [VERSIONS, {"TensorFlow": "2.16"}] and found["flags"] == {"eta": 0.1} and found["seeds"] == [3]


def write(directory, made):
    comparison.write(directory, "ablation", made, {"drawn": (figures.variants(made["variants"]), "T & H of all")})


def test_files(tmp_path):
    write(tmp_path / "new", report())
    names = ["ablation.csv", "ablation.json", "ablation.md", "figures", "report.html"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    assert sorted(path.name for path in (tmp_path / "new" / "figures").iterdir()) == ["drawn.png", "drawn.svg"]
    assert json.loads((tmp_path / "new" / "ablation.json").read_text()) == report()
    rows = pd.read_csv(tmp_path / "new" / "ablation.csv")
    assert list(rows.columns) == ["variant", "seed", "T", "U", "S", "H", "AUSUC", "gates", "delta"] and len(rows) == 6


def test_the_page_is_one_file_with_every_figure_of_the_report(tmp_path):
    write(tmp_path, report(outcomes([5] * 6, [2, 2, 2, 3, 2, 2])))
    page = (tmp_path / "report.html").read_text()
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses) and "<script" not in page
    drawn = base64.b64encode((tmp_path / "figures" / "drawn.svg").read_bytes()).decode()
    assert f"data:image/svg+xml;base64,{drawn}" in addresses and 'alt="T &amp; H of all"' in page
    shown = (
        "Ablation of &lt;birds&gt;",
        "On &lt;some&gt; split.",
        "<td>43.3<small>± 8.2</small></td>",
        "<td>-56.7<small>(-65.2 to -48.1) *</small></td>",
        "Beyond noise (*), p after Holm",
        "other − full in T (-56.7, p = 0.000)",
        "python -m it --seeds=3",
        "Seeds 0, 1, 2, 3, 4, 5. TensorFlow 2.15.",
        "--eta=0.5",
    )
    assert [text for text in shown if text not in page] == []


@pytest.mark.parametrize(
    "made, words", [(outcomes(other=(5, 4, 5)), "Every difference is within noise."), (outcomes([5], [2]), "every difference may be noise")]
)
def test_the_page_says_where_there_is_only_noise(tmp_path, made, words):
    write(tmp_path, report(made))
    page = (tmp_path / "report.html").read_text()
    assert words in page and "Beyond noise" not in page
