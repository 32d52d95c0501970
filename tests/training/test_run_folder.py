"""A run's folder: what belongs to others in it stays, and a folder of others is no run's."""

import os
import pathlib

import pytest

from bgsnet_tf import commands, files
from bgsnet_tf.errors import UserError
from bgsnet_tf.reporting import hparams
from bgsnet_tf.training import run_folder

OF_OTHERS = (
    "film.part01.rar",
    "data.partial.csv",
    "012.partridge/1.jpg",
    "my.participants/list.txt",
    "checkpoints/notes.part",
    "checkpoints/bsnet/gates/old.part/weights",
    "logs/mine.part",
    f"seed0/checkpoints/bsnet/gates/000001-000000{files.UNFINISHED}/checkpoint.index",  # of a run that trains below this one
)
LEFT_BEHIND = (
    "config.flags",
    "results.json",
    "cache/checksums.json",
    "cache/train/0000-features.npy",
    "checkpoints/bsnet/stage.json",
    "checkpoints/bsnet/gates/000001-000000",
    "figures/gates.svg",
)


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("content")


def test_only_what_the_project_left_unfinished_is_removed(tmp_path):
    for name in OF_OTHERS:
        write(tmp_path / name)
    for name in LEFT_BEHIND:
        write(pathlib.Path(files.unfinished(tmp_path / name)))
    write(pathlib.Path(files.unfinished(tmp_path / "checkpoints" / "meta" / "episodes" / "000002-000000")) / "checkpoint.index")
    run_folder.tidy(tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(OF_OTHERS)


def test_a_linked_stage_of_another_run_is_left_alone(tmp_path):
    write(tmp_path / "base" / "finetune" / f"stage.json{files.UNFINISHED}")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "finetune").symlink_to(tmp_path / "base" / "finetune")
    run_folder.tidy(tmp_path / "run")
    assert len(list((tmp_path / "base" / "finetune").iterdir())) == 1


@pytest.mark.parametrize("command", [commands.train, commands.plan, lambda config: commands.train(config.replace(calibrate=True))])
def test_a_folder_of_others_is_refused_and_untouched(tiny_config, tiny_dir, command):
    before = sorted(path for path in tiny_dir.rglob("*"))
    with pytest.raises(UserError, match=f"--run_dir={tiny_dir} holds .* and no config.flags"):
        command(tiny_config.replace(run_dir=str(tiny_dir)))
    assert sorted(path for path in tiny_dir.rglob("*")) == before


@pytest.mark.parametrize(
    "names", [(), (".lock",), ("validation/config.flags", "checkpoints/finetune/stage.json"), ("config.flags", "notes")]
)
def test_a_folder_that_a_run_has_begun_is_its_own(tmp_path, names):
    for name in names:
        write(tmp_path / name)
    run_folder.require_own(tmp_path)
    run_folder.require_own(tmp_path / "nothing")


@pytest.mark.parametrize("kind", ["link", "broken link", "file", "binary"])
def test_a_lock_that_is_not_ours_is_refused_and_not_overwritten(tmp_path, kind):
    target = tmp_path / "thesis.tex"
    if kind != "broken link":
        target.write_bytes(b"mine" if kind != "binary" else bytes(range(256)))
    if "link" in kind:
        (tmp_path / ".lock").symlink_to(target)
    else:
        os.rename(target, tmp_path / ".lock")
    with pytest.raises(UserError, match=r"\.lock is (a link|no lock)"), files.locked(tmp_path):
        pass
    assert target.exists() == (kind == "link")
    assert "link" in kind or (tmp_path / ".lock").stat().st_size in (4, 256)


def test_a_lock_is_held_again_and_again(tmp_path):
    for _ in range(2):
        with files.locked(tmp_path), pytest.raises(UserError, match=f"in use by process {os.getpid()} on"), files.locked(tmp_path):
            pass


def test_summaries_replace_their_own_files_alone(tmp_path):
    row = {"variant": "a", "seed": 0, "eta": 0.1, **dict.fromkeys(hparams.ACCURACIES, 1.0)}
    write(tmp_path / "hparams" / "mine" / "events.out.tfevents.1.host")
    for _ in range(2):
        hparams.write(str(tmp_path / "hparams"), {"eta": [0.1]}, [row])
    found = [path for path in (tmp_path / "hparams").rglob("*") if path.is_file()]
    assert len(found) == 3 and tmp_path / "hparams" / "mine" / "events.out.tfevents.1.host" in found
