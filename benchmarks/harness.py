"""What every benchmark shares: contenders timed in turns, the machine's GEMM ceiling, a table and a JSON file.

A benchmark is `python -m benchmarks.<name>`; it prints its tables and writes them to benchmarks/results/.
"""

import dataclasses
import functools
import importlib.metadata
import json
import multiprocessing
import os
import pathlib
import platform
import resource
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

RESULTS = pathlib.Path(__file__).parent / "results"
PACKAGES = ("tensorflow", "tf-keras", "torch", "numpy")
GEMM_SIZE = 4096  # rows, columns and depth: far beyond the caches
GEMM_ROUNDS = 7


@dataclasses.dataclass(frozen=True)
class Contender:
    """One side of a comparison.

    Attributes:
      name: its row in the table.
      prepare: called without arguments in a process of its own; returns the function to be timed, which returns when
        its work is done. What a process imports is up to it, so that two runtimes' threads never share one. Picklable.
      environment: variables that the process starts with.
    """

    name: str
    prepare: Callable[[], Callable[[], Any]]
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Timing:
    """One side's measurements.

    Attributes:
      seconds: wall-clock time of one call in every round.
      processor_seconds: the time that all its threads computed; other users of the machine disturb it less.
      results: what the last call of every round returned where that is a Python number, else None.
      memory: largest resident memory of its process in bytes.
    """

    seconds: list
    processor_seconds: list
    results: list
    memory: int

    @property
    def median(self):
        return statistics.median(self.seconds)

    def times(self, other):
        """How many times as fast as `other` it was: the median over rounds of the two neighbouring measurements' ratio.

        Neighbours share the machine's state of that minute; the medians of the two sides need not.
        """
        return statistics.median(theirs / own for own, theirs in zip(self.seconds, other.seconds))


def compare(contenders, rounds, repeats=1, warm_up=2):
    """Times contenders in turns: A B C, A B C, …; all are prepared and warmed up before the first round.

    Args:
      contenders: `Contender`s, each kept alive in its process and idle while another is timed.
      rounds: measurements of each.
      repeats: calls in one measurement, whose time is divided by their number.
      warm_up: calls before the first measurement.

    Returns:
      Dict from name to `Timing`.
    """
    context = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    try:
        for contender in contenders:
            pipes[contender.name], end = context.Pipe()
            process = context.Process(target=_serve, args=(contender, end, repeats, warm_up), daemon=True)
            outer = dict(os.environ)
            os.environ.update(contender.environment)
            process.start()
            os.environ.clear()
            os.environ.update(outer)
            processes.append(process)
            end.close()  # so that the pipe breaks where the process does
            pipes[contender.name].recv()
        measured = {name: [] for name in pipes}
        for _ in range(rounds):
            for name, pipe in pipes.items():
                pipe.send(True)
                measured[name].append(pipe.recv())
        for pipe in pipes.values():
            pipe.send(False)
        return {name: Timing(*map(list, zip(*measured[name])), pipe.recv()) for name, pipe in pipes.items()}
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _serve(contender, pipe, repeats, warm_up):
    call = contender.prepare()
    for _ in range(warm_up):
        call()
    pipe.send(None)
    while pipe.recv():
        start = time.perf_counter(), time.process_time()
        for _ in range(repeats):
            result = call()
        spent = [(now - then) / repeats for now, then in zip((time.perf_counter(), time.process_time()), start)]
        pipe.send([*spent, result if isinstance(result, (int, float)) else None])
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def gemm_ceiling(dtype):
    """Multiply-adds a second of this machine in a large square matrix product of `dtype`, the fastest of several rounds."""
    (timing,) = compare([Contender(dtype, functools.partial(_matrix_product, dtype))], GEMM_ROUNDS).values()
    return GEMM_SIZE**3 / min(timing.seconds)


def _matrix_product(dtype):
    import tensorflow as tf

    matrix = tf.cast(np.random.default_rng(0).normal(size=(GEMM_SIZE, GEMM_SIZE)), dtype)
    return lambda: tf.matmul(matrix, matrix)


def machine():
    """What a measurement depends on, by name: CPU, cores, versions, and how many others used the machine."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cpu": _cpu_model(),
        **_gpus(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **versions,
        "load_average": os.getloadavg()[1],  # of five minutes; above `cores` the machine was not the benchmark's alone
        "date": time.strftime("%Y-%m-%d"),
    }


def _gpus():
    """The GPUs and their driver, where NVIDIA's program names them."""
    if not shutil.which("nvidia-smi"):
        return {}
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    return {"gpus": "; ".join(subprocess.run(query, capture_output=True, text=True).stdout.splitlines())}


def _cpu_model():
    with open("/proc/cpuinfo") as file:
        facts = dict(map(str.strip, line.split(":", 1)) for line in file if ":" in line)
    return f"{facts['model name']} family {facts['cpu family']} model {facts['model']}"


def report(name, rows, directory=None, **facts):
    """Prints a table and writes it to <name>.json.

    Args:
      name: of the table; docs/performance.md shows it where it says so (`benchmarks.performance_tables`).
      rows: dicts with the same keys, the table's columns.
      directory: of the file; benchmarks/results by default.
      facts: more figures, as JSON can hold them.
    """
    directory = directory or RESULTS
    directory.mkdir(parents=True, exist_ok=True)
    result = {"machine": machine(), **facts, "rows": rows}
    (directory / f"{name}.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(f"\n{name}: {json.dumps({**result['machine'], **facts}, ensure_ascii=False)}\n{table(rows)}", flush=True)


def table(rows):
    """Rows (dicts with the same keys) as a Markdown table with aligned columns."""
    cells = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths)) for line in cells]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)


def _text(value):
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
