"""What is written appears whole or not at all."""

import pytest

from bgsnet_tf import files


@pytest.mark.parametrize("contents", ["zwölf\r\n", b"\xff\x00"])
def test_a_file_holds_what_was_written(tmp_path, contents):
    path = tmp_path / "file"
    path.write_text("before")
    files.write(path, contents)
    assert path.read_bytes() == (contents.encode() if isinstance(contents, str) else contents)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_takes_the_place_of_another(tmp_path):
    path = tmp_path / "folder"
    for name in ("old", "new"):
        with files.replacing(path) as part:
            assert not (path / "new").exists()
            (tmp_path / part).mkdir()
            (tmp_path / part / name).touch()
    assert [found.relative_to(tmp_path).as_posix() for found in sorted(tmp_path.rglob("*"))] == ["folder", "folder/new"]


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as part:
        (tmp_path / part).write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_a_folder_laid_over_another_takes_the_place_of_its_own_files_alone(tmp_path):
    for names in (["old.mine", "both.mine"], ["new.mine", "both.mine"]):
        with files.laying_over(tmp_path / "folder", ["*.mine"], within=tmp_path) as part:
            (tmp_path / part / "below").mkdir(parents=True)
            for name in names:
                (tmp_path / part / "below" / name).touch()
            (tmp_path / "folder").mkdir(exist_ok=True)
            (tmp_path / "folder" / "theirs").touch()
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["folder/below/both.mine", "folder/below/new.mine", "folder/theirs"]


def test_what_a_killed_process_left_is_written_over(tmp_path):
    (tmp_path / f"file{files.UNFINISHED}").mkdir()
    (tmp_path / f"file{files.UNFINISHED}" / "half").touch()
    files.write(tmp_path / "file", "whole")
    assert (tmp_path / "file").read_text() == "whole" and len(list(tmp_path.iterdir())) == 1
