"""Contenders run in turns in processes of their own, and tables land where the document marks them."""

import functools
import os
import time

import pytest

from benchmarks import harness, performance_tables
from benchmarks.harness import Contender, Timing


def sleeper(seconds):
    def call():
        time.sleep(seconds)
        return os.getpid() if "SLEEPER" not in os.environ else float(os.environ["SLEEPER"])

    return call


def test_contenders_are_timed_in_processes_of_their_own():
    contenders = [
        Contender("long", functools.partial(sleeper, 0.2)),
        Contender("short", functools.partial(sleeper, 0.1), {"SLEEPER": "7"}),
    ]
    timings = harness.compare(contenders, rounds=3, repeats=2)
    assert 0.2 <= timings["long"].median < 0.4 and 0.1 <= timings["short"].median < 0.2
    assert timings["short"].times(timings["long"]) == pytest.approx(2, rel=0.3)
    assert timings["long"].results[0] != os.getpid() and timings["short"].results == [7.0] * 3
    assert "SLEEPER" not in os.environ


def failing():
    raise MemoryError


def test_a_contender_that_dies_ends_the_comparison():
    with pytest.raises(EOFError):
        harness.compare([Contender("failing", failing)], rounds=1)


def test_ratio_is_the_median_of_neighbouring_times():
    own, other = Timing([1.0, 2.0, 3.0], [], [], 0), Timing([2.0, 6.0, 3.0], [], [], 0)
    assert own.times(other) == 2.0


def test_tables_fill_the_marked_blocks_only(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    monkeypatch.setattr(performance_tables, "RESULTS", tmp_path)
    harness.report("speed", [{"what": "a", "s": 0.12345}, {"what": "bb", "s": 1234.5}], rounds=3)
    assert "| bb   | 1234  |" in capsys.readouterr().out
    text = performance_tables.filled("before\n<!-- table: speed -->\nold\n<!-- end -->\nafter\n")
    assert text.startswith("before\n<!-- table: speed -->\n| what | s     |\n") and text.endswith("<!-- end -->\nafter\n")
    assert "old" not in text and "| a    | 0.123 |" in text and "cores" in text
    assert performance_tables.filled(text) == text
