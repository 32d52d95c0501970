"""Whole ablations on the tiny data set: what is trained, what is shared, what an interruption costs, where δ comes from."""

import contextlib
import io
import json
import os

import numpy as np
import pandas as pd
import pytest

from bgsnet_tf.errors import UserError
from bgsnet_tf.experiments import ablation
from bgsnet_tf.reporting.result_tables import COLUMNS
from tests.conftest import tiny_config_below
from tests.experiments.trained import trained_stages

FEW = ("BGSNet", "GNet", "BGSNet without annealing", "BSNet without annealing")


def run(config, seeds, **options):
    with contextlib.redirect_stdout(io.StringIO()):
        return ablation.run(config, seeds, **options)


@pytest.fixture
def few_variants(monkeypatch):
    """Only `FEW` variants: one trains something of its own, and two read it."""
    everything = ablation.variants
    monkeypatch.setattr(ablation, "variants", lambda settings: [v for v in everything(settings) if v.name in FEW])


@pytest.mark.long
def test_what_is_shared_is_trained_once_and_the_same_command_changes_nothing(tmp_path, few_variants):
    config = tiny_config_below(tmp_path)
    summary = run(config, 1)
    root = tmp_path / "run" / "seed0"
    assert trained_stages(root) == {
        "full": ["bsnet", "finetune", "meta"],
        "full/validation": ["bsnet", "finetune", "meta"],
        "annealing_false": ["bsnet"],
        "annealing_false/validation": ["bsnet"],
    }
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    names = ("ablation.csv", "ablation.json", "ablation.md", "report.html")
    files = {name: (tmp_path / "run" / name).read_bytes() for name in names}
    assert run(config, 1) == summary == json.loads(files["ablation.json"])
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == times
    assert files == {name: (tmp_path / "run" / name).read_bytes() for name in names}

    rows = pd.read_csv(tmp_path / "run" / "ablation.csv")
    assert rows["variant"].tolist() == list(FEW)
    for row, (folder, branch) in zip(
        rows.to_dict("records"),
        [("full", "fused"), ("full", "general"), ("annealing_false", "fused"), ("annealing_false", "special")],
    ):
        results = json.loads((root / folder / "results.json").read_text())
        validation = json.loads((root / folder / "validation" / "results.json").read_text())
        assert {name: row[name] for name in COLUMNS} == pytest.approx(results[branch], abs=1e-9)
        assert results["split"] == "final" and validation["split"] == "validation"
        assert row["delta"] == results["deltas"][branch] == pytest.approx(validation["deltas"][branch], abs=6e-4)
    assert np.isnan(rows["gates"][1]) and 0 <= rows["gates"][0] <= config.bsnet.submodules

    with pytest.raises(UserError, match="--finetune_lr"):
        run(config.replace(finetune_lr=0.5), 1)


@pytest.mark.slow
def test_all_variants_of_two_seeds(tmp_path):
    config = tiny_config_below(tmp_path)
    summary = run(config, 2)
    assert list(summary["variants"]) == [variant.name for variant in ablation.variants(config)]
    assert len(summary["differences"]) == len(summary["variants"]) - 1
    assert summary["variants"]["BGSNet without dataset balance"]["gates"]["mean"] == config.bsnet.submodules
    for seed in (0, 1):
        trained = trained_stages(tmp_path / "run" / f"seed{seed}")
        assert sorted(run for run, stages in trained.items() if stages != ["bsnet"]) == ["full", "full/validation"]
        assert len(trained) == 12 and not [run for run in trained if run.startswith("meta_false")]


