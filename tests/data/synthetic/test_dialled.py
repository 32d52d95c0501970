import dataclasses

import numpy as np
import pytest

from bgsnet_tf.config.dials import Dials
from bgsnet_tf.data.synthetic import dialled, drawing
from bgsnet_tf.data.synthetic.groups import GROUPS
from bgsnet_tf.errors import UserError


def rendered(split="final", rows_per_class=8, **dials):
    benchmark = dialled.render_benchmark(Dials(**dials), split, rows_per_class)
    return benchmark.validation() if split == "validation" else benchmark


def values(benchmark, group):
    """(C,) values of a group."""
    columns = [i for i, name in enumerate(benchmark.attribute_names) if name.startswith(f"{group}=")]
    return benchmark.attributes[:, columns].argmax(axis=1)


def share_that_follows(benchmark, classes):
    """Share of classes with the most frequent texture of their shape among seen classes."""
    shape, texture = values(benchmark, "shape"), values(benchmark, "texture")
    usual = [np.bincount(texture[benchmark.seen_classes][shape[benchmark.seen_classes] == s], minlength=4).argmax() for s in range(6)]
    return np.mean(texture[classes] == np.array(usual)[shape[classes]])


@pytest.mark.parametrize("split", ["final", "validation"])
def test_other_classes_are_independent_where_seen_ones_are_correlated(split):
    benchmark = rendered(split, correlation=1.0)
    assert len(benchmark.seen_classes) == 48 and len(benchmark.unseen_classes) == 12
    assert share_that_follows(benchmark, benchmark.seen_classes) == 1
    assert share_that_follows(benchmark, benchmark.unseen_classes) < 0.7


def test_correlation_is_the_share_of_seen_classes_and_at_0_there_is_none():
    half, none = rendered(correlation=0.5), rendered()
    assert 0.5 < share_that_follows(half, half.seen_classes) < 0.85
    assert share_that_follows(none, none.seen_classes) < 0.6


def test_seen_classes_of_both_splits_are_the_same_and_the_others_are_not():
    final, validation = rendered(correlation=0.9), rendered("validation", correlation=0.9)
    names = [set(np.array(b.class_names)[b.seen_classes]) for b in (final, validation)]
    assert names[0] == names[1]
    others = [set(np.array(b.class_names)[b.unseen_classes]) for b in (final, validation)]
    assert not others[0] & others[1] and not (others[0] | others[1]) & names[0]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_families_differ_in_the_badge_alone_and_stay_in_one_split(share):
    benchmark = rendered(fine_share=share, detail=5.0)
    one_hot = benchmark.attributes
    between = 9 - one_hot @ one_hot.T
    relatives = between == 1
    badge = values(benchmark, "badge")
    assert (badge[:, None] != badge)[relatives].all()
    for classes in (benchmark.seen_classes, benchmark.unseen_classes):
        in_families = relatives[np.ix_(classes, classes)].sum(axis=1)
        assert set(in_families) <= {0, 2} and np.mean(in_families == 2) == share
    assert not relatives[np.ix_(benchmark.seen_classes, benchmark.unseen_classes)].any()


def test_the_badge_is_as_large_as_told():
    kind = {group: np.zeros(40, int) for group in GROUPS}
    area = {}
    for detail in (3.0, 6.0):
        plain, black = (
            drawing.render({**kind, "badge": np.full(40, badge)}, drawing.scattered((10, 10), detail), np.random.default_rng(0))
            for badge in (0, 2)
        )
        area[detail] = np.mean(np.abs(black.astype(float) - plain).sum(axis=-1) > 60) * 64**2
    assert area[3.0] == pytest.approx(np.pi * 1.5**2, rel=0.4) and area[6.0] == pytest.approx(np.pi * 3**2, rel=0.3)


@pytest.mark.parametrize("cues", [1, 3, 6])
def test_every_cue_has_attributes_of_its_own_in_a_cell_of_its_own(cues):
    benchmark = rendered(cues=cues)
    assert benchmark.attributes.shape == (60, 13 * cues) and (benchmark.attributes.sum(axis=1) == 3 * cues).all()
    assert len(set(benchmark.class_names)) == 60
    centres = drawing._cells(200, np.random.default_rng(0))
    apart = np.linalg.norm(centres[:, :, None] - centres[:, None], axis=-1)[:, ~np.eye(6, dtype=bool)]
    assert apart.min() > 2 * drawing.CUE_RADIUS
    assert (centres > drawing.CUE_RADIUS).all() and (centres < 64 - drawing.CUE_RADIUS).all()


def test_cues_of_unseen_classes_show_in_their_images():
    """Fill of the one circle, read off the image: the most saturated colour."""
    benchmark = rendered(cues=1)
    hits = []
    for row in benchmark.test_unseen:
        pixels = benchmark.pixels[row].reshape(-1, 3).astype(float)
        vivid = pixels[np.argsort(-np.ptp(pixels, axis=1))[:60]].mean(axis=0)
        nearest = np.linalg.norm(drawing.FILL_COLOURS * 255 - vivid, axis=1).argmin()
        hits.append(nearest == values(benchmark, "circle fill")[benchmark.labels[row]])
    assert np.mean(hits) > 0.8


@pytest.mark.parametrize("split", ["final", "validation"])
def test_only_the_images_of_other_classes_are_in_another_light(split):
    plain, shifted = rendered(split), rendered(split, light_shift=1.0)
    seen = np.concatenate([plain.train, plain.test_seen])
    np.testing.assert_array_equal(plain.pixels[seen], shifted.pixels[seen])
    before, after = (b.pixels[b.test_unseen].mean(axis=(0, 1, 2)) for b in (plain, shifted))
    assert (np.abs(after / before - (1 - drawing.OTHER_LIGHT_LOSS)) < 0.06).all()


@pytest.mark.parametrize("split", ["final", "validation"])
def test_more_seen_classes_have_as_many_images_in_all(split):
    few, many = rendered(split, 20), rendered(split, 20, seen_classes=96)
    assert len(many.seen_classes) == 96 and len(many.unseen_classes) == 12 and len(many.test_unseen) == len(few.test_unseen)
    assert len(many.train) == pytest.approx(len(few.train), rel=0.2)  # shares of so few images are rounded


def test_a_seed_is_a_draw():
    assert rendered().fingerprint == rendered().fingerprint != rendered(data_seed=21).fingerprint
    assert rendered().class_names != rendered(data_seed=21).class_names


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"fine_share": 0.5}, "--detail=5"),
        ({"cues": 2, "correlation": 0.5}, "--correlation"),
        ({"cues": 1, "seen_classes": 49}, "72 kinds"),
    ],
)
def test_dials_that_contradict_each_other(wrong, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(Dials(), **wrong)
