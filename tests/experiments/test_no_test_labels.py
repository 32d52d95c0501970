"""Nothing is learnt from a test split: nonsense labels there change no weight, no δ and no epoch, bit for bit."""

import contextlib
import io
import json
import os

import numpy as np
import pandas as pd

from bgsnet_tf import commands
from tests.whole_runs import CALIBRATED, tiny_config_below


def plant_nonsense(config):
    """Gives every row of either test split another class of its split's; returns how many rows it changed."""
    path = os.path.join(config.data.data_dir, "images.csv")
    table = pd.read_csv(path)
    for split in ("test_seen", "test_unseen"):
        rows = table["split"] == split
        classes = sorted(table.loc[rows, "class"].unique())
        table.loc[rows, "class"] = table.loc[rows, "class"].map(dict(zip(classes, np.roll(classes, 1))))
    changed = (table["class"] != pd.read_csv(path)["class"]).sum()
    table.to_csv(path, index=False)
    return changed


def learnt(run_dir):
    """All that a calibrated run through all stages chose and learnt: δ, the weights of every stage, the epochs kept."""
    found = {}
    for root, _, names in os.walk(run_dir):
        place = os.path.relpath(root, run_dir)
        if "checkpoints" in place:
            found[place] = sorted(name for name in names if name.endswith(".index"))
        if "stage.json" in names:
            with open(os.path.join(root, "stage.json")) as file:
                found[f"{place} weights"] = json.load(file)["digest"]
    with open(os.path.join(run_dir, "config.flags")) as file:
        found["deltas"] = [line for line in file if line.startswith("--delta")]
    return found


def test_nonsense_labels_in_the_test_splits_change_nothing_that_is_learnt(calibrated, tmp_path):
    planted = tiny_config_below(tmp_path).replace(**CALIBRATED)
    assert plant_nonsense(planted) == 24  # 2 images of 4 seen classes, 8 of 2 unseen ones
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        commands.train(planted)
    of_right, of_planted = learnt(calibrated.run.run_dir), learnt(planted.run.run_dir)
    assert of_planted == of_right
    assert sum(name.endswith("weights") for name in of_right) == 6  # three stages, in the final and the validation split
    assert not any(line.endswith("=0.0\n") for line in of_right["deltas"]) and None not in of_right.values()
