"""Whole ablations on the tiny data set: what is trained, what is shared, what an interruption costs, where δ comes from."""

import contextlib
import io
import json
import os

import numpy as np
import pandas as pd
import pytest

from bgsnet_tf.errors import UserError
from bgsnet_tf.evaluation.report import COLUMNS
from bgsnet_tf.experiments import ablation
from bgsnet_tf.training import fitting
from tests.conftest import tiny_config_below

FEW = ("BGSNet", "GNet only", "GNet without meta", "BGSNet without annealing", "BSNet without annealing")


def run(config, seeds):
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        return ablation.run(config, seeds)


@pytest.fixture
def few_variants(monkeypatch):
    """Only `FEW` variants: one trains something of its own, and two read it."""
    everything = ablation.variants
    monkeypatch.setattr(ablation, "variants", lambda settings: [v for v in everything(settings) if v.name in FEW])


@pytest.fixture
def trained(monkeypatch):
    """The (run folder, stage, phase) of every phase that trains, below the ablation's folder, in order."""
    phases, fit = [], fitting._fit_phase

    def watched(run, stage, fit_of_stage, phase, first_epoch):
        phases.append((os.path.join(*run.directory.split(os.sep)[-3:]), stage.name, phase.name))
        fit(run, stage, fit_of_stage, phase, first_epoch)

    monkeypatch.setattr(fitting, "_fit_phase", watched)
    return phases


def stages_of(phases, run_dir):
    return [stage for directory, stage, phase in phases if directory.endswith(run_dir) and phase != "heads" and phase != "gates"]


def test_what_is_shared_is_trained_once_and_the_same_command_changes_nothing(tmp_path, few_variants, trained):
    config = tiny_config_below(tmp_path)
    summary = run(config, 1)
    assert stages_of(trained, "seed0/full") == ["finetune", "meta", "bsnet"]
    assert stages_of(trained, "full/validation") == ["finetune", "meta", "bsnet"]
    assert stages_of(trained, "seed0/annealing_false") == ["bsnet"]
    assert stages_of(trained, "meta_false") == stages_of(trained, "meta_false/validation") == []
    assert len(trained) == len(set(trained))
    files = {name: (tmp_path / "run" / name).read_bytes() for name in ("ablation.csv", "ablation.json", "ablation.md")}
    trained.clear()
    assert run(config, 1) == summary == json.loads(files["ablation.json"])
    assert trained == []
    assert files == {name: (tmp_path / "run" / name).read_bytes() for name in files}

    rows = pd.read_csv(tmp_path / "run" / "ablation.csv")
    assert rows["variant"].tolist() == list(FEW)
    for row, (folder, branch) in zip(
        rows.to_dict("records"),
        [("full", "fused"), ("full", "general"), ("meta_false", "general"), ("annealing_false", "fused"), ("annealing_false", "special")],
    ):
        results = json.loads((tmp_path / "run" / "seed0" / folder / "results.json").read_text())
        validation = json.loads((tmp_path / "run" / "seed0" / folder / "validation" / "results.json").read_text())
        assert {name: row[name] for name in COLUMNS} == pytest.approx(results[branch], abs=1e-9)
        assert results["split"] == "final" and validation["split"] == "validation"
        assert row["delta"] == results["deltas"][branch] == pytest.approx(validation["deltas"][branch], abs=6e-4)
    assert np.isnan(rows["gates"][1]) and 0 <= rows["gates"][0] <= config.bsnet.submodules

    with pytest.raises(UserError, match="--finetune_lr"):
        run(config.replace(finetune_lr=0.5), 1)


@pytest.mark.slow
def test_an_interrupted_ablation_ends_as_an_uninterrupted_one(tmp_path, few_variants, trained, monkeypatch):
    config = tiny_config_below(tmp_path).replace(bsnet_lr=1e-3)
    whole = run(config.replace(run_dir=str(tmp_path / "whole" / "run")), 1)
    phases = list(trained)
    trained.clear()
    watched = fitting._fit_phase
    for stop_after in (1, 6, 13):

        def stopping(*arguments, stop_after=stop_after):
            if len(trained) >= stop_after:
                raise KeyboardInterrupt
            watched(*arguments)

        monkeypatch.setattr(fitting, "_fit_phase", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(config, 1)
    monkeypatch.setattr(fitting, "_fit_phase", watched)
    continued = run(config, 1)
    assert continued["variants"] == whole["variants"]
    assert set(trained) == set(phases)


@pytest.mark.slow
def test_all_variants_of_two_seeds(tmp_path, trained):
    config = tiny_config_below(tmp_path)
    summary = run(config, 2)
    assert list(summary["variants"]) == [variant.name for variant in ablation.variants(config)]
    assert summary["variants"]["BGSNet (Sequential)"]["T"]["difference"] == 0
    assert summary["variants"]["BGSNet without dataset balance"]["gates"]["mean"] == config.bsnet.submodules
    assert len(trained) == len(set(trained))
    assert sum(stage == "finetune" and phase == "all" for _, stage, phase in trained) == 4  # two seeds, two splits


def test_both_styles_train_as_many_epochs(tmp_path):
    config = tiny_config_below(tmp_path)
    for style in ("sequential", "parallel"):
        full = config.replace(training_style=style, eph_max=6, balance_epochs=4)
        by_name = {variant.name: full.replace(**variant.changes).bsnet for variant in ablation.variants(full)}
        sequential, parallel = by_name["BGSNet (Sequential)"], by_name["BGSNet (Parallel)"]
        assert (sequential.training_style, parallel.training_style) == ("sequential", "parallel")
        assert sequential.eph_max + sequential.balance_epochs == parallel.eph_max == {"sequential": 10, "parallel": 6}[style]


@pytest.mark.parametrize("change", [{"gnet": False}, {"meta": False}, {"bsnet": False}, {"split": "validation"}])
def test_settings_that_leave_nothing_to_compare_are_refused(tmp_path, change):
    config = tiny_config_below(tmp_path).replace(**change)
    with pytest.raises(UserError, match="drop"):
        ablation.run(config, 2)
    assert not os.path.exists(config.run.run_dir)
