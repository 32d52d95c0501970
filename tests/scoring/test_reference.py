"""What stands beside a run's own rows: on which features, chosen by what, and left out where it makes no sense."""

import contextlib
import dataclasses
import io
import os
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf import commands, files
from bgsnet_tf.data import images
from bgsnet_tf.evaluation import eszsl, metrics
from bgsnet_tf.model.backbones import backbone
from bgsnet_tf.scoring import reference
from bgsnet_tf.scoring.inference import infer
from bgsnet_tf.training import stages
from tests.whole_runs import ONE_PHASE, SMALL, tiny_config_below


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """Settings of a finished run on a backbone whose weights are in a file."""
    root = tmp_path_factory.mktemp("pretrained")
    config = tiny_config_below(root)
    path = str(root / "small.h5")
    tf.keras.utils.set_random_seed(1)
    backbone._small((32, 32, 3)).save_weights(path)
    config = config.replace(**SMALL, **ONE_PHASE, backbone_weights=path)
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        commands.fit(config)
    return config


def score(run):
    bgsnet = stages.build_bgsnet(run)
    return reference.score(run, bgsnet, infer(run, bgsnet).embeddings, os.path.join(run.directory, "validation"))


def test_the_backbone_as_it_came_is_passed_once_and_is_not_the_fine_tuned_one(pretrained, monkeypatch):
    run = commands.open_run(pretrained)
    features = reference._as_it_came(run)
    trunk, tail = backbone.build("small", pretrained.backbone.backbone_weights, 32)
    for row in (run.benchmark.train[5], run.benchmark.test_unseen[-1]):
        (batch,) = images.image_batches(run.benchmark, images.items_of([row]), run.views, 1)
        np.testing.assert_allclose(features[row], tail(trunk(batch))[0], rtol=1e-4, atol=1e-5)
    assert (
        np.abs(features - reference._fine_tuned(run, stages.build_bgsnet(run), np.zeros([len(run.test_rows), 256])))[
            run.benchmark.train
        ].max()
        > 0.01
    )

    def fail(*arguments):
        raise AssertionError("built again")

    monkeypatch.setattr(backbone, "build", fail)
    np.testing.assert_array_equal(reference._as_it_came(run), features)
    path = pathlib.Path(pretrained.run.run_dir, "cache", "as_it_came.npz")
    contents = path.read_bytes()
    for damaged in (contents[: len(contents) // 2], contents[:3000] + b"x" + contents[3001:]):
        path.write_bytes(damaged)
        with pytest.raises(AssertionError, match="built again"):
            reference._as_it_came(run)
    path.write_bytes(contents)
    other = dataclasses.replace(run, config=pretrained.replace(image_size=30))
    with pytest.raises(AssertionError, match="built again"):
        reference._as_it_came(other)


def test_features_are_those_of_training_and_test_rows_in_the_test_view(pretrained):
    run = commands.open_run(pretrained)
    bgsnet = stages.build_bgsnet(run)
    embeddings = infer(run, bgsnet).embeddings
    features = reference._fine_tuned(run, bgsnet, embeddings)
    rows = np.concatenate([run.benchmark.train, run.test_rows])
    (batch,) = images.image_batches(run.benchmark, images.items_of(rows), run.views, 64)
    np.testing.assert_allclose(features[rows], bgsnet.embed(batch)[1], rtol=1e-3, atol=1e-4)


def test_all_references_are_rows_of_the_results(pretrained, tmp_path):
    config = pretrained.replace(run_dir=str(tmp_path / "copy"))
    shutil.copytree(pretrained.run.run_dir, config.run.run_dir)
    printed = io.StringIO()
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(printed):
        results = commands.evaluate(config)
    names = ["fused", "general", "special", "linear", "least_squares", "eszsl", "eszsl_tuned"]
    assert [line.split()[0] for line in printed.getvalue().splitlines()[1:8]] == names and list(results["deltas"]) == names
    assert 1 <= results["chosen"]["linear"]["epochs"] <= 30 and set(results["chosen"]["eszsl_tuned"]) == {"gamma", "lambda"}
    attributes = files.read_arrays(tmp_path / "copy" / "attributes.npz")
    benchmark = commands.open_run(config).benchmark
    seen = len(benchmark.test_seen)
    labels = benchmark.labels[benchmark.test_seen], benchmark.labels[benchmark.test_unseen]
    for name in names:
        scores = attributes[name] @ benchmark.phi.T
        arguments = scores[:seen], labels[0], scores[seen:], labels[1], benchmark.seen_classes, benchmark.unseen_classes
        assert results[name] == metrics.evaluate_gzsl(*arguments, results["deltas"][name])
        assert results["best_H_on_test"][name] >= results[name]["H"]
    difference = results["fused_less"]["linear"]["T"]["difference"]
    assert difference == pytest.approx(results["fused"]["T"] - results["linear"]["T"])
    page = (tmp_path / "copy" / "report.html").read_text()
    for told in (printed.getvalue(), page):
        assert f" linear in T ({difference:+.1f}, " in told and "over test images" in told
    assert "Highest H over δ" in page and "Highest H" not in printed.getvalue()


def test_no_label_of_a_test_row_changes_a_reference(pretrained):
    run = commands.open_run(pretrained)
    benchmark = run.benchmark
    labels = benchmark.labels.copy()
    for rows in (benchmark.test_seen, benchmark.test_unseen):
        labels[rows] = np.roll(labels[rows], 7)
    assert np.any(labels != benchmark.labels)
    planted = dataclasses.replace(benchmark, labels=labels)
    features = reference._as_it_came(run)
    for choose in (lambda *splits: reference._linear(*splits, 0), reference._eszsl):
        found = [choose(*reference._splits(dataclasses.replace(run, benchmark=b), features)) for b in (benchmark, planted)]
        assert (found[0].delta, found[0].choice) == (found[1].delta, found[1].choice)
        np.testing.assert_array_equal(found[0].attributes, found[1].attributes)


def test_eszsl_on_tuned_features_takes_what_its_validation_run_chose(pretrained):
    run = commands.open_run(pretrained)
    directory = os.path.join(pretrained.run.run_dir, "validation")
    os.makedirs(directory)
    written = {"chosen": {"eszsl_tuned": {"gamma": 7.0, "lambda": 0.3}}, "deltas": {"eszsl_tuned": 0.125}}
    files.write_json(os.path.join(directory, "results.json"), written)
    try:
        found = score(run)["eszsl_tuned"]
    finally:
        shutil.rmtree(directory)
    features = reference._fine_tuned(run, stages.build_bgsnet(run), infer(run, stages.build_bgsnet(run)).embeddings)
    weights = eszsl.Eszsl(features[run.benchmark.train], run.labels, run.class_attributes).weights(7.0, 0.3)
    np.testing.assert_allclose(found.attributes, features[run.test_rows] @ weights, rtol=1e-3, atol=1e-4)
    assert found.delta == 0.125


def test_a_backbone_that_starts_at_random_has_no_features_of_its_own(pretrained):
    run = commands.open_run(pretrained)
    assert reference._as_it_came(dataclasses.replace(run, config=pretrained.replace(backbone_weights="none"))) is None


def test_weights_that_are_gone_leave_a_line_and_no_row(pretrained, tmp_path, capsys):
    config = pretrained.replace(run_dir=str(tmp_path / "copy"), eval_batch_size=63)
    shutil.copytree(pretrained.run.run_dir, config.run.run_dir)
    (tmp_path / "copy" / "cache" / "as_it_came.npz").unlink(missing_ok=True)
    run = commands.open_run(config)
    gone = dataclasses.replace(run, config=config.replace(backbone_weights=str(tmp_path / "gone.h5")))
    assert reference._as_it_came(gone) is None
    assert "gone.h5: no such file" in capsys.readouterr().out


@pytest.mark.parametrize("without, said", [("classes", "hold no validation classes"), ("rows", "are too few for a validation split")])
def test_a_run_without_a_validation_split_says_what_is_missing(pretrained, capsys, without, said):
    run = commands.open_run(pretrained)
    whole = run.benchmark
    if without == "classes":
        changed = {"validation_classes": np.array([], np.int32)}
    else:
        changed = {"train": whole.train[np.unique(whole.labels[whole.train], return_index=True)[1]]}
    lacking = dataclasses.replace(run, benchmark=dataclasses.replace(whole, **changed))
    assert reference.score(lacking, None, None, "") == {}
    assert f"its training rows {said} to choose by" in capsys.readouterr().out
