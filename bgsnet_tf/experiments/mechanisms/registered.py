"""The tests of the paper's mechanisms, written down before any of their results was seen.

`SITUATIONS` says which networks train on which images, `MECHANISMS` what is predicted of them. A statistic is one number of one draw
of classes, the mean over its seeds where nothing else is said. Over draws, Student's interval of 95 % says how far the mean would move
with other classes, images and seeds, since each draw has its own of all three. A condition is met where its whole interval lies above
the threshold, missed where it lies below, and open otherwise.

A mechanism is "shown" where all of its conditions are met, "refuted" where one is missed, and "not shown" otherwise. With fewer than
`DRAWS` draws of `SEEDS` seeds it is at most "not shown (too few draws)".

`BROKEN` are the same tests of mechanisms that were broken on purpose. None of them may come out as shown.

Deviations from the table that set the task: T stands for U, since it needs no δ and so no second run for each network; ρ = .5 is left
out, since it has no weight in a slope over 0, .5 and .9.

Rates are those of the search (`search.py`), and so are the settings of the controls that compete in T, "partition" and "sparsity".
"no L_div" takes something away from the method, so it keeps the method's settings, whatever the search found best for it.

What was seen before: badge and length of fine-tuning were set by what the fine-tuned general branch tells on the unseen classes of data
seed 7 (T 67 in families, 60 within them, 75 and 60 at ρ = 0 and .9, 79 with one cue). Three whole networks were trained on families with
48 seen classes: one of data seed 10, with a smaller badge and shorter fine-tuning (T 26 general, 20 special, 23 fused), two trials of the
search on the validation classes of data seed 50 (T 25, 17 and 16, 20 and 19). So few classes had too few attributes to compose, and the
seen classes became 96 where there are no cues; the general branch alone then had T 68 in the families of data seed 50, 40 within them.
"""

from collections.abc import Mapping

import numpy as np

from bgsnet_tf.evaluation import mechanisms as m
from bgsnet_tf.experiments.mechanisms.terms import Condition, Mechanism, Situation

DRAWS, SEEDS = 5, 10
QUICK_DRAWS, QUICK_SEEDS = 3, 1
FIRST_DRAW = 100  # data seeds from here on; the search has others, from `SEARCH_DRAW`, and the validation split
SEARCH_DRAW = 50

FULL = "full"  # the network of the flags as given
ONLY_GENERAL = {"bsnet": False}
DIRECT = {**ONLY_GENERAL, "inner_lr": 1e-9}  # Eq. 3 without a virtual step: as many updates, on the same images
GATES = {"submodules": 10, "eph_max": 20, "balance_epochs": 1}
WITHOUT_DIVERSITY: Mapping[str, Mapping[str, object]] = {  # what stands in for L_div, or is there without it
    "no L_div": {"diversity_loss": False},
    "partition": {"balance_control": "partition", "diversity_loss": False},
    "sparsity": {"balance_control": "sparsity"},
}
OF_COMPETITORS = {"s_start": "general"}  # what the search chose for both, beside the rates that it chose for the method too


_EPISODIC: Mapping[str, Mapping[str, object]] = {
    FULL: {},
    "direct": DIRECT,
    "first order": {**ONLY_GENERAL, "first_order": True},
    "way 1": {**ONLY_GENERAL, "way": 1},
}
SITUATIONS = {
    "independent": Situation({"seen_classes": 96, "correlation": 0.0}, _EPISODIC),
    "correlated": Situation({"seen_classes": 96, "correlation": 0.9}, _EPISODIC),
    "families": Situation({"seen_classes": 96, "fine_share": 0.5, "detail": 8.0}, {FULL: {}}),
    "one cue": Situation({"cues": 1}, {"gates": GATES}),
    "three cues": Situation(
        {"cues": 3},
        {
            FULL: {},
            "no L_div": WITHOUT_DIVERSITY["no L_div"],
            "partition": {**WITHOUT_DIVERSITY["partition"], **OF_COMPETITORS},
            "sparsity": {**WITHOUT_DIVERSITY["sparsity"], **OF_COMPETITORS},
            "reversed": {"balance_control": "reversed"},
            "gates": GATES,
        },
    ),
    "six cues": Situation({"cues": 6}, {"gates": GATES}),
}


def _t(measured, branch):
    return m.accuracy(measured, getattr(measured, branch))


def _special_ahead(seed, situation):
    return _t(seed[situation, FULL], "special") - _t(seed[situation, FULL], "general")


def _episodic_ahead(seed, situation, network):
    return _t(seed[situation, network], "general") - _t(seed[situation, "direct"], "general")


def _grows(difference, *arguments):
    return lambda seed: difference(seed, "correlated", *arguments) - difference(seed, "independent", *arguments)


def _both(network):
    return [(situation, name) for situation in ("independent", "correlated") for name in (network, "direct")]


def _of(situation, network, statistic):
    """A statistic of one network alone, and what it needs."""
    return {"statistic": lambda seed: statistic(seed[situation, network], seed.rng), "needs": [(situation, network)]}


def _families(statistic):
    return _of("families", FULL, statistic)


def _two_special(seed):
    """T of two special branches of different seeds, summed."""
    if seed.partner is None or ("families", FULL) not in seed.partner:
        return np.nan
    one, other = seed["families", FULL], seed.partner["families", FULL]
    return m.accuracy(one, one.special + other.special)


def _three_cues(statistic, network, other):
    def difference(seed):
        return statistic(seed["three cues", network]) - statistic(seed["three cues", other])

    return {"statistic": difference, "needs": [("three cues", network), ("three cues", other)]}