@pytest.mark.parametrize(
    "style, eph_max, balance_epochs, epochs",
    [("sequential", 6, 4, 10), ("parallel", 6, 4, 6), ("parallel", 2, 20, 2), ("parallel", 1, 20, 0)],
)
def test_both_styles_train_as_many_epochs(tmp_path, style, eph_max, balance_epochs, epochs):
    full = tiny_config_below(tmp_path).replace(training_style=style, eph_max=eph_max, balance_epochs=balance_epochs)
    by_name = {variant.name: full.replace(**variant.changes).bsnet for variant in ablation.variants(full)}
    other = {"sequential": "parallel", "parallel": "sequential"}[style]
    if not epochs:
        assert f"BGSNet ({other})" not in by_name
        return
    made = {style: by_name["BGSNet"], other: by_name[f"BGSNet ({other})"]}
    sequential, parallel = made["sequential"], made["parallel"]
    assert (sequential.training_style, parallel.training_style) == ("sequential", "parallel")
    assert sequential.eph_max + sequential.balance_epochs == parallel.eph_max == epochs


def test_each_variant_is_against_the_model_that_it_takes_something_from(tmp_path):
    config = tiny_config_below(tmp_path)
    against = {variant.name: list(variant.against) for variant in ablation.variants(config)}
    assert against == {
        "BGSNet": [],
        "GNet": ["BGSNet"],
        "BSNet": ["BGSNet"],
        "BGSNet without meta": ["BGSNet"],
        "GNet without meta": ["GNet"],
        "BGSNet without instance balance": ["BGSNet"],
        "BGSNet without L_div": ["BGSNet"],
        "BGSNet (parallel)": ["BGSNet"],
        "BGSNet without dataset balance": ["BGSNet"],
        "BSNet without dataset balance": ["BSNet"],
        "BGSNet without annealing": ["BGSNet"],
        "BSNet without annealing": ["BSNet"],
    }


FLAG_OF = {
    "meta": "meta",
    "instance balance": "instance_balance",
    "L_div": "diversity_loss",
    "dataset balance": "dataset_balance",
    "annealing": "annealing",
}


def test_each_variant_is_without_what_its_name_says_and_nothing_else(tmp_path):
    for variant in ablation.variants(tiny_config_below(tmp_path)):
        taken = [what for what in FLAG_OF if variant.name.endswith(f"without {what}")]
        if "parallel" not in variant.name:
            assert variant.changes == {FLAG_OF[what]: False for what in taken}
            assert variant.branch == {"BGSNet": "fused", "GNet": "general", "BSNet": "special"}[variant.name.split()[0]]


@pytest.mark.parametrize(
    "change, rows",
    [
        ({"bsnet": False}, ["GNet", "GNet without meta"]),
        ({"bsnet": False, "meta": False}, ["GNet"]),
        (
            {"gnet": False, "annealing": False},
            ["BSNet", *(f"BSNet without {what}" for what in ("instance balance", "L_div", "dataset balance"))],
        ),
    ],
    ids=["GNet alone", "nothing to take away", "BSNet alone"],
)
def test_rows_that_would_repeat_another_are_left_out(tmp_path, change, rows):
    variants = ablation.variants(tiny_config_below(tmp_path).replace(**change))
    assert [variant.name for variant in variants if "parallel" not in variant.name] == rows
    assert all(variant.branch == "fused" for variant in variants)  # the only branch there is


@pytest.mark.long
def test_without_delta_no_validation_run_is_made_and_one_branch_will_do(tmp_path):
    config = tiny_config_below(tmp_path).replace(bsnet=False, meta_epochs=1)
    summary = run(config, 1, choose_delta=False)
    assert trained_stages(tmp_path / "run" / "seed0") == {"full": ["finetune", "meta"]}
    (row,) = summary["differences"]
    assert set(row) == {"variant", "against", "T", "AUSUC"} and row["variant"] == "GNet without meta"
    assert "--nochoose_delta" in summary["command"] and set(summary["rows"][0]) & {"U", "S", "H"} == set()


def test_the_validation_split_is_refused(tmp_path):
    config = tiny_config_below(tmp_path).replace(split="validation")
    with pytest.raises(UserError, match="drop"):
        ablation.run(config, 2)
    assert not os.path.exists(config.run.run_dir)
