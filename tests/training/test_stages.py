"""Whole runs on a tiny data set: resume, refusal of other settings, switches, the trunk that stays frozen."""

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf import commands
from bgsnet_tf.commands import opening
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.errors import Interrupted, UserError
from bgsnet_tf.files import read_json, write_json
from bgsnet_tf.training import stages
from bgsnet_tf.training.checkpoints import weights_digest
from bgsnet_tf.training.run import Run
from tests.training.conftest import STAGES, attributes, logged, train


def folder_digest(config):
    """Names and contents of all files of a run."""
    paths = [os.path.join(root, name) for root, _, names in os.walk(config.run.run_dir) for name in names]
    return {path: hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest() for path in paths}


def assert_equal(one, other):
    assert set(one) == set(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def without_stages(config, *stages):
    """The same run with these stages still to do."""
    for stage in stages:
        shutil.rmtree(os.path.join(config.run.run_dir, "checkpoints", stage))
    return config


# The run has 9 steps of finetune (phases of 1 and 2 epochs of 3), 6 of meta (2 epochs), 9 of bsnet (phases of 2 and 1).
@pytest.mark.parametrize("left, steps", [(STAGES, 2), (STAGES, 9), (STAGES[1:], 4), (STAGES[2:], 7)])
def test_a_run_that_was_asked_to_end_continues_as_if_it_was_not(trained, expected_attributes, copied, signal_after, left, steps):
    continued = without_stages(copied, *left)
    for stage in left:
        shutil.rmtree(os.path.join(continued.run.run_dir, "logs", stage))
    signal_after(steps)
    with pytest.raises(Interrupted):
        train(continued)
    assert_equal(attributes(train(continued), continued), expected_attributes)
    found, expected = logged(continued.run.run_dir), logged(trained[0].run.run_dir)
    assert set(found) == set(expected)
    for name, value in expected.items():  # sums of losses differ in the last bit from run to run without --deterministic
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=str(name))


def test_a_finished_run_is_restored_and_not_trained_again(tiny_config, monkeypatch):
    config = tiny_config.replace(finetune_epochs=1, meta_epochs=1, eph_max=1)
    after_training = attributes(train(config), config)
    monkeypatch.setattr(tf.keras.Model, "fit", None)
    restored = stages.build_bgsnet(Run(config, load_benchmark(config.data), training=False))
    assert_equal(attributes(restored, config), after_training)


def test_the_seed_decides(trained, tmp_path):
    without = trained[0].replace(bsnet=False, meta=False)
    config = without.replace(run_dir=str(tmp_path / "other"), seed=1)
    assert np.any(attributes(train(config), config)["general"] != attributes(train(without), config)["general"])


def test_trunk_and_general_tail_do_not_move_after_finetune(trained):
    config = trained[0]
    bgsnet = train(config)
    gnet, digest = stages.finetune(Run(config, load_benchmark(config.data), training=False))
    for one, other in ((gnet.trunk, bgsnet.trunk), (gnet.tail, bgsnet.general_tail)):
        for before, after in zip(one.get_weights(), other.get_weights()):
            np.testing.assert_array_equal(before, after)
    assert weights_digest(gnet) == digest
    gnet.loss_metric.update_state(3.0)  # which says nothing of what was learnt
    assert weights_digest(gnet) == digest
    assert all(np.any(a != b) for a, b in zip(bgsnet.bsnet.tails[0].get_weights(), gnet.tail.get_weights()))


def test_the_trunk_is_frozen_while_bsnet_trains(copied):
    config = without_stages(copied, "bsnet")
    run = Run(config, load_benchmark(config.data), training=True)
    gnet, finetuned = stages.finetune(run)
    before = [w.copy() for part in (gnet.trunk, gnet.tail) for w in part.get_weights()]
    with contextlib.redirect_stderr(io.StringIO()):
        cache = functools.partial(stages.feature_cache, run, gnet, finetuned)
        stages.train_bsnet(run, gnet, finetuned, gnet.predictor.get_weights(), cache)
    for one, other in zip(before, [w for part in (gnet.trunk, gnet.tail) for w in part.get_weights()]):
        np.testing.assert_array_equal(one, other)


def test_cached_features_equal_the_networks_own_bit_for_bit(trained, tmp_path):
    config = trained[0]
    run = Run(config.replace(cache_dtype="float32", cache_views=1, eval_batch_size=8), load_benchmark(config.data), training=False)
    gnet, finetuned = stages.finetune(run)
    run = dataclasses.replace(run, config=run.config.replace(run_dir=str(tmp_path)))
    cache = stages.feature_cache(run, gnet, finetuned)
    images = np.stack([run.views(tf.io.decode_image(tf.io.read_file(p), channels=3)) for p in run.benchmark.paths[run.benchmark.train[:8]]])
    features = tf.function(gnet.trunk)(tf.constant(images))
    np.testing.assert_array_equal(cache.shards[0][:8], features)
    np.testing.assert_array_equal(cache.general[:8], tf.function(gnet.tail)(features))


