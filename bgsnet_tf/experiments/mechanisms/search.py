"""The search for settings in which the mechanisms work, on validation classes alone, before they are tested.

    python -m bgsnet_tf.experiments.mechanisms.search --flagfile=configs/mechanisms.flags --run_dir=runs/mechanisms --draws=2

Its draws of classes are not those of the test, and it reads the validation split of each. The method and the controls beside it get the
same trials; those that would change nothing in a control are not run. The method's settings are those that meet most of `criteria`, then
those of the highest T, fused; a control's are those of its highest T, special branch. It writes search.csv and search.md, which
the document of the test takes in. The same command continues after an interruption.
"""

import math
import os

import numpy as np
import pandas as pd
from absl import flags

from bgsnet_tf import cli, config, files
from bgsnet_tf.evaluation import mechanisms as m
from bgsnet_tf.experiments import runs
from bgsnet_tf.experiments.mechanisms import registered
from bgsnet_tf.experiments.mechanisms.networks import Networks
from bgsnet_tf.experiments.mechanisms.registered import FULL
from bgsnet_tf.experiments.mechanisms.terms import Situation
from bgsnet_tf.text_table import format_markdown

RATES = {"bsnet_lr": 0.05, "tail_lr": 0.05, "gate_lr": 0.05}  # of a trial that says nothing else
GRID = {
    "first": {},
    "η 0.1": {"eta": 0.1},
    "η 10": {"eta": 10.0},
    "open": {"b_start": "open"},
    "open, η 0.1": {"b_start": "open", "eta": 0.1},
    "gates go on": {"gates_go_on": True},
    "fast gates": {"gate_lr": 0.5},
    "longer": {"eph_max": 10, "balance_epochs": 10},
    # From here on added after those above were seen: η 10 alone parted the errors, fast gates alone changed the order of gates,
    # and the special branch stayed behind the general one, as it did on photos before f_s began as f_g.
    "η 3, fast gates": {"eta": 3.0, "gate_lr": 0.5},
    "η 10, fast gates": {"eta": 10.0, "gate_lr": 0.5},
    "f_s from f_g": {"s_start": "general"},
    "f_s from f_g, η 10, fast gates": {"s_start": "general", "eta": 10.0, "gate_lr": 0.5},
    "slower, fast gates": {"bsnet_lr": 0.01, "tail_lr": 0.01, "gate_lr": 0.5},
    "slower, f_s from f_g, fast gates": {"s_start": "general", "bsnet_lr": 0.01, "tail_lr": 0.01, "gate_lr": 0.5},
}
ADDED = 6  # of them after the others were seen, which the document says
NO_EFFECT = {"partition": ("η", "open"), "no L_div": ("η", "open, η")}  # control to the beginnings of trials that change nothing in it
CONTROLS = tuple(registered.WITHOUT_DIVERSITY)
AGAINST = "three cues"


def situations():
    """Name to `Situation`, with a network for every trial: "full: first", …"""
    families, cues = (registered.SITUATIONS[name] for name in ("families", AGAINST))
    trials = {_name(FULL, trial): {**RATES, **changes} for trial, changes in GRID.items()}
    controls = {
        _name(control, trial): {**registered.WITHOUT_DIVERSITY[control], **RATES, **changes}
        for control in CONTROLS
        for trial, changes in GRID.items()
        if not trial.startswith(NO_EFFECT.get(control, ()) or "\0")
    }
    return {"families": Situation(families.dials, trials), AGAINST: Situation(cues.dials, {**trials, **controls})}


def criteria(row):
    """How many of the mechanisms' signs a trial of the method shows, from its means."""
    return (
        (row["share of images"] > 0.1)
        + (row["loss by shuffling"] > 1)
        + (row["fine told by w^t"] > 0.7)
        + (row["errors correlate less"] > 0)
        + (row["order of gates"] < 0.5)
    )


