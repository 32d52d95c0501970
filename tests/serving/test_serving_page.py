"""Every example of docs/serving.md that asks a server, run as it stands against the stand-in."""

import re
import shutil

import pytest

from tests.programs import ROOT, run_example

EXAMPLES = re.findall(r"```(bash|python)\n(.*?)```", (ROOT / "docs" / "serving.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("language, example", EXAMPLES, ids=[f"{i}-{language}" for i, (language, _) in enumerate(EXAMPLES)])
def test_the_example_runs(served, exported, tmp_path, language, example):
    if "curl" in example and not (shutil.which("curl") and shutil.which("base64")):
        pytest.skip("curl and base64 are not on PATH")
    (tmp_path / "photo.jpg").write_bytes(exported.image_bytes[0])
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "photo.jpg").write_bytes(exported.image_bytes[0])
    (tmp_path / "new_classes.csv").write_text("class,r,g,b,constant\npink,1,0.7,0.7,0.5\nbrown,0.5,0.3,0,0.5\n")
    example = example.replace("http://localhost:8501", served[1]).replace("localhost:8500", served[2])
    result = run_example(language, example, tmp_path)
    assert result.returncode == 0, result.stderr
    answer = result.stdout + "".join(path.read_text() for path in tmp_path.glob("answers.*"))
    assert re.search(r"predictions|outputs|result|AVAILABLE|\[\d\] \[\[|photo.jpg", answer) and '"error"' not in answer


def test_there_are_examples():
    assert len(EXAMPLES) >= 7