BSNET_SWITCHES = [
    {"meta": False},
    {"gnet": False},
    {"instance_balance": False},
    {"diversity_loss": False},
    {"dataset_balance": False},
    {"annealing": False},
    {"training_style": "parallel", "gate_compensation": True},
    {"xla": True},
]


@pytest.mark.parametrize("switch", BSNET_SWITCHES, ids=lambda switch: "-".join(switch))
def test_every_switch_of_bsnet_trains(copied, switch):
    config = without_stages(copied, "bsnet").replace(**switch)
    outputs = attributes(train(config), config)
    assert set(outputs) == {"fused", "special"} | (set() if switch.get("gnet") is False else {"general"})
    assert all(np.all(np.isfinite(output)) for output in outputs.values())


@pytest.mark.parametrize("switch", [{"first_order": True}, {"episode_softmax": "task"}], ids=lambda switch: "-".join(switch))
def test_every_switch_of_meta_trains(copied, switch):
    config = without_stages(copied, "meta").replace(**switch, bsnet=False)
    outputs = attributes(train(config), config)
    assert set(outputs) == {"fused", "general"} and np.all(np.isfinite(outputs["general"]))


@pytest.mark.long
def test_bfloat16_trains(trained, tmp_path):
    config = trained[0].replace(run_dir=str(tmp_path / "run"), precision="bfloat16", finetune_epochs=1, meta_epochs=1, eph_max=1)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            commands.train(config)
            results = commands.evaluate(config)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert 0 <= results["fused"]["T"] <= 100


def test_a_run_writes_what_the_design_names(trained):
    config, results, table = trained
    names = {".lock", "config.flags", "checkpoints", "logs", "cache", "export", "figures", "balance.csv"}
    names |= {"results.json", "results.csv", "per_class.csv", "pruning.csv", "report.html", "attributes.npz"}
    assert set(os.listdir(config.run.run_dir)) == names
    with open(os.path.join(config.run.run_dir, "results.json")) as file:
        assert json.load(file) == results
    for branch in ("fused", "general", "special"):
        assert set(results[branch]) == {"T", "U", "S", "H", "AUSUC"} and branch in table
    assert set(os.listdir(os.path.join(config.run.run_dir, "logs"))) == {"finetune", "meta", "bsnet", "evaluation"}


def test_tensorboard_gets_losses_gates_scale_margin_weights_and_branches(trained):
    tags = set()
    for root, _, files in os.walk(os.path.join(trained[0].run.run_dir, "logs", "bsnet")):
        for file in files:
            for event in tf.compat.v1.train.summary_iterator(os.path.join(root, file)):
                tags |= {value.tag for value in event.summary.value}
    assert {"epoch_loss", "epoch_loss_s", "epoch_loss_div", "epoch_accuracy", "gates/0", "gates/1", "balance/gates"} <= tags
    assert {"balance/scale_s", "balance/margin", "balance/instance_weights", "branches/special_logit_std"} <= tags
    assert {"branches/general_logit_std", "balance/loss_div_per_weight", "balance/weights_joint", "balance/gate_order_kept"} <= tags


def test_calibration_takes_delta_from_the_validation_split_only(calibrated):
    config = calibrated
    with open(os.path.join(config.run.run_dir, "validation", "results.json")) as file:
        validation = json.load(file)
    assert validation["split"] == "validation" and validation["dataset"].endswith("_validation")
    with open(os.path.join(config.run.run_dir, "config.flags")) as file:
        flags = dict(line.strip()[2:].split("=", 1) for line in file)
    assert float(flags["delta"]) == pytest.approx(validation["delta"], abs=1e-3)
    assert flags["split"] == "final" and flags["calibrate"] == "false"


@pytest.mark.parametrize(
    "change, stage, message",
    [
        ({"finetune_lr": 0.5}, "finetune", "--finetune_lr=0.001, not 0.5"),
        ({"inner_lr": 0.9}, "meta", "--inner_lr=0.001, not 0.9"),
        ({"submodules": 3}, "bsnet", "--submodules=2, not 3"),
    ],
)
def test_a_stage_whose_settings_changed_is_not_reused(trained, change, stage, message):
    before = folder_digest(trained[0])
    with pytest.raises(UserError, match=message) as error:
        train(trained[0].replace(**change))
    assert folder_digest(trained[0]) == before
    assert os.path.join("checkpoints", stage) in str(error.value)


