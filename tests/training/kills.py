"""Kills a run again and again while it trains, and starts it again: python -m tests.training.kills KILLS SEED flags…

Every process is killed a random time after it has come to one of the parts of a run, a few times in each of them.
"""

import collections
import pathlib
import random
import signal
import sys
import time

from bgsnet_tf import files
from tests.programs import Program

PARTS = ("finetune heads", "finetune all", "feature cache", "meta episodes", "bsnet gates", "bsnet instance", "export")
LONGEST_LIFE = 3.0  # seconds in a part of the demo before the kill
PATIENCE = 1200  # seconds for a part to come, and for a process to end


class Disturbed:
    """One process of a run, and the part that it is in."""

    def __init__(self, flags, run_dir):
        self.run_dir = pathlib.Path(run_dir)
        self.program = Program("train.py", *flags, f"--run_dir={run_dir}")

    def part(self):
        """Index of the part that was begun last, -1 before the first."""
        if list(self.run_dir.glob(f"export/*{files.UNFINISHED}")):
            return len(PARTS) - 1
        _, progress = self.program.outputs
        seen = [(progress.rfind(f"{name}:"), i) for i, name in enumerate(PARTS)]
        position, index = max(seen)
        return index if position >= 0 else -1

    def wait_for(self, part):
        """Waits until the process is in a part, or in a later one, or has ended."""
        until = time.monotonic() + PATIENCE
        while self.part() < part and self.program.status is None and time.monotonic() < until:
            time.sleep(0.02)


def disturb(flags, run_dir, kills, seed, longest_life=LONGEST_LIFE):
    """Kills a run `kills` times, each time up to `longest_life` seconds after a part was begun, then lets it end.

    Returns:
      Counter of (part, signal) of the kills that met a living process.

    Raises:
      AssertionError: for a process that ends otherwise than it should.
    """
    rng = random.Random(seed)
    met = collections.Counter()
    for kill in range(kills):
        process = Disturbed(flags, run_dir)
        process.wait_for(kill * len(PARTS) // kills)
        time.sleep(rng.uniform(0, longest_life))
        number = rng.choice([signal.SIGKILL, signal.SIGTERM])
        part = process.part()
        process.program.send_signal(number)
        ended = process.program.wait(PATIENCE)
        status = ended.returncode
        expected = {-signal.SIGKILL} if number == signal.SIGKILL else {128 + signal.SIGTERM, -signal.SIGTERM}
        assert status in expected | {0}, ended.stderr  # 0: it was done before the signal came
        if status:
            met[PARTS[part] if part >= 0 else "start", signal.Signals(number).name] += 1
    last = Disturbed(flags, run_dir).program.wait(PATIENCE)
    assert last.returncode == 0, last.stderr
    return met


if __name__ == "__main__":
    *others, run_dir = sys.argv[3:]
    for (part, name), count in disturb(others, run_dir.removeprefix("--run_dir="), int(sys.argv[1]), int(sys.argv[2])).items():
        print(f"{part}: {count} × {name}")
