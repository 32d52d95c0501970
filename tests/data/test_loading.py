"""Data that a process of their own loads: the same benchmark, the same error, and none of it lost where that process dies."""

import pathlib
import time

from bgsnet_tf.config import DataConfig
from bgsnet_tf.data.loading import load_benchmark
from tests import programs
from tests.tiny import write_tiny

PROGRAM = """
import sys
from bgsnet_tf.config import DataConfig
from bgsnet_tf.data.loading import loading_aside
from bgsnet_tf.errors import UserError

loaded = loading_aside(DataConfig(dataset="csv", data_dir=sys.argv[1]))
{meanwhile}
try:
    print(loaded().fingerprint)
except UserError as error:
    print(error)
"""
KILLED = """
import multiprocessing
(aside,) = multiprocessing.active_children()
aside.kill()
aside.join()
"""
LEFT = """
import multiprocessing, os, signal
from bgsnet_tf.data import loading

loading.load_benchmark = lambda data: bytes(10**6)  # more than a pipe holds
loading.loading_aside(None)
print(multiprocessing.active_children()[0].pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def told(directory, meanwhile=""):
    return programs.run("-c", PROGRAM.format(meanwhile=meanwhile), directory)


def test_it_is_the_same_benchmark_also_where_the_process_died(tmp_path):
    write_tiny(tmp_path / "tiny")
    expected = load_benchmark(DataConfig(dataset="csv", data_dir=str(tmp_path / "tiny"))).fingerprint
    for meanwhile in ("", KILLED):
        assert told(tmp_path / "tiny", meanwhile).stdout == f"{expected}\n"


def test_a_users_mistake_is_told_in_the_same_words(tmp_path):
    write_tiny(tmp_path / "été \\n")
    table = tmp_path / "été \\n" / "images.csv"
    table.write_text(table.read_text().replace("red_3.jpg,red", "red_3.jpg,pink"))
    assert "pink" in (found := told(table.parent)).stdout and found.stderr == ""
    assert found.stdout == told(table.parent, KILLED).stdout


def test_it_ends_with_its_parent():
    state = pathlib.Path("/proc", programs.run("-c", LEFT).stdout.strip(), "stat")
    until = time.monotonic() + 30
    while state.exists() and ") Z " not in state.read_text():
        assert time.monotonic() < until
        time.sleep(0.05)
