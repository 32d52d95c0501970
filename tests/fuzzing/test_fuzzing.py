"""Two minutes of fuzzing, over all targets; each in a process of its own, which a fuzzer must be able to end."""

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.fuzzing.targets import TARGETS

SECONDS = 120 / len(TARGETS)
GROWTH = 20  # MB of memory after the first third


def fuzz(target, tmp_path, *arguments):
    program = [sys.executable, "-m", "tests.fuzzing", target, f"--failures={tmp_path}", *arguments]
    return subprocess.run(program, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=600)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_no_input_gives_a_traceback_or_takes_memory(target, tmp_path):
    result = fuzz(target, tmp_path, f"--seconds={SECONDS}", "--inputs=1000000000")
    assert result.returncode == 0, (result.stdout + result.stderr)[-3000:]
    inputs, first, last = map(int, re.search(r": (\d+) inputs .* (\d+) MB after a third, (\d+) MB", result.stdout).groups())
    assert inputs > 10 and last - first < GROWTH, result.stdout


def test_an_input_that_a_target_cannot_bear_ends_it_and_is_kept(tmp_path):
    failures, folder = tmp_path / "failures", tmp_path / "folder"
    failures.mkdir()
    folder.mkdir()
    program = "from tests.fuzzing.__main__ import Counted; Counted('x', lambda contents: 1 / len(contents), 9, 9.0, {!r}, {!r})(b'')"
    program = program.format(str(failures), str(folder))
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1 and "ZeroDivisionError" in result.stderr and "cannot bear" in result.stdout
    assert [path.read_bytes() for path in failures.iterdir()] == [b""] and not folder.exists()