def test_a_run_folder_of_another_data_set_is_refused(trained):
    before = folder_digest(trained[0])
    with pytest.raises(UserError, match="data set 'tiny'.*this is 'demo'"):
        commands.train(trained[0].replace(dataset="demo"))
    assert folder_digest(trained[0]) == before


def test_a_run_folder_of_changed_data_is_refused(trained, tmp_path):
    changed = shutil.copytree(trained[0].data.data_dir, tmp_path / "tiny")
    table = (changed / "attributes.csv").read_text()
    (changed / "attributes.csv").write_text(table.replace("red,1,0,0", "red,1,0,0.25"))
    with pytest.raises(UserError, match="other contents of the data set"):
        train(trained[0].replace(data_dir=str(changed)))


def test_the_data_set_may_move(trained, tmp_path):
    moved = shutil.copytree(trained[0].data.data_dir, tmp_path / "moved" / "tiny")
    assert train(trained[0].replace(data_dir=str(moved))) is not None


def overwrite(config, image):
    """Gives an image another density in its JFIF header: other bytes, as many as before, of the same pixels."""
    path = os.path.join(config.data.data_dir, "images", image)
    with open(path, "r+b") as file:
        file.seek(14)
        file.write(b"\x07")


@pytest.fixture
def own_data(copied, tmp_path):
    shutil.copytree(copied.data.data_dir, tmp_path / "own" / "tiny")
    return copied.replace(data_dir=str(tmp_path / "own" / "tiny"))


def test_other_bytes_in_a_training_image_are_another_data_set(own_data):
    train(own_data)
    overwrite(own_data, "red_5.jpg")
    with pytest.raises(UserError, match="trained with other bytes in the image files of its training rows"):
        train(own_data)
    with pytest.raises(UserError, match="other bytes"):
        commands.evaluate(own_data, html=False)


def test_a_test_image_may_be_mended_after_training_and_its_features_are_computed_again(own_data):
    run = Run(own_data, load_benchmark(own_data.data), training=True)
    image = os.path.basename(run.benchmark.paths[run.benchmark.test_seen[0]])
    before = stages.stage_settings(run, "bsnet")
    gnet, digest = stages.finetune(run)
    stages.feature_cache(run, gnet, digest, test_rows=True)
    note = os.path.join(own_data.run.run_dir, "cache", "test", "0000.json")
    old = read_json(note)
    overwrite(own_data, image)
    run = Run(own_data, load_benchmark(own_data.data), training=True)
    assert stages.stage_settings(run, "bsnet") == before
    stages.feature_cache(run, gnet, digest, test_rows=True)
    assert read_json(note)["depends_on"] != old["depends_on"]


def test_a_run_of_before_checksums_is_still_read(own_data):
    for stage in stages.STAGES:
        path = os.path.join(own_data.run.run_dir, "checkpoints", stage, "stage.json")
        state = read_json(path)
        del state["settings"]["images"]
        write_json(path, state)
    train(own_data)
    overwrite(own_data, "red_5.jpg")
    train(own_data)


def test_a_checkpoint_of_another_architecture_is_refused(copied):
    path = os.path.join(copied.run.run_dir, "checkpoints", "finetune", "stage.json")
    with open(path) as file:
        state = json.load(file)
    state["settings"]["g_hidden"] = 16
    with open(path, "w") as file:
        json.dump(state, file)
    with pytest.raises(UserError, match="does not fit this network"):
        train(copied.replace(g_hidden=16))


def test_an_unfinished_run_is_not_evaluated(copied):
    with pytest.raises(UserError, match="stage bsnet .* is not finished"):
        commands.evaluate(without_stages(copied, "bsnet"))


def test_a_loss_that_is_not_finite_stops_the_run(tiny_config):
    with pytest.raises(UserError, match="the loss is .* at step"):
        train(tiny_config.replace(finetune_lr=1e30, finetune_optimizer="SGD", finetune_weight_decay=0.0, warmup=0.0))


@pytest.mark.parametrize("damage, message", [("cut", "cannot be decoded"), ("remove", "is missing")])
def test_a_bad_image_is_named(tiny_config, tiny_dir, damage, message, monkeypatch):
    loaded = load_benchmark(tiny_config.data)
    path = tiny_dir / "images" / "green_5.jpg"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    else:
        path.unlink()
        monkeypatch.setattr(opening, "load_benchmark", lambda data: loaded)  # removed after the tables were read
    with pytest.raises(UserError, match=f"green_5.jpg {message}"):
        commands.train(tiny_config)
