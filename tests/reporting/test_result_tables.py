"""Checks the table letter by letter, and that the files hold the same numbers and appear whole."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from bgsnet_tf.errors import UserError
from bgsnet_tf.evaluation import metrics
from bgsnet_tf.reporting import result_tables

FUSED = {"T": 43.84, "U": 1 / 3, "S": 100.0, "H": 0.66, "AUSUC": 20.06}
GENERAL = {"T": 40.0, "U": 30.0, "S": 20.0, "H": 24.0, "AUSUC": 10.0}


def results(dataset="apy", **branches):
    deltas = {"fused": 0.7, "general": 0.4, "special": 1.25}
    return {"dataset": dataset, "delta": 0.7, "deltas": deltas, "delta_source": "chosen on the validation split", **branches}


def per_class():
    return pd.DataFrame({"class": ["lion, white", "été"], "split": ["seen", "unseen"], "images": [3, 2], "fused": [200 / 3, 50.0]})


def test_table_with_the_papers_row_and_its_footnote():
    assert result_tables.table(results(general=GENERAL, fused=FUSED)).splitlines() == [
        "apy          T      U      S      H  AUSUC       δ",
        "fused     43.8    0.3  100.0    0.7   20.1    0.70",
        "general   40.0   30.0   20.0   24.0   10.0    0.40",
        "paper *   43.8   31.0   51.9   39.7      -       -",
        "* H as printed; U = 31.0 and S = 51.9 give 38.8",
        "δ: chosen on the validation split",
    ]


def test_table_of_a_data_set_that_the_paper_does_not_have():
    assert result_tables.table(results("birds of mine", special=GENERAL)).splitlines() == [
        "birds of mine      T      U      S      H  AUSUC       δ",
        "special         40.0   30.0   20.0   24.0   10.0    1.25",
        "δ: chosen on the validation split",
    ]


@pytest.mark.parametrize("dataset", result_tables.PAPER_ROWS)
def test_the_papers_h_follows_from_its_u_and_s_unless_a_footnote_says_otherwise(dataset):
    row = result_tables.PAPER_ROWS[dataset]
    follows = abs(metrics.harmonic_mean(row["U"], row["S"]) - row["H"]) < 0.1
    assert follows == (dataset not in result_tables.PAPER_FOOTNOTES)


def test_per_class_table_averages_to_u_and_s():
    rng = np.random.default_rng(0)
    scores = {branch: (rng.normal(size=(30, 5)), rng.normal(size=(20, 5))) for branch in ("fused", "general")}
    labels_seen, labels_unseen = np.resize([0, 2, 2], 30), np.resize([1, 4], 20)
    arguments = scores, labels_seen, labels_unseen, [0, 2, 3], [1, 4], {"fused": 0.3, "general": -0.2}
    table = result_tables.per_class_table(["a", "b", "c", "without images", "e"], *arguments)
    assert list(table.columns) == ["class", "split", "images", "fused", "general"]
    assert list(table.index) == [0, 1, 2, 3]
    assert table[["class", "split", "images"]].values.tolist() == [
        ["a", "seen", 10],
        ["c", "seen", 20],
        ["b", "unseen", 10],
        ["e", "unseen", 10],
    ]
    for branch, expected in metrics.evaluate_branches(*arguments).items():
        means = table.groupby("split")[branch].mean()
        assert (means["unseen"], means["seen"]) == pytest.approx((expected["U"], expected["S"]), abs=1e-9)


def test_files_hold_the_same_numbers(tmp_path):
    written = results(fused=FUSED, general=GENERAL, seed=3)
    result_tables.write_results(tmp_path / "new", written, per_class())
    assert json.loads((tmp_path / "new" / "results.json").read_text(encoding="utf-8")) == written
    rows = pd.read_csv(tmp_path / "new" / "results.csv", float_precision="round_trip")
    assert list(rows.columns) == ["dataset", "branch", "T", "U", "S", "H", "AUSUC", "delta"]
    assert rows.to_dict("records") == [
        {"dataset": "apy", "branch": "fused", **FUSED, "delta": 0.7},
        {"dataset": "apy", "branch": "general", **GENERAL, "delta": 0.4},
    ]
    classes = pd.read_csv(tmp_path / "new" / "per_class.csv", float_precision="round_trip")
    pd.testing.assert_frame_equal(classes, per_class(), check_exact=True)


def test_nothing_but_the_three_files_is_left(tmp_path):
    for _ in range(2):
        result_tables.write_results(tmp_path, results(fused=FUSED), per_class())
    assert sorted(os.listdir(tmp_path)) == ["per_class.csv", "results.csv", "results.json"]


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path, monkeypatch):
    result_tables.write_results(tmp_path, results(fused=FUSED), per_class())

    def fail(source, target):
        assert os.path.getsize(source) > 0 and os.path.dirname(source) == os.path.dirname(target)
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        result_tables.write_results(tmp_path, results(fused=GENERAL), per_class())
    assert sorted(os.listdir(tmp_path)) == ["per_class.csv", "results.csv", "results.json"]
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["fused"] == FUSED


def test_accuracies_that_json_cannot_hold_are_refused_before_any_file_is_touched(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        result_tables.write_results(tmp_path, results(fused={**FUSED, "H": float("nan")}), per_class())
    assert not os.listdir(tmp_path)


def test_a_curve_is_read_as_it_was_written(tmp_path):
    rng = np.random.default_rng(0)
    curves = {name: metrics.SeenUnseenCurve(np.sort(rng.normal(size=5)), *rng.uniform(0, 100, (2, 6))) for name in ("fused", "general")}
    result_tables.write_curves(tmp_path, curves)
    for branch, curve in curves.items():
        read = result_tables.read_curve(tmp_path, branch)
        for name in ("switches", "U", "S"):
            np.testing.assert_array_equal(getattr(read, name), getattr(curve, name))
    assert result_tables.read_curve(tmp_path / "elsewhere", "fused") is None


def test_a_verdict_on_each_reference_is_a_sentence():
    ahead, behind, level = ({"difference": d, "low": d - 1, "high": d + 1} for d in (1.5, -2.0, 0.25))
    found = results(
        fused=FUSED, linear=GENERAL, fused_less={"linear": {"T": ahead, "AUSUC": level}, "eszsl": {"T": behind, "AUSUC": ahead}}
    )
    assert result_tables.verdicts(found) == [
        "fused beats linear in T (+1.5, +0.5 to +2.5), cannot be told from linear in AUSUC (+0.2, -0.8 to +1.2); "
        "95 % intervals over test images",
        "fused loses to eszsl in T (-2.0, -3.0 to -1.0), beats eszsl in AUSUC (+1.5, +0.5 to +2.5); 95 % intervals over test images",
    ]
    assert result_tables.table({**found, "deltas": {"fused": 0.0, "linear": 0.0}}).splitlines()[-2:] == result_tables.verdicts(found)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"branch,U\nfused,1\n", b"branch,from_delta,U,S,H\nfused,x,1,1,1\n", b"a,b\n1,2,3,4\n"]
)
def test_a_damaged_curve_is_one_line(tmp_path, content):
    (tmp_path / "calibration.csv").write_bytes(content)
    with pytest.raises(UserError, match="calibration.csv is damaged .*evaluate.py --run_dir="):
        result_tables.read_curve(tmp_path, "fused")
