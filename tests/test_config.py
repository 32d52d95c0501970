"""Flags, flagfiles and the typed configuration."""

import dataclasses
import glob

import pytest
from absl import flags

from bgsnet_tf import config
from bgsnet_tf.config import flagfiles
from bgsnet_tf.errors import UserError


def parse(*arguments):
    values = flags.FlagValues()
    config.define_flags(values)
    values(["program", *flagfiles.expand(arguments)])
    return values


def test_a_written_flagfile_reproduces_the_configuration(tmp_path):
    settings = config.from_flags(parse("--run_dir=runs/x", "--eta=0.037", "--nometa", "--backbone=small", "--seed=3"))
    settings.write(tmp_path / "config.flags")
    assert config.from_flags(parse(f"--flagfile={tmp_path / 'config.flags'}")) == settings
    assert [path.name for path in tmp_path.iterdir()] == ["config.flags"]


def test_a_runs_flags_are_overlaid_by_those_given(tmp_path):
    settings = config.Config(run=config.RunConfig(run_dir="elsewhere")).replace(eta=0.037, delta=1.5)
    settings.write(tmp_path / "config.flags")
    loaded = config.of_run(parse(f"--run_dir={tmp_path}", "--delta=2"))
    assert loaded == settings.replace(run_dir=str(tmp_path), delta=2.0)


@pytest.mark.parametrize("path", sorted(glob.glob("configs/*.flags")))
def test_every_flagfile_parses(path):
    settings = config.from_flags(parse(f"--flagfile={path}", "--run_dir=runs/x", "--data_dir=data"))
    if settings.data.dataset in config.XLSA17_DATASETS:
        assert (settings.bsnet.submodules, settings.bsnet.s_max, settings.bsnet.eph_max) == (10, 5, 100)
        assert (settings.meta.way, settings.meta.shot, settings.meta.query) == (10, 5, 3)
        assert settings.backbone.backbone == "ResNet101" and settings.data.image_size == 224


def test_every_flag_has_help_that_ends_a_sentence():
    for section in dataclasses.fields(config.Config):
        for field in dataclasses.fields(section.type):
            assert field.metadata["help"].rstrip().endswith((".", ")")), field.name


@pytest.mark.parametrize(
    "argument", ["--eta=-1", "--submodules=0", "--eval_batch_size=5000", "--split_index=4", "--warmup=2", "--inner_lr=0", "--s_max=0.5"]
)
def test_a_value_out_of_range_names_its_flag(argument):
    with pytest.raises(flags.IllegalFlagValueError, match=argument.split("=")[0]):
        parse(argument)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_every_number_is_finite(value):
    names = [
        field.name for section in dataclasses.fields(config.Config) for field in dataclasses.fields(section.type) if field.type is float
    ]
    assert len(names) > 15
    for name in names:
        with pytest.raises(flags.IllegalFlagValueError, match=f"--{name}"):
            parse(f"--{name}={value}")


def test_trust_is_neither_stored_nor_taken_from_a_store(tmp_path):
    settings = config.from_flags(parse("--run_dir=runs/x", "--trust_backbone"))
    assert settings.backbone.trust_backbone
    settings.write(tmp_path / "config.flags")
    assert "trust" not in (tmp_path / "config.flags").read_text()
    with open(tmp_path / "config.flags", "a") as file:
        file.write("--trust_backbone=true\n")
    assert not config.of_run(parse(f"--run_dir={tmp_path}")).backbone.trust_backbone
    assert config.of_run(parse(f"--run_dir={tmp_path}", "--trust_backbone")).backbone.trust_backbone


@pytest.mark.parametrize(
    "values, message",
    [
        ({"run_dir": ""}, "--run_dir is missing"),
        ({"gnet": False, "bsnet": False}, "--nognet and --nobsnet"),
        ({"dataset": "cub"}, "--data_dir is missing"),
        ({"resize": 100}, "--resize=100"),
        ({"finetune_epochs": 0, "finetune_head_epochs": 0}, "at least one epoch"),
        ({"calibrate": True, "split": "validation"}, "--calibrate"),
    ],
)
def test_contradicting_flags_are_explained(values, message):
    with pytest.raises(UserError, match=message):
        config.Config(run=config.RunConfig(run_dir="runs/x")).replace(**values)


def test_a_damaged_flagfile_of_a_run_is_explained(tmp_path):
    (tmp_path / "config.flags").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match="config.flags does not fit"):
        config.of_run(parse(f"--run_dir={tmp_path}"))


def test_a_folder_without_a_run_is_explained(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        config.of_run(parse(f"--run_dir={tmp_path}"))


@pytest.mark.parametrize("value", ["a\n--seed=3", "a ", " a", "a\u2028b", "a\x1b", "caf\udce9"])
@pytest.mark.parametrize("name", ["data_dir", "run_dir", "backbone_weights"])
def test_a_text_that_is_no_name_cannot_get_into_config_flags(name, value):
    with pytest.raises(UserError, match=f"--{name}=.*; rename it, or link to it by another name") as error:
        config.Config(run=config.RunConfig(run_dir="runs")).replace(**{name: value})
    assert str(error.value).isprintable()


@pytest.mark.parametrize("contents", [b"\xff\xfe\x00", b"--seed=\xe9\n", b"--seed=one\n", b"--no_such=1\n", b"--warmup=7\n", b"\x00" * 99])
def test_a_damaged_config_flags_is_explained(tmp_path, contents):
    (tmp_path / "config.flags").write_bytes(contents)
    with pytest.raises(UserError) as error:
        config.of_run(parse(f"--run_dir={tmp_path}"))
    assert str(error.value).isprintable()


def test_no_flag_is_written_down_twice():
    """A field of a section that its base has too takes that one's place in silence."""
    sections = [section.type for section in dataclasses.fields(config.Config)]
    names = [name for section in sections for base in section.__mro__ for name in vars(base).get("__annotations__", ())]
    assert len(names) == len(set(names))


def test_seen_classes_are_of_any_data_set():
    run = config.RunConfig(run_dir="run")
    assert config.Config(config.DataConfig(seen_classes=5), run=run).data.seen_classes == 5
    with pytest.raises(UserError, match="--seen_classes=7: --dataset=demo_dials draws 8 to 240"):
        config.Config(config.DataConfig(dataset="demo_dials", seen_classes=7), run=run)
