"""Flagfiles by path and by bare name, nested, and those that cannot be read."""

import pytest

from bgsnet_tf.config import flagfiles
from bgsnet_tf.errors import UserError


def test_lines_take_the_place_of_the_flag(tmp_path):
    (tmp_path / "inner.flags").write_text("--eta=3\n")
    (tmp_path / "outer.flags").write_text(f"# a comment\n\n  --eta=2  \n--flagfile={tmp_path / 'inner.flags'}\n// another\n--seed=1\n")
    expanded = ["--eta=1", "--eta=2", "--eta=3", "--seed=1", "--seed=2"]
    assert flagfiles.expand(["--eta=1", f"--flagfile={tmp_path / 'outer.flags'}", "--seed=2"]) == expanded
    assert flagfiles.expand(["--eta=1", "--flagfile", str(tmp_path / "outer.flags"), "--seed=2"]) == expanded


def test_a_bare_name_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "--submodules=10" in flagfiles.expand(["--flagfile=cub.flags"])  # which stands in resnet101.flags


def test_a_file_of_the_working_folder_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo.flags").write_text("--eta=7\n")
    assert flagfiles.expand(["--flagfile=demo.flags"]) == ["--eta=7"]


def test_an_unknown_name_is_told_which_there_are():
    with pytest.raises(UserError, match=r"--flagfile=dmo.flags is no file.*demo\.flags"):
        flagfiles.expand(["--flagfile=dmo.flags"])


@pytest.mark.parametrize("contents, message", [(b"\xff\xfe", "cannot be read as text"), (b"--flagfile=PATH\n", "names itself")])
def test_a_file_that_cannot_be_used_is_named(tmp_path, contents, message):
    path = tmp_path / "bad.flags"
    path.write_bytes(contents.replace(b"PATH", bytes(path)))
    with pytest.raises(UserError, match=rf"bad\.flags {message}"):
        flagfiles.expand([f"--flagfile={path}"])
    with pytest.raises(UserError, match="cannot be read as text"):
        flagfiles.expand([f"--flagfile={tmp_path}"])
