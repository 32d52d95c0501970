"""--input=features on .mat files whose features have a known structure."""

import contextlib
import io
import os

import numpy as np
import pytest
import scipy.io

from bgsnet_tf import commands
from bgsnet_tf.config import BSNetConfig, Config, DataConfig, RunConfig, delta_choice
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.errors import UserError
from bgsnet_tf.files import read_json

CLASSES, SEEN, ROWS, ATTRIBUTES, WIDTH = 30, 20, 20, 6, 40


def write_mat_files(directory):
    """Features that are a linear image of the class's attributes plus noise; classes 20-29 are unseen, 15-19 for validation."""
    rng = np.random.default_rng(0)
    attributes = rng.normal(size=(ATTRIBUTES, CLASSES))
    attributes /= np.linalg.norm(attributes, axis=0)
    labels = np.repeat(np.arange(CLASSES), ROWS)
    features = rng.normal(size=(WIDTH, ATTRIBUTES)) @ attributes[:, labels] + 0.1 * rng.normal(size=(WIDTH, len(labels)))
    names = [f"{c + 1:03d}.class_{c}" for c in range(CLASSES)]
    position = np.tile(np.arange(ROWS), CLASSES)
    rows = np.arange(1, len(labels) + 1)[:, None]
    cell = np.array([[name] for name in names] + [[""]], dtype=object)[:-1]
    splits = {
        "trainval_loc": rows[(labels < SEEN) & (position >= 4)],
        "test_seen_loc": rows[(labels < SEEN) & (position < 4)],
        "test_unseen_loc": rows[labels >= SEEN],
    }
    scipy.io.savemat(directory / "att_splits.mat", {"att": attributes, "allclasses_names": cell, **splits}, do_compression=True)
    files = np.array([[f"/BS/images/{names[c]}/{r}.jpg"] for r, c in enumerate(labels)] + [[""]], dtype=object)[:-1]
    scipy.io.savemat(
        directory / "res101.mat", {"features": features, "labels": labels[:, None] + 1.0, "image_files": files}, do_compression=True
    )
    lists = {"trainclasses": names[:15], "valclasses": names[15:SEEN]}
    for stem, members in lists.items():
        for index in (1, 2, 3):
            (directory / f"{stem}{index}.txt").write_text("\n".join(members) + "\n")
    (directory / "trainvalclasses.txt").write_text("\n".join(names[:SEEN]) + "\n")
    (directory / "testclasses.txt").write_text("\n".join(names[SEEN:]) + "\n")


@pytest.fixture
def config(tmp_path):
    write_mat_files(tmp_path)
    return Config(
        data=DataConfig(dataset="cub", data_dir=str(tmp_path), input="features", augment="none"),
        bsnet=BSNetConfig(bsnet=False),
        run=RunConfig(run_dir=str(tmp_path / "run")),
    ).replace(
        finetune_head_epochs=30, finetune_epochs=0, finetune_lr=0.02, meta_epochs=1, meta_steps=20, cache_views=1, cache_dtype="float32"
    )


@pytest.mark.long
def test_reaches_what_the_construction_allows(config):
    output = io.StringIO()
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(output):
        commands.train(config.replace(calibrate=True))
        chosen = delta_choice.with_choices(config, read_json(os.path.join(delta_choice.validation_run(config).run.run_dir, "results.json")))
        results = commands.evaluate(chosen.replace(delta=1.0, delta_general=1.0))
    benchmark = load_benchmark(config.data)
    means = np.linalg.lstsq(benchmark.phi[benchmark.labels], benchmark.features, rcond=None)[0]  # the construction itself
    distances = np.square(benchmark.features[:, None] - (benchmark.phi @ means)[None]).sum(axis=2)
    rows, unseen = benchmark.test_unseen, benchmark.unseen_classes
    allowed = 100 * np.mean(unseen[distances[np.ix_(rows, unseen)].argmin(axis=1)] == benchmark.labels[rows])
    assert results["general"]["T"] > allowed - 10 > 80
    assert results["eszsl"]["T"] > 40  # chance is 10; a linear map to ±1 cannot say more of 20 classes with 6 attributes
    assert "eszsl" in output.getvalue() and "export" not in os.listdir(config.run.run_dir)


def test_features_are_those_of_the_file(config):
    benchmark = load_benchmark(config.data)
    mat = scipy.io.loadmat(os.path.join(config.data.data_dir, "res101.mat"))
    np.testing.assert_allclose(benchmark.features, mat["features"].T, rtol=1e-6)
    validation = benchmark.validation()
    assert validation.features.shape == (len(benchmark.train), WIDTH)
    for row in (0, 100, len(validation.labels) - 1):
        assert np.any(np.all(benchmark.features[benchmark.train] == validation.features[row], axis=1))


def test_bsnet_needs_images(config):
    with pytest.raises(UserError, match="--nobsnet"):
        config.replace(bsnet=True)


@pytest.mark.parametrize(
    "damage, message",
    [
        ("missing", "no field 'features'"),
        ("nan", "feature 4 of row 6 is nan, no finite"),
        ("large", r"feature 4 of row 6 is 1e\+39"),
        ("short", "needs a column"),
    ],
)
def test_bad_features_are_named(config, damage, message):
    path = os.path.join(config.data.data_dir, "res101.mat")
    mat = {name: value for name, value in scipy.io.loadmat(path).items() if not name.startswith("__")}
    if damage == "missing":
        del mat["features"]
    elif damage == "nan":
        mat["features"][3, 5] = np.nan
    elif damage == "large":  # for a float32
        mat["features"][3, 5] = 1e39
    else:
        mat["features"] = mat["features"][:, :-1]
    scipy.io.savemat(path, mat, do_compression=True)
    with pytest.raises(UserError, match=message):
        load_benchmark(config.data)
