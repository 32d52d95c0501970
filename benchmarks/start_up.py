"""Seconds from the command line to its end: `train.py --help`, and `evaluate.py` on a small trained run. python -m benchmarks.start_up

The run is the rendered benchmark with shortened training; evaluate.py scores its 2100 test images and writes its report.
"""

import functools
import pathlib
import subprocess
import sys
import tempfile

from benchmarks.harness import Contender, compare, report

ROUNDS = 5
ROOT = pathlib.Path(__file__).parents[1]
SHORT = ("--finetune_epochs=1", "--meta_epochs=1", "--eph_max=1", "--balance_epochs=1")
LIMITS = {"train.py --help": 1.0, "evaluate.py": 15.0}  # seconds


def command(*arguments):
    """The function that runs a command of the project to its end."""

    def call():
        done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
        if "--help" not in arguments and done.returncode:
            raise RuntimeError(done.stderr)

    return call


def main():
    with tempfile.TemporaryDirectory() as directory:
        run_dir = f"--run_dir={directory}/run"
        command("train.py", "--flagfile=configs/demo.flags", run_dir, *SHORT)()
        commands = {"train.py --help": ("train.py", "--help"), "evaluate.py": ("evaluate.py", run_dir)}
        timings = compare([Contender(name, functools.partial(command, *line)) for name, line in commands.items()], ROUNDS, warm_up=1)
    report("start_up", [{"command": name, "seconds": timings[name].median, "limit": limit} for name, limit in LIMITS.items()])


if __name__ == "__main__":
    main()
