"""A plain run over seeds: what its rows are, what it is set against, and that the same command changes nothing."""

import contextlib
import io
import json

import numpy as np
import pandas as pd
import pytest

from bgsnet_tf import files
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.experiments import comparison, seeds
from tests.experiments.trained import trained_stages

ROWS = ["fused", "general", "special", "linear", "least_squares", "eszsl", "eszsl_tuned"]


@pytest.fixture
def made(tiny_config, tmp_path):
    """Function from a number of seeds to that many finished runs, whose attributes are drawn at random, and their benchmark."""

    def made(count):
        benchmark, pairs = load_benchmark(tiny_config.data), []
        rows = len(benchmark.test_seen) + len(benchmark.test_unseen)
        for seed in range(count):
            own = tiny_config.replace(seed=seed, run_dir=str(tmp_path / f"seed{seed}"))
            rng = np.random.default_rng(seed)
            attributes = {name: rng.normal(size=(rows, benchmark.phi.shape[1])) for name in ROWS}
            files.write_arrays(f"{own.run.run_dir}/attributes.npz", attributes)
            results = {"dataset": "tiny", "flags": {}, "versions": {}, "deltas": dict.fromkeys(ROWS, 0.25 + seed)}
            for name in ROWS:
                placed = seeds.runs.Variant(name, branch=name)
                results[name] = accuracies = dict.fromkeys(("T", "U", "S", "H", "AUSUC"), 0.0)
                found = seeds.runs.decide(placed, [seed], results, attributes[name], benchmark)
                accuracies.update({a: of[0, 0] for a, of in seeds.bootstrap.replicate([found.decisions], *found.labels).items()})
            pairs.append((own, results))
        return pairs, benchmark

    return made


def test_two_general_branches_are_summed_over_all_pairs(made):
    pairs, benchmark = made(3)
    outcomes = [outcome for outcome in seeds._outcomes(pairs, benchmark) if outcome.variant.name == "two general"]
    assert [list(outcome.seeds) for outcome in outcomes] == [[0, 1], [0, 2], [1, 2]]
    general = [seeds.runs.predicted(own)["general"] for own, _ in pairs]
    seen, unseen = np.split((general[0] + general[2]) @ benchmark.phi.T, [len(benchmark.test_seen)])
    labels, classes = benchmark.labels, (benchmark.seen_classes, benchmark.unseen_classes)
    arguments = seen, labels[benchmark.test_seen], unseen, labels[benchmark.test_unseen], *classes
    row = outcomes[1].row()
    expected = seeds.runs.metrics.evaluate_gzsl(*arguments, 0.25 + 2.25)
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    assert (row["seed"], row["delta"], row["gates"]) == ("0+2", 2.5, None)


def test_rows_and_what_they_are_against(made):
    pairs, benchmark = made(3)
    report = comparison.report("Seeds", "python -m it", [], list(seeds._outcomes(pairs, benchmark)))
    assert list(report["variants"]) == [*ROWS, "two general"]
    against = [(row["variant"], row["against"]) for row in report["differences"]]
    assert against[:7] == [("fused", name) for name in (*ROWS[3:], "general", "special", "two general")]
    assert against[7:] == [("general", "linear"), ("special", "linear")]
    by_pair = dict(zip(against, report["differences"]))
    means = {name: row["T"]["mean"] for name, row in report["variants"].items()}
    for (name, other), row in by_pair.items():
        assert row["T"]["difference"] == pytest.approx(means[name] - means[other])


@pytest.mark.parametrize(
    "there, count, rows",
    [
        (("fused", "general", "special", "eszsl_tuned"), 2, ["fused", "general", "special", "eszsl_tuned"]),
        (("fused", "general", "linear", "eszsl"), 3, ["fused", "linear", "eszsl"]),
    ],
    ids=["no features before training, two seeds", "one branch"],
)
def test_rows_that_do_not_exist_are_left_out(there, count, rows):
    found = seeds.variants(dict.fromkeys(there), count)
    assert [variant.name for variant in found] == rows
    assert set(found[0].against) == set(rows[1:])


@pytest.mark.long
def test_all_runs_are_made_once_and_the_same_command_changes_nothing(tiny_config, tmp_path):
    config = tiny_config.replace(bsnet=False, meta=False, finetune_epochs=0, calibrate=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        report = seeds.run(config, 2)
    root = tmp_path / "run"
    assert trained_stages(root) == {name: ["finetune"] for name in ("seed0", "seed0/validation", "seed1", "seed1/validation")}
    assert {path.name for path in root.iterdir()} == {"seed0", "seed1", "seeds.csv", "seeds.json", "seeds.md", "report.html", "figures"}
    assert json.loads((root / "seeds.json").read_text()) == report and report["seeds"] == [0, 1]
    for row in pd.read_csv(root / "seeds.csv").to_dict("records"):
        results = json.loads((root / f"seed{row['seed']}" / "results.json").read_text())
        validation = json.loads((root / f"seed{row['seed']}" / "validation" / "results.json").read_text())
        name = row["variant"]
        assert row["T"] == results[name]["T"] and row["delta"] == pytest.approx(validation["deltas"][name], abs=6e-4)
    times = {path: path.stat().st_mtime_ns for path in (root / "seed0").rglob("*")}
    with contextlib.redirect_stdout(io.StringIO()):
        assert seeds.run(config, 2) == report
    assert {path: path.stat().st_mtime_ns for path in (root / "seed0").rglob("*")} == times