def _special_t(measured):
    return _t(measured, "special")


CUES = {"one cue": 1, "three cues": 3, "six cues": 6}
OF_GATES = [(situation, "gates") for situation in CUES]


def _kept_with_cues(change):
    def statistic(seeds):
        counts = [(cues, m.kept(change(seed[situation, "gates"], seed.rng))) for seed in seeds for situation, cues in CUES.items()]
        found = m.analysis.rank_correlation(*zip(*counts))
        return 0.0 if found is None else found

    return statistic


def _over_cues(statistic):
    return lambda seed: float(np.mean([statistic(seed[key], seed.rng) for key in OF_GATES]))


def _instance_balance(change):
    return [
        Condition(
            "share of the variance of w^t that is not between sub-modules alone",
            **_families(lambda x, r: m.share_of_images(change(x, r))),
            threshold=0.1,
        ),
        Condition(
            "points of T that shuffling w^t over images costs",
            **_families(lambda x, r: m.loss_by_shuffling(change(x, r), r)),
            threshold=1.0,
        ),
        Condition(
            "AUC of mean w^t for an image of a family against another",
            **_families(lambda x, r: m.fine_told_by_weights(change(x, r))),
            threshold=0.7,
        ),
    ]


def _gates(change):
    return [
        Condition("rank correlation of the number of cues and of kept sub-modules", _kept_with_cues(change), OF_GATES, 0.8, pooled=True),
        Condition(
            "points of T, kept set − random sets of its size", _over_cues(lambda x, r: m.kept_against_random(change(x, r), r)), OF_GATES
        ),
        Condition(
            "0.5 − rank correlation of w^d at the start and at the end", _over_cues(lambda x, r: 0.5 - m.order_kept(change(x, r))), OF_GATES
        ),
    ]


def _diversity(network):
    return [
        Condition(
            "correlation of the sub-modules' errors, without L_div − with it", **_three_cues(m.correlation_of_errors, "no L_div", network)
        ),
        Condition("points of T of the special branch, L_div − random partition", **_three_cues(_special_t, network, "partition")),
        Condition(
            "points of T of the special branch, L_div − L1 penalty of the same sparsity", **_three_cues(_special_t, network, "sparsity")
        ),
    ]


def _episodic(network):
    text = "(episodic − direct in T of the general branch) at ρ = .9 less the same at ρ = 0"
    return [Condition(text, _grows(_episodic_ahead, network), _both(network))]


def _unchanged(measured, rng):
    return measured


MECHANISMS = (
    Mechanism(
        "generalise against specialise",
        "On independent attributes the special branch is ahead; where the seen classes' attributes are correlated, the general one is.",
        [
            Condition("special − general in T at ρ = 0", lambda seed: _special_ahead(seed, "independent"), [("independent", FULL)]),
            Condition("general − special in T at ρ = .9", lambda seed: -_special_ahead(seed, "correlated"), [("correlated", FULL)]),
            Condition(
                "(general − special in T) at ρ = .9 less the same at ρ = 0",
                lambda seed: -_grows(_special_ahead)(seed),
                [("independent", FULL), ("correlated", FULL)],
            ),
        ],
    ),
    Mechanism(
        "episodic against direct",
        "What episodes add to as many direct updates grows with the correlation of seen attributes.",
        _episodic(FULL),
    ),
    Mechanism(
        "fusion",
        "The special branch tells members of a family apart, the general one families; their sum is ahead of all that is as large.",
        [
            Condition(
                "special − general, choice within families",
                **_families(lambda x, r: m.accuracy_within(x, x.special) - m.accuracy_within(x, x.general)),
            ),
            Condition(
                "general − special, choice between families",
                **_families(lambda x, r: m.accuracy_between(x, x.general) - m.accuracy_between(x, x.special)),
            ),
            Condition("fused − general in T", **_families(lambda x, r: _t(x, "fused") - _t(x, "general"))),
            Condition("fused − special in T", **_families(lambda x, r: _t(x, "fused") - _t(x, "special"))),
            Condition(
                "fused − two special branches in T",
                lambda seed: _t(seed["families", FULL], "fused") - _two_special(seed),
                [("families", FULL)],
            ),
            Condition(
                "fused − the sum at equal scales in T",
                **_families(lambda x, r: _t(x, "fused") - m.accuracy(x, m.at_equal_scales(x.general, x.special, x.phi))),
            ),
        ],
    ),
    Mechanism(
        "instance balance",
        "w^t answers the image: its fine and its coarse classes, and taking another image's w^t costs accuracy.",
        _instance_balance(_unchanged),
    ),
    Mechanism(
        "L_div", "Sub-modules err on different images, and more is right than with weights that are merely as sparse.", _diversity(FULL)
    ),
    Mechanism(
        "gates",
        "More cues keep more sub-modules, the kept ones are worth more than others, and training, not chance, orders them.",
        _gates(_unchanged),
    ),
)

BROKEN = (
    Mechanism("episodes, first order", "As episodic against direct, without the second-order term.", _episodic("first order")),
    Mechanism("episodes of one class", "As episodic against direct, with --way=1.", _episodic("way 1")),
    Mechanism(
        "w^t of other images", "As instance balance, w^t shuffled over images.", _instance_balance(lambda x, r: x.with_shuffled_weights(r))
    ),
    Mechanism("L_div with its sign turned", "As L_div.", _diversity("reversed")),
    Mechanism("gates at random", "As gates, each network's gates dealt anew.", _gates(lambda x, r: x.with_shuffled_gates(r))),
)
