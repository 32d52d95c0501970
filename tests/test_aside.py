"""A process beside this one: the same outcomes, the same errors, and none of them lost where it dies."""

import pathlib
import time

from bgsnet_tf.config import DataConfig
from bgsnet_tf.data.loading import load_benchmark
from tests import programs
from tests.tiny import write_tiny

LOADS = """
import sys
from bgsnet_tf.aside import Aside
from bgsnet_tf.config import DataConfig
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.errors import UserError

loaded = Aside().begin(load_benchmark, DataConfig(dataset="csv", data_dir=sys.argv[1]))
{meanwhile}
try:
    print(loaded().fingerprint)
except UserError as error:
    print(error)
"""
KILLED = """
import multiprocessing
(other,) = multiprocessing.active_children()
other.kill()
other.join()
"""
DRAWS = """
import functools, os, pathlib, sys
from bgsnet_tf.aside import Aside, at_once
from bgsnet_tf.reporting import figures

def draw(begin, directory):
    gates = functools.partial(figures.gates, [0.2, 0.7])
    drawn = [begin(figures.draw, gates, pathlib.Path(directory), name) for name in ("one", "two")]
    return [path().read_bytes() for path in drawn]

aside = Aside()
process = aside.begin(os.getpid)()
{meanwhile}
assert process != os.getpid()
assert draw(aside.begin, sys.argv[1]) == draw(at_once, sys.argv[2])
print(sorted(os.listdir(sys.argv[1])))
"""
LEFT = """
import multiprocessing, os, signal
from bgsnet_tf.aside import Aside

Aside().begin(bytes, 10**6)  # more than a pipe holds
print(multiprocessing.active_children()[0].pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
ORDER = """
import os
from bgsnet_tf.aside import Aside

def inverse(number):
    return 1 / number, os.getpid()

aside = Aside()
one, fails, two = (aside.begin(inverse, number) for number in (1, 0, 2))
(half, second), (whole, first) = two(), one()
assert first == second != os.getpid()
print(half, whole)
try:
    fails()
except ZeroDivisionError as error:
    print(error)
"""


def loads(directory, meanwhile=""):
    return programs.run("-c", LOADS.format(meanwhile=meanwhile), directory)


def test_it_is_the_same_benchmark_also_where_the_process_died(tmp_path):
    write_tiny(tmp_path / "tiny")
    expected = load_benchmark(DataConfig(dataset="csv", data_dir=str(tmp_path / "tiny"))).fingerprint
    for meanwhile in ("", KILLED):
        assert loads(tmp_path / "tiny", meanwhile).stdout == f"{expected}\n"


def test_a_users_mistake_is_told_in_the_same_words(tmp_path):
    write_tiny(tmp_path / "été \\n")
    table = tmp_path / "été \\n" / "images.csv"
    table.write_text(table.read_text().replace("red_3.jpg,red", "red_3.jpg,pink"))
    assert "pink" in (found := loads(table.parent)).stdout and found.stderr == ""
    assert found.stdout == loads(table.parent, KILLED).stdout


def test_figures_are_the_same_also_where_the_process_died(tmp_path):
    for number, meanwhile in enumerate(("", KILLED)):
        aside, here = tmp_path / f"aside{number}", tmp_path / f"here{number}"
        result = programs.run("-c", DRAWS.format(meanwhile=meanwhile), aside, here)
        assert result.stdout == "['one.png', 'one.svg', 'two.png', 'two.svg']\n", result.stderr


def test_outcomes_may_be_asked_for_in_any_order_and_errors_are_raised_here():
    result = programs.run("-c", ORDER)
    assert (result.stdout, result.stderr) == ("0.5 1.0\ndivision by zero\n", "")


def test_it_ends_with_its_parent():
    state = pathlib.Path("/proc", programs.run("-c", LEFT).stdout.strip(), "stat")
    until = time.monotonic() + 30
    while state.exists() and ") Z " not in state.read_text():
        assert time.monotonic() < until
        time.sleep(0.05)
