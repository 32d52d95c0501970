"""The invariants of a benchmark, and the validation split inside its training rows."""

import dataclasses

import numpy as np
import pytest

from bgsnet_tf.data.benchmark import Benchmark
from bgsnet_tf.errors import UserError

SEEN, UNSEEN, ROWS = 6, 2, 10


def make(**changed):
    labels = np.repeat(np.arange(SEEN + UNSEEN), ROWS).astype(np.int32)
    position = np.tile(np.arange(ROWS), SEEN + UNSEEN)
    values = {
        "name": "toy",
        "class_names": tuple(f"class {c}" for c in range(SEEN + UNSEEN)),
        "attribute_names": ("a", "b", "c"),
        "attributes": np.random.default_rng(0).uniform(1, 2, (SEEN + UNSEEN, 3)).astype(np.float32),
        "labels": labels,
        "train": np.flatnonzero((labels < SEEN) & (position >= 2)),
        "test_seen": np.flatnonzero((labels < SEEN) & (position < 2)),
        "test_unseen": np.flatnonzero(labels >= SEEN),
        "validation_classes": np.array([1, 4]),
        "paths": np.array([f"/data/{label}/{row}.jpg" for row, label in enumerate(labels)]),
    }
    return Benchmark(**{**values, **changed})


def test_seen_and_unseen_classes():
    benchmark = make()
    np.testing.assert_array_equal(benchmark.seen_classes, range(SEEN))
    np.testing.assert_array_equal(benchmark.unseen_classes, [6, 7])


def test_phi_has_rows_of_length_one():
    np.testing.assert_allclose(np.linalg.norm(make().phi, axis=1), 1, rtol=1e-6)


def test_validation_is_made_of_training_rows_only():
    benchmark, validation = make(), make().validation()
    assert set(validation.paths) == set(benchmark.paths[benchmark.train])
    rows = np.concatenate([validation.train, validation.test_seen, validation.test_unseen])
    np.testing.assert_array_equal(np.sort(rows), range(len(benchmark.train)))
    for row, path in enumerate(validation.paths):
        original = list(benchmark.paths).index(path)
        assert validation.class_names[validation.labels[row]] == benchmark.class_names[benchmark.labels[original]]
        np.testing.assert_array_equal(validation.attributes[validation.labels[row]], benchmark.attributes[benchmark.labels[original]])


@pytest.mark.parametrize(
    "changed, reason",
    [
        ({"validation_classes": np.array([], int)}, "6 seen classes leave none to play the unseen ones"),
        ({"validation_classes": np.arange(5)}, "6 seen classes leave none to play the unseen ones"),
        ({"train": np.flatnonzero((np.arange(80) % 10 >= 6) & (np.arange(80) < 60))}, "no class has 5 training images"),
    ],
)
def test_too_little_for_a_validation_split_is_named(changed, reason):
    with pytest.raises(UserError, match=f"toy has no validation split: .*{reason}.*--calibrate"):
        make(**changed).validation()
    make(train=np.flatnonzero((np.arange(80) % 10 >= 5) & (np.arange(80) < 60))).validation()


def test_validation_classes_are_the_unseen_ones():
    validation = make().validation()
    assert [validation.class_names[c] for c in validation.unseen_classes] == ["class 1", "class 4"]
    assert len(validation.class_names) == SEEN
    counts = np.bincount(validation.labels[validation.test_seen], minlength=SEEN)
    np.testing.assert_array_equal(counts, [1, 0, 1, 1, 0, 1])  # a fifth of eight, rounded down


def test_held_out_rows_do_not_depend_on_order_or_place():
    one, moved = make(), make(paths=np.array([p.replace("/data", "/elsewhere") for p in make().paths]))
    order = np.random.default_rng(0).permutation(len(one.labels))
    positions = np.argsort(order)
    shuffled = dataclasses.replace(
        one,
        labels=one.labels[order],
        paths=one.paths[order],
        train=positions[one.train],
        test_seen=positions[one.test_seen],
        test_unseen=positions[one.test_unseen],
    )
    validations = [benchmark.validation() for benchmark in (one, moved, shuffled)]
    held_out = [{tuple(path.split("/")[-2:]) for path in v.paths[v.test_seen]} for v in validations]
    assert held_out[0] == held_out[1] == held_out[2]


