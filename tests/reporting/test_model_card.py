"""The card beside an export: metadata that a YAML reader takes, and only figures of these very weights and this δ."""

import contextlib
import dataclasses
import io
import json
import pathlib
import shutil

import pytest
import yaml

from bgsnet_tf import commands
from bgsnet_tf.config import delta_choice
from bgsnet_tf.exported import layout
from bgsnet_tf.reporting import model_card
from tests.conftest import tiny_config_below
from tests.tiny import BACKBONE
from tests.whole_runs import ONE_PHASE, SMALL


def cards(config):
    return {path.parent.name: path.read_text() for path in pathlib.Path(config.run.run_dir, "export").glob("*/README.md")}


def metadata(card):
    return yaml.safe_load(card.split("---\n")[1])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Settings of an uncalibrated run that was exported, scored, and exported pruned; its cards before and after; what was printed."""
    config = tiny_config_below(tmp_path_factory.mktemp("card")).replace(**{**ONE_PHASE, "meta": False})
    printed = io.StringIO()
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(printed):
        commands.train(config)
        before = cards(config)
        commands.export(config, prune_to=1)
        commands.evaluate(config, html=False)
    return config, before, cards(config), printed.getvalue()


def test_before_a_run_is_scored_the_card_has_no_figures(written):
    config, before, _, _ = written
    assert set(before) == {"1"} and f"Not measured yet; `bgsnet-evaluate --run_dir={config.run.run_dir}`" in before["1"]
    assert "model-index" not in metadata(before["1"])


def test_scoring_puts_the_figures_of_results_json_on_the_card(written):
    config, _, after, _ = written
    results = json.loads(pathlib.Path(config.run.run_dir, "results.json").read_text())
    (model,) = metadata(after["1"])["model-index"]
    (found,) = model["results"]
    assert {metric["name"].split(":")[0]: metric["value"] for metric in found["metrics"]} == {
        name: pytest.approx(value, rel=1e-3) for name, value in results["fused"].items()
    }
    low, high = results["intervals"]["fused"]["T"]
    assert f"| T | {results['fused']['T']:.1f} | {low:.1f} to {high:.1f} |" in after["1"]
    assert found["dataset"] == {"name": "tiny", "type": "csv", "split": "test"} and model["name"] == "BGSNet on tiny"


def test_figures_of_other_weights_are_not_shown(written):
    assert "Not on record for these weights" in written[2]["2"] and "| sub-modules | 1 |" in written[2]["2"]
    assert "model-index" not in metadata(written[2]["2"]) and "| sub-modules | 2 |" in written[2]["1"]


def test_figures_of_another_delta_are_not_shown(written, capsys):
    config = written[0]
    try:
        commands.evaluate(config.replace(delta=0.5), html=False)
        assert "Not on record for this δ; the run was last scored with 0.500" in cards(config)["1"]
    finally:
        commands.evaluate(config, html=False)


def test_the_card_says_what_it_was_made_of(written):
    config, _, after, _ = written
    for line in (
        "| data set | tiny (csv) |",
        "| images | 24 to train, 8 of seen and 16 of unseen classes to test |",
        "| classes | 4 seen, 2 unseen |",
        f"| backbone | {BACKBONE}, starting weights: those of the file |",
        "The backbone came trained.",
        "Unseen: yellow, cyan.",
        "whoever made the tables knows them",
        f"bgsnet-train --dataset=csv --data_dir={config.data.data_dir}",
    ):
        assert line in after["1"]
    assert "cut to the object" not in after["1"]


def test_a_backbone_that_starts_at_random_has_seen_no_class(written, tmp_path):
    opened = commands.open_run(written[0])
    shutil.copytree(pathlib.Path(opened.directory, "export", "1"), tmp_path / "1")
    model_card.write(dataclasses.replace(opened, config=opened.config.replace(**SMALL)), str(tmp_path / "1"))
    card = (tmp_path / "1" / "README.md").read_text()
    assert "| backbone | small, starting weights: none |" in card and "came trained" not in card


def test_a_run_that_nobody_calibrated_says_so_in_the_table_the_export_and_the_card(written):
    config, _, after, printed = written
    assert f"δ: {delta_choice.NOT_CALIBRATED}" in printed
    described = layout.read(pathlib.Path(config.run.run_dir, "export", "1"))
    assert described.delta == 0 and described.origin.delta_source == delta_choice.NOT_CALIBRATED
    assert f"| δ | 0.000: {delta_choice.NOT_CALIBRATED} |" in after["1"] and "- δ is 0:" in after["1"]


def test_an_export_of_before_origins_is_read_and_says_what_is_not_on_record(written, tmp_path):
    config = written[0]
    run, version = commands.open_run(config), pathlib.Path(config.run.run_dir, "export", "1")
    (tmp_path / "assets").mkdir()
    for path in (version / "assets").iterdir():
        (tmp_path / "assets" / path.name).write_bytes(path.read_bytes())
    model = json.loads((tmp_path / "assets" / "model.json").read_text())
    del model["origin"]
    (tmp_path / "assets" / "model.json").write_text(json.dumps(model))
    model_card.write(run, str(tmp_path))
    card = (tmp_path / "README.md").read_text()
    assert "its origin is not on record" in card and "| sub-modules | not on record |" in card


def test_hard_names_break_neither_metadata_nor_tables(written, tmp_path):
    run, version = commands.open_run(written[0]), pathlib.Path(written[0].run.run_dir, "export", "1")
    described = dataclasses.replace(
        layout.read(version), class_names=("a|b", "<script>", "x_y*", "…", "`tick`", "[link](x)"), dataset='quo"tes: {x}'
    )
    (tmp_path / "README.md").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "read", lambda _: described)
        model_card.write(run, str(tmp_path))
    card = (tmp_path / "README.md").read_text()
    assert metadata(card)["model-index"][0]["results"][0]["dataset"]["name"] == 'quo"tes: {x}'
    assert r"a\|b, \<script\>, x\_y\*" in card and r"\`tick\`, \[link\](x)" in card


def test_a_calibrated_run_names_what_chose_and_the_command_that_chooses_again(tiny_config):
    validation = pathlib.Path(delta_choice.validation_run(tiny_config).run.run_dir)
    validation.mkdir(parents=True)
    (validation / "results.json").write_text(json.dumps({"deltas": {"fused": 0.1234, "general": 0.0, "linear": 3.0}}))
    assert delta_choice.source(tiny_config) == delta_choice.NOT_CALIBRATED
    config = delta_choice.with_choices(tiny_config, json.loads((validation / "results.json").read_text()))
    assert delta_choice.source(config) == "the best H on the validation split of the same run"
    again = model_card._as_trained(config).changed()
    assert "--calibrate=True" in again and not [flag for flag in again if flag.startswith("--delta")]
    assert delta_choice.source(config.replace(delta=0.2)) == "a constant of the flags, to be chosen on the validation split"
    assert delta_choice.source(config.replace(split="validation", delta=0.0)) == delta_choice.NOT_CALIBRATED  # an export there holds δ = 0
