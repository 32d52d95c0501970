"""docs/tutorial.md, its blocks run one after another as they stand, on drawings in place of photos and with settings of seconds."""

import os
import re
import signal
import subprocess
import sys
import urllib.request

import pandas as pd
import pytest

from tests.conftest import ROOT
from tests.docs import drawn_birds
from tests.tiny import BACKBONE, CUT

PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```(?:\n\n```\n(.*?)```)?", PAGE, re.DOTALL)  # each with the output that follows, or ""
pytestmark = pytest.mark.long
SECONDS = (  # the other stages are trained by the tests of theirs
    f" --backbone={BACKBONE} --preprocessing=tf --split_layer={CUT} --batch_norm=train"
    " --image_size=32 --resize=36 --finetune_batch_size=8 --cache_views=1 --nometa --nobsnet"
)


class Follower:
    """Somebody who follows the page in a folder of their own, with the console scripts of pyproject.toml on PATH."""

    def __init__(self, root):
        self.root = root
        (root / "bin").mkdir()
        text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        for name, module in re.findall(r'^(bgsnet-\w+) = "([\w.]+):command"', text, re.MULTILINE):
            (root / "bin" / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
            (root / "bin" / name).chmod(0o755)
        path = f"{root / 'bin'}:{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}

    def start(self, block):
        program = ["bash", "-euo", "pipefail", "-c", re.sub(r"^(bgsnet-train .*)$", rf"\1{SECONDS}", block, flags=re.MULTILINE)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
        return subprocess.Popen(program, cwd=self.root, env=self.environment, **pipes)

    def run(self, block):
        process = self.start(block)
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        return output


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The follower, and the output of every block before the playground."""
    follower = Follower(tmp_path_factory.mktemp("tutorial"))
    drawn_birds.write(follower.root / "birds" / "images")
    drawn_birds.write(follower.root / "new_photos", photos=1)
    return follower, [follower.run(block) for block, _ in BLOCKS if "playground" not in block and "--server" not in block]


def test_the_tables_and_the_check_say_what_the_page_shows(followed):
    shown = [expected for _, expected in BLOCKS if expected]
    assert len(shown) == 2 and [output for output, (_, expected) in zip(followed[1], BLOCKS) if expected] == shown


def test_the_run_is_calibrated_and_reported(followed):
    run = followed[0].root / "runs" / "birds"
    assert (run / "report.html").exists() and (run / "validation" / "results.json").exists()
    assert "the best H on the validation split of the same run" in (run / "export" / "1" / "README.md").read_text()


def test_photos_are_named_after_the_birds_of_each_table(followed):
    root = followed[0].root
    names, added = pd.read_csv(root / "names.csv"), pd.read_csv(root / "new_names.csv")
    assert len(names) == 3 * len(drawn_birds.BIRDS) and set(names["class"]) <= {*drawn_birds.BIRDS, "Stork"}
    assert len(added) == 2 * len(drawn_birds.BIRDS) and set(added["class"]) == {"Flamingo", "Raven"}


def test_the_playground_answers_until_ctrl_c(followed):
    (block,) = [block for block, _ in BLOCKS if "bgsnet-playground" in block]
    process = followed[0].start(block.replace("bgsnet-playground", "exec bgsnet-playground --port=0"))
    try:
        address = re.search(r"http://\S+", process.stdout.readline())[0]
        assert b"Make a class" in urllib.request.urlopen(address, timeout=30).read()
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)


def test_a_server_gives_the_names_that_predict_gives(followed):
    pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")
    from tests.serving import harness

    (block,) = [block for block, _ in BLOCKS if "--server" in block]
    root = followed[0].root
    with harness.serve(str(root / "runs" / "birds" / "export"), "bgsnet") as (_, rest, _):
        followed[0].run(block.replace("http://localhost:8501", rest))
    for served, named in (("served.csv", "names.csv"), ("served_new.csv", "new_names.csv")):
        ranking = pd.read_csv(root / named)
        best = ranking[ranking["rank"] == 1].set_index("image")["class"]
        answers = pd.read_csv(root / served).set_index("image")
        first = next(name for name in answers.columns if "class" in name)
        assert answers[first].to_dict() == best.to_dict()