def test_fingerprint_follows_contents_not_place():
    one = make()
    moved = make(paths=np.array([p.replace("/data", "/elsewhere") for p in one.paths]))
    assert moved.fingerprint == one.fingerprint
    changes = [
        {"labels": np.roll(one.labels, 0) + np.where(np.arange(len(one.labels)) == 75, -1, 0).astype(np.int32)},
        {"attributes": one.attributes[::-1]},
        {"train": one.train[1:]},
        {"name": "other"},
        {"paths": np.array([*one.paths[:-1], "/data/7/x.jpg"])},
    ]
    assert all(make(**change).fingerprint != one.fingerprint for change in changes)


def nan_attributes():
    attributes = make().attributes.copy()
    attributes[3, 1] = np.nan
    return attributes


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"attributes": nan_attributes()}, "attribute 'b' of class 'class 3' is nan"),
        ({"attributes": np.zeros((SEEN + UNSEEN, 3), np.float32)}, "all attributes of class 'class 0' are 0"),
        ({"train": np.array([], int)}, "no training rows"),
        ({"test_seen": make().train[:1]}, "is in the training split and in test_seen"),
        ({"test_unseen": np.array([0])}, "class 'class 0' is both seen .* and unseen"),
        ({"test_seen": np.array([70])}, "class 'class 7' has test_seen rows but no training row"),
    ],
)
def test_contradictions_are_named(changed, message):
    with pytest.raises(UserError, match=message):
        make(**changed)


def test_images_come_from_one_place():
    with pytest.raises(ValueError, match="either"):
        make(pixels=np.zeros((80, 2, 2, 3), np.uint8))


def test_image_digest_is_of_the_bytes_of_the_rows_in_hand(tmp_path):
    names = [f"{row}.jpg" for row in range(80)]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())

    def of(rows):
        benchmark = make(paths=np.array([str(tmp_path / name) for name in names]))
        return benchmark.fingerprint, benchmark.image_digest(rows)

    before, training = of(slice(None)), np.arange(2, 10)
    of_training = of(training)
    (tmp_path / "1.jpg").write_bytes(b"2.jpg")
    assert of(training) == of_training and of(slice(None)) != before and of(slice(None))[0] == before[0]
    assert make(paths=None, pixels=np.zeros((80, 2, 2, 3), np.uint8)).image_digest(training) == ""


def test_one_name_in_two_spellings_of_its_accents_is_one():
    composed, apart = (make(paths=np.array([f"/data/{name}/{row}.jpg" for row in range(80)])) for name in ("caf\u00e9", "cafe\u0301"))
    assert composed.fingerprint == apart.fingerprint
    assert [p.split("/")[-1] for p in composed.validation().paths] == [p.split("/")[-1] for p in apart.validation().paths]


def test_centred_attributes_are_those_less_the_mean_of_the_seen_classes():
    plain = make()
    centred = dataclasses.replace(plain, center_attributes=True)
    apart = plain.attributes - plain.attributes[plain.seen_classes].mean(axis=0)
    np.testing.assert_allclose(centred.phi, apart / np.linalg.norm(apart, axis=1, keepdims=True), rtol=1e-4, atol=1e-6)
    assert centred.fingerprint != plain.fingerprint
    inside = centred.validation()
    np.testing.assert_allclose(inside.attribute_origin, inside.attributes[inside.seen_classes].mean(axis=0), rtol=1e-6)


def test_a_class_in_the_middle_of_all_has_no_direction():
    plain = make()
    attributes = plain.attributes.copy()
    attributes[plain.unseen_classes[0]] = attributes[plain.seen_classes].mean(axis=0)
    with pytest.raises(UserError, match="has the mean attributes of the seen classes"):
        dataclasses.replace(plain, attributes=attributes, center_attributes=True)


def test_fewer_seen_classes_leave_the_unseen_ones_and_are_among_those_of_more():
    benchmark = make()
    names = {}
    for count in (2, 4, SEEN):
        fewer = benchmark.with_seen_classes(count)
        names[count] = {fewer.class_names[c] for c in fewer.seen_classes}
        assert len(names[count]) == count
        assert [fewer.class_names[c] for c in fewer.unseen_classes] == ["class 6", "class 7"]
        assert {fewer.class_names[c] for c in fewer.validation_classes} == names[count] & {"class 1", "class 4"}
        for rows in ("train", "test_seen", "test_unseen"):
            kept = [path for path in benchmark.paths[getattr(benchmark, rows)] if f"class {path.split('/')[2]}" in fewer.class_names]
            assert list(fewer.paths[getattr(fewer, rows)]) == kept
        for row, path in enumerate(fewer.paths):
            assert fewer.class_names[fewer.labels[row]] == f"class {path.split('/')[2]}"
    assert names[2] < names[4] < names[SEEN]
    with pytest.raises(UserError, match="toy has 6 seen classes, not --seen_classes=7"):
        benchmark.with_seen_classes(7)
