"""The registered tests on arrays of a world in which every mechanism works: all are shown, and none of the broken ones."""

import dataclasses
import functools

import numpy as np
import pytest

from bgsnet_tf.evaluation.mechanisms import Measured
from bgsnet_tf.experiments.mechanisms import registered, report, terms

FAMILIES, MEMBERS, N = 6, 3, 4
CLASSES, IMAGES, A = FAMILIES * MEMBERS, 216, FAMILIES + MEMBERS
LABELS = np.arange(IMAGES) % CLASSES
ALONE_FROM = 9  # classes from here on have no relatives


def of_class():
    """(C, A): one-hot family, one-hot member."""
    family, member = np.divmod(np.arange(CLASSES), MEMBERS)
    return np.concatenate([np.eye(FAMILIES)[family], np.eye(MEMBERS)[member]], axis=1).astype(np.float32)


PHI = of_class() / np.sqrt(2)
NUMBERS = np.where(np.arange(CLASSES) < ALONE_FROM, np.arange(CLASSES) // MEMBERS, np.arange(CLASSES))


def network(rng, noise_general, noise_special, modules=N, good=None, common=0.0):
    """A `Measured`.

    Args:
      noise_general, noise_special: of a_g and a_s, (2,) each: in the part of families, and of members.
      good: sub-modules that see the image; all by default. The others are noise.
      common: share of the noise that all sub-modules have in common.
    """
    spread = np.repeat([[*noise_general], [*noise_special]], [FAMILIES, MEMBERS], axis=1)
    truth = of_class()[LABELS]
    general = truth + rng.normal(size=truth.shape) * spread[0]
    own = np.arange(modules) == rng.integers(modules, size=(IMAGES, 1))  # whose image it is
    fine = NUMBERS[LABELS] < ALONE_FROM // MEMBERS
    weights = np.where(own, 0.9, 0.1)[..., None] * np.where(fine, 1.0, 0.3)[:, None, None] * np.ones(A)
    weights = np.clip(weights + 0.02 * rng.normal(size=weights.shape), 0, 1)
    noise = rng.normal(size=(IMAGES, modules, A)) * np.sqrt(1 - common) + rng.normal(size=(IMAGES, 1, A)) * np.sqrt(common)
    seen = np.where(own[..., None], truth[:, None] + noise * spread[1], 2 * noise)
    gates, w_start = np.ones(modules), rng.normal(size=modules)
    if good is not None:
        gates = (np.arange(modules) < good).astype(float)
        seen = np.where(gates[:, None] > 0, truth[:, None] + noise, 4 * noise)
        weights = np.ones_like(weights)
    order = rng.permutation(modules)
    arrays = {
        "general": general,
        "embeddings": seen[:, order],
        "weights": weights[:, order],
        "gates": gates[order],
        "w_start": w_start,
        "w": (gates + 0.1 * rng.normal(size=modules))[order],
        "kernel": np.tile(np.eye(A), (modules, 1, 1)),
        "bias": np.zeros(A),
    }
    return Measured(LABELS, PHI, NUMBERS, **{name: array.astype(np.float32) for name, array in arrays.items()})


@functools.cache
def world(draw, seed):
    """(situation, network) to `Measured`."""
    rng = np.random.default_rng([draw, seed])
    better, worse, middle = (0.4, 0.4), (0.9, 0.9), (0.6, 0.6)
    found = {
        ("independent", "full"): network(rng, worse, (0.2, 0.2)),
        ("correlated", "full"): network(rng, better, (3.0, 3.0)),
        ("families", "full"): network(rng, (0.2, 0.9), (0.9, 0.1)),
    }
    for name in ("direct", "first order", "way 1"):
        found["independent", name] = network(rng, worse, worse)
        found["correlated", name] = network(rng, worse, worse)
    for name, special, common in (
        ("full", 0.4, 0.0),
        ("no L_div", 0.9, 0.9),
        ("partition", 0.9, 0.5),
        ("sparsity", 0.9, 0.5),
        ("reversed", 0.9, 0.9),
    ):
        found["three cues", name] = network(rng, middle, (special, special), common=common)
    for situation, good in (("one cue", 2), ("three cues", 5), ("six cues", 8)):
        found[situation, "gates"] = network(rng, middle, middle, modules=10, good=good)
    return found


@dataclasses.dataclass(frozen=True)
class World:
    """Networks that are measured, but for those of some (draw, seed, situation)."""

    missing: tuple = ()
    first_draw = 0

    def of_draw(self, draw, seeds):
        found = [
            {key: network for key, network in world(draw, seed).items() if (draw, seed, key[0]) not in self.missing}
            for seed in range(seeds)
        ]
        partners = found[1:] + found[:1] if seeds > 1 else [None]
        return [terms.Seed(own, partner, np.random.default_rng([draw, i])) for i, (own, partner) in enumerate(zip(found, partners))]


@pytest.fixture(scope="module")
def evaluated():
    return report.evaluate(World(), registered.DRAWS, registered.SEEDS)


def test_every_mechanism_is_shown_where_it_works(evaluated):
    whole = {
        m["name"]: (m["verdict"], {c["text"]: c["mean"] for c in m["conditions"] if c["status"] != "met"})
        for m in evaluated[0]
        if not m["broken"]
    }
    assert len(whole) == 6 and whole == dict.fromkeys(whole, ("shown", {}))


def test_no_broken_mechanism_is_shown_in_the_same_world(evaluated):
    broken = {m["name"]: m["verdict"] for m in evaluated[0] if m["broken"]}
    assert len(broken) == 5 and set(broken.values()) <= {"not shown", "refuted"}


def test_every_network_of_every_situation_is_read_by_a_condition(evaluated):
    every = {(situation, network) for situation, of_it in registered.SITUATIONS.items() for network in of_it.networks}
    tested = [c for group in (registered.MECHANISMS, registered.BROKEN) for mechanism in group for c in mechanism.conditions]
    assert {need for condition in tested for need in condition.needs} == every == set(world(0, 0))
    assert len(evaluated[1]) == len(every) * registered.DRAWS * registered.SEEDS


def test_too_few_draws_show_nothing():
    found, _ = report.evaluate(World(), 3, 1)
    assert {mechanism["verdict"] for mechanism in found} == {"not shown (too few draws)"}
    assert {tuple(mechanism["seeds_of_draws"]) for mechanism in found} == {(1, 1, 1)}
    two = [c for m in found for c in m["conditions"] if "two special" in c["text"]]
    assert two[0]["values"] == [] and two[0]["status"] == "open"  # one seed has no partner


def test_one_network_too_few_gives_no_verdict_on_the_mechanisms_that_need_it():
    found, _ = report.evaluate(World(missing=((4, 9, "families"),)), registered.DRAWS, registered.SEEDS)
    verdicts = {mechanism["name"]: mechanism["verdict"] for mechanism in found}
    assert verdicts["fusion"] == verdicts["instance balance"] == "not shown (too few draws)" and verdicts["gates"] == "shown"
    (mean,) = (c for m in found if m["name"] == "instance balance" for c in m["conditions"] if "shuffling" in c["text"])
    assert len(mean["values"]) == 5


def test_a_situation_without_networks_leaves_its_conditions_open():
    found, _ = report.evaluate(World(missing=tuple((draw, 0, "one cue") for draw in range(2))), 2, 1)
    (gates,) = (mechanism for mechanism in found if mechanism["name"] == "gates")
    assert [condition["values"] for condition in gates["conditions"]] == [[], [], []]
