"""The files of the experiment and what its search chooses, from networks of a made-up world."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from bgsnet_tf.experiments.mechanisms import registered, report, search, terms
from tests.experiments.mechanisms.test_registered import World, network


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folder and content of a report on three draws."""
    directory = tmp_path_factory.mktemp("report")
    mechanisms, rows = report.evaluate(World(), 3, 2)
    found = {"date": "today", "command": "python -m it", "draws": 3, "seeds": 2, "versions": {"NumPy": "1"}, "flags": {"eta": 1}}
    found = {**found, "mechanisms": mechanisms, "rows": rows}
    (directory / report.SEARCH).write_text("## The search\n\nWhat was tried.\n")
    report.write(directory, found)
    return directory, found


def test_every_condition_stands_in_every_file(written):
    directory, found = written
    assert json.loads((directory / "mechanisms.json").read_text()) == found
    table = pd.read_csv(directory / "mechanisms.csv")
    document = (directory / "mechanisms.md").read_text()
    page = (directory / "report.html").read_text()
    for mechanism in found["mechanisms"]:
        assert mechanism["name"] in document and mechanism["name"] in page
        for condition in mechanism["conditions"]:
            of_it = table[(table["mechanism"] == mechanism["name"]) & (table["condition"] == condition["text"])]
            assert of_it["value"].tolist() == pytest.approx(condition["values"]) and len(of_it) == 3
            assert f"| {condition['text']} | {condition['threshold']:g} | 3 | {condition['mean']:.2f} (" in document
    assert len(pd.read_csv(directory / "networks.csv")) == 6 * sum(len(s.networks) for s in registered.SITUATIONS.values())
    assert {path.name for path in (directory / "figures").iterdir()} == {
        f"mechanism_{i}.{kind}" for i in range(1, 7) for kind in ("png", "svg")
    }


def test_the_document_says_how_few_draws_there_are_and_ends_with_the_search(written):
    document = (written[0] / "mechanisms.md").read_text()
    assert "3 draws of classes, 2 seeds each" in document and "nothing here counts as shown" in document
    assert document.endswith("## The search\n\nWhat was tried.\n")


def trial(network, name, **figures):
    signs = {"share of images": 0.5, "loss by shuffling": 2.0, "fine told by w^t": 0.8, "errors correlate less": 0.1, "order of gates": 0.2}
    row = {"network": network, "trial": name, "T fused": 50.0, "T special": 40.0, **signs, **figures}
    return {**row, "criteria": search.criteria(row) if network == "full" else math.nan}


def test_the_method_is_chosen_by_signs_and_then_by_accuracy_and_a_control_by_accuracy():
    rows = [
        trial("full", "a", **{"T fused": 90.0, "order of gates": 0.9}),
        trial("full", "b"),
        trial("full", "c", **{"T fused": 51.0}),
        *(trial(name, "a") for name in search.CONTROLS),
        *(trial(name, "b", **{"T special": 45.0}) for name in search.CONTROLS),
    ]
    assert [row["criteria"] for row in rows[:3]] == [4, 5, 5]
    assert search.chosen(pd.DataFrame(rows)) == {"full": "c", **dict.fromkeys(search.CONTROLS, "b")}


def test_trials_that_change_nothing_in_a_control_are_left_out():
    names = list(search.situations()["three cues"].networks)
    of_partition = [name.split(": ")[1] for name in names if name.startswith("partition")]
    added = ["f_s from f_g", "f_s from f_g, η 10, fast gates", "slower, fast gates", "slower, f_s from f_g, fast gates"]
    assert of_partition == ["first", "gates go on", "fast gates", "longer", *added]
    assert sum(name.startswith("full") for name in names) == sum(name.startswith("sparsity") for name in names) == len(search.GRID)


def test_a_search_of_which_a_part_is_measured_shows_that_part():
    of_method = {("families", search._name("full", name)): network(np.random.default_rng(0), (0.5, 0.5), (0.5, 0.5)) for name in ("a", "b")}
    rows = list(search._rows(0, terms.Seed(of_method, None, np.random.default_rng(0))))
    table = search.means(rows)
    assert table["trial"].tolist() == ["a", "b"] and search.chosen(table) == {"full": "a"}
    assert table["errors correlate less"].isna().all() and (table["share of images"] > 0).all()
    document = search._document(table, 1, "python -m it")
    assert (
        f"2 of {len({n for s in search.situations().values() for n in s.networks})} are measured" in document
        and "Chosen: full: a." in document
    )