def run(settings, draws, workers):
    """Trains all trials that are not measured, and writes what came out.

    Returns:
      DataFrame with a row a trial of the method and of each control: means over draws.
    """
    networks = Networks(settings.replace(split="validation"), situations(), registered.SEARCH_DRAW)
    if workers:
        networks.train(draws, 0, workers)
    rows = [row for draw in range(draws) for row in _rows(draw, networks.of_draw(draw, 1)[0])]
    table = means(rows)
    directory = settings.run.run_dir
    files.write(os.path.join(directory, "search.csv"), pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))
    command = runs.command("bgsnet_tf.experiments.mechanisms.search", [f"--draws={draws}"], settings)
    files.write(os.path.join(directory, "search.md"), _document(table, draws, command))
    print(table.to_string(index=False, float_format="%.2f"))
    print("\n".join(f"{network}: {trial}" for network, trial in chosen(table).items()))
    return table


def means(rows):
    """DataFrame with a row a trial, in order: means over draws of `rows`, dicts, and for the method how many `criteria` they meet."""
    table = pd.DataFrame(rows).groupby(["network", "trial"], sort=False).mean(numeric_only=True).drop(columns="draw").reset_index()
    table["criteria"] = [criteria(row) if row["network"] == FULL else math.nan for row in table.to_dict("records")]
    return table


def chosen(table):
    """Network to the trial that is chosen for it."""
    method = table[table["network"] == FULL].sort_values(["criteria", "T fused"], ascending=False, kind="stable")
    of_controls = {name: table[table["network"] == name].sort_values("T special", ascending=False, kind="stable") for name in CONTROLS}
    return {name: rows.iloc[0]["trial"] for name, rows in {FULL: method, **of_controls}.items() if len(rows)}


def _rows(draw, seed):
    """A row for every trial of a draw that is measured; T and the order of gates are means of both situations."""
    without = seed.networks.get((AGAINST, _name("no L_div", "first")))
    for name in dict.fromkeys(name for _, name in seed.networks):
        network, trial = name.split(": ", 1)
        cues, families = (seed.networks.get((situation, name)) for situation in (AGAINST, "families"))
        there = [measured for measured in (cues, families) if measured is not None]
        row = {"draw": draw, "network": network, "trial": trial}
        row |= {f"T {branch}": np.mean([m.accuracy(x, getattr(x, branch)) for x in there]) for branch in ("general", "special", "fused")}
        yield {
            **row,
            "share of images": m.share_of_images(families) if families else math.nan,
            "loss by shuffling": m.loss_by_shuffling(families, seed.rng) if families else math.nan,
            "fine told by w^t": m.fine_told_by_weights(families) if families else math.nan,
            "errors correlate less": m.correlation_of_errors(without) - m.correlation_of_errors(cues) if without and cues else math.nan,
            "order of gates": np.mean([m.order_kept(measured) for measured in there]),
        }


def _name(network, trial):
    return f"{network}: {trial}"


def _document(table, draws, command):
    texts = [[cell if isinstance(cell, str) else "-" if math.isnan(cell) else f"{cell:.2f}" for cell in row] for row in table.to_numpy()]
    picked = "; ".join(f"{network}: {trial}" for network, trial in chosen(table).items())
    grid = "; ".join(f"{name}: {' '.join(f'--{flag}={value}' for flag, value in changes.items()) or '-'}" for name, changes in GRID.items())
    return "\n\n".join(
        [
            "## The search",
            f"    {command}",
            f"{len(GRID)} trials for the method and each control, on the validation classes of {draws} draws, one seed; means over draws. "
            f"Trials that would change nothing in a control were not run; the last {ADDED} were added after the others were seen. "
            "No draw of the test was read. "
            f"{len(table)} of {len({name for of in situations().values() for name in of.networks})} are measured.",
            f"Trials, at {' '.join(f'--{flag}={value}' for flag, value in RATES.items())} where they say nothing else: {grid}.",
            format_markdown([list(table.columns), *texts], texts=2),
            f"Chosen: {picked}.",
            "",
        ]
    )


def main():
    run(config.from_flags(), flags.FLAGS.draws, flags.FLAGS.workers)


if __name__ == "__main__":
    flags.DEFINE_integer("draws", 2, "Draws of classes and images.", lower_bound=1)
    runs.define_workers()
    cli.run(main)
