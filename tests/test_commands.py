"""The two programs as a user starts them: one clear line for every mistake, no traceback, exit status not 0."""

import os
import subprocess
import sys
import time

import pytest

from bgsnet_tf import commands
from tests.programs import ROOT, run


def flags_of(config, **changed):
    return [f"--{name}={value}" for name, value in config.replace(**changed).values().items()]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--flagfile=configs/nowhere.flags"], "configs/nowhere.flags"),
        (["--dataset=imagenet", "--run_dir=x"], "--dataset=imagenet"),
        (["--eta=-1", "--run_dir=x"], "--eta"),
        (["--learning_rate=1"], "learning_rate"),
        ([], "--run_dir is missing"),
        (["demo", "--run_dir=x"], "'demo' is not a flag"),
        (["--dataset=csv", "--data_dir=nowhere", "--run_dir=RUN"], "nowhere"),
        (["--dataset=cub", "--data_dir=.", "--run_dir=RUN"], "att_splits.mat"),
        (["--dataset=csv", "--data_dir=TINY", "--run_dir=RUN", "--backbone=ResNet99"], "ResNet99"),
        (
            [
                "--dataset=csv",
                "--data_dir=TINY",
                "--run_dir=RUN",
                "--backbone=small",
                "--backbone_weights=none",
                "--finetune_optimizer=Sgdd",
            ],
            "Sgdd",
        ),
    ],
)
def test_a_mistake_gives_one_line(arguments, message, tmp_path, tiny_dir):
    places = {"RUN": tmp_path / "run", "TINY": tiny_dir}
    for name, path in places.items():
        arguments = [argument.replace(name, str(path)) for argument in arguments]
    result = run("train.py", *arguments)
    assert result.returncode != 0
    assert message in result.stderr and "Traceback" not in result.stderr
    told = [line for line in result.stderr.splitlines() if message in line]
    assert len(told) == 1


def test_a_binary_flagfile_is_one_line(tmp_path):
    (tmp_path / "binary.flags").write_bytes(bytes(range(256)))
    result = run("train.py", f"--flagfile={tmp_path / 'binary.flags'}")
    assert result.returncode == 1 and "binary.flags cannot be read as text" in result.stderr and "Traceback" not in result.stderr


def test_trust_in_a_flagfile_is_refused(tmp_path):
    (tmp_path / "copied.flags").write_text("--trust_backbone\n--run_dir=x\n")
    result = run("train.py", f"--flagfile={tmp_path / 'copied.flags'}")
    assert result.returncode == 1 and "--trust_backbone stands in a flagfile" in result.stderr


def test_evaluate_without_a_run(tmp_path):
    result = run("evaluate.py", f"--run_dir={tmp_path}")
    assert result.returncode == 1 and "holds no run" in result.stderr and "Traceback" not in result.stderr


def test_help_is_quick_and_lists_the_flags():
    start = time.monotonic()
    result = subprocess.run([sys.executable, "train.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert time.monotonic() - start < 3  # issue of start-up: no TensorFlow is loaded
    assert "--submodules" in result.stdout and "paper: 10" in result.stdout


def test_train_and_evaluate_as_a_user_does(tiny_config):
    assert run("train.py", *flags_of(tiny_config, finetune_epochs=1, meta_epochs=1, bsnet=False)).returncode == 0
    result = run("evaluate.py", f"--run_dir={tiny_config.run.run_dir}", "--delta=0.5")
    assert result.returncode == 0, result.stderr
    assert "fused" in result.stdout and "0.50" in result.stdout
    assert os.path.exists(os.path.join(tiny_config.run.run_dir, "results.json"))


def test_without_test_seen_rows_t_and_u_are_given(tiny_config, tiny_dir, capsys):
    rows = (tiny_dir / "images.csv").read_text().splitlines()
    (tiny_dir / "images.csv").write_text("\n".join(row for row in rows if not row.endswith("test_seen")) + "\n")
    config = tiny_config.replace(finetune_head_epochs=0, finetune_epochs=1, meta=False, bsnet=False)
    commands.fit(config)
    results = commands.evaluate(config)
    assert set(results["fused"]) == {"T", "U"} and "no test_seen rows, so no S, H, AUSUC" in capsys.readouterr().out
    assert not os.path.exists(os.path.join(config.run.run_dir, "report.html"))


@pytest.mark.parametrize(
    "file, before, after, message",
    [
        ("images.csv", ",green,", ",grün,", "grün"),
        ("attributes.csv", "red,1,0,0,0.5", "red,nan,0,0,0.5", "nan"),
        ("images.csv", "yellow_0.jpg,yellow,test_unseen", "yellow_0.jpg,yellow,trainval", "yellow"),
        ("images.csv", "images/red_1.jpg", "images/red_11.jpg", "red_11.jpg"),
    ],
)
def test_bad_tables_are_named_and_nothing_is_written(tiny_config, tiny_dir, file, before, after, message):
    (tiny_dir / file).write_text((tiny_dir / file).read_text().replace(before, after, 1))
    result = run("train.py", *flags_of(tiny_config))
    assert result.returncode == 1
    assert message in result.stderr and "Traceback" not in result.stderr
    assert not os.path.exists(tiny_config.run.run_dir)
