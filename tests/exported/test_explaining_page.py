"""Every example of docs/explaining.md, run as it stands on a tiny export."""

import re

import pytest

from tests.programs import ROOT, run_example

EXAMPLES = re.findall(r"```(bash|python)\n(.*?)```", (ROOT / "docs" / "explaining.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("language, example", EXAMPLES, ids=[f"{i}-{language}" for i, (language, _) in enumerate(EXAMPLES)])
def test_the_example_runs(exported, tmp_path, language, example):
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "other.png", "photos/photo.jpg"):
        (tmp_path / name).write_bytes(exported.image_bytes[0])
    (tmp_path / "new_classes.csv").write_text("class,b,r,g,constant\npink,0.7,1,0.7,0.5\nbrown,0,0.5,0.3,0.5\n")
    example = example.replace("runs/demo/export/1", f"{exported.directory}/1")
    result = run_example(language, example, tmp_path)
    assert result.returncode == 0, result.stderr
    for name in re.findall(r'savefig\("(.*?)"\)|--output=(\S+)', example):
        assert (tmp_path / "".join(name)).stat().st_size > 0
