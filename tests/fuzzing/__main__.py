"""Fuzzes one target: python -m tests.fuzzing images --inputs=30000 [--seconds=600] [--failures=FOLDER]

Guided by coverage where atheris is installed (pip install atheris; it has no wheels for all systems), else the seeds are damaged
and mixed at random. It ends with status 1 at the first input that a target cannot bear, and writes it below --failures.

The random engine keeps no input (Hypothesis keeps about 10 kB of each), so the memory it prints is the readers'; of that,
TensorFlow 2.15 itself keeps about 1 kB of each error that an operation raises, here of each refused image.
"""

import argparse
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time
import traceback

ENGINES = ("atheris", "random")
MARKS = (0, 1 / 3, 1)  # the shares of the work after which memory is measured


class Counted:
    """A target that ends the process after so many inputs, or seconds, with a line on what they took."""

    def __init__(self, name, read, inputs, seconds, failures, folder):
        self.name, self.read, self.inputs, self.failures, self.folder = name, read, inputs, failures, folder
        self.begin, self.seconds, self.count, self.memory = time.monotonic(), seconds, 0, []

    def __call__(self, contents):
        try:
            self.read(contents)
        except Exception:
            path = os.path.join(self.failures, f"{self.name}-{abs(hash(contents)):x}")
            pathlib.Path(path).write_bytes(contents)
            traceback.print_exc()
            self.leave(1, f"{self.name} cannot bear {path}: {contents[:200]!r}")
        self.count += 1
        done = max(self.count / self.inputs, (time.monotonic() - self.begin) / self.seconds)
        while len(self.memory) < len(MARKS) and done >= MARKS[len(self.memory)]:
            self.memory.append(resident_mb())
        if len(self.memory) == len(MARKS):
            memory = "memory {} MB at the start, {} MB after a third, {} MB at the end".format(*self.memory)
            self.leave(0, f"{self.name}: {self.count} inputs in {time.monotonic() - self.begin:.0f} s, {memory}")

    def leave(self, status, message):
        print(message, flush=True)
        sys.stderr.flush()
        shutil.rmtree(self.folder)
        os._exit(status)  # libFuzzer has no other end that is a success


def resident_mb():
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000


def with_atheris(target, folder, count, seed):
    import atheris

    with atheris.instrument_imports(include=["bgsnet_tf"]):
        seeds, read = target(folder)
    corpus = tempfile.mkdtemp(dir=folder)
    for i, contents in enumerate(seeds):
        pathlib.Path(corpus, str(i)).write_bytes(contents)
    arguments = [
        f"-seed={seed + 1}",
        "-rss_limit_mb=0",
        "-timeout=600",
        f"-max_len={max(map(len, seeds)) + 64}",
        "-verbosity=0",
        f"-artifact_prefix={corpus}/",
        corpus,
    ]
    atheris.Setup([sys.argv[0], *arguments], count(read))
    atheris.Fuzz()


def at_random(target, folder, count, seed):
    seeds, read = target(folder)
    counted, chance = count(read), random.Random(seed)
    while True:
        contents = chance.choice(seeds)
        for _ in range(chance.randint(0, 4)):
            start, length = chance.randint(0, len(contents)), chance.randint(0, 8)
            source = chance.choice([chance.randbytes(length), chance.choice(seeds)])  # a piece of another seed leaves a text a text
            first = chance.randint(0, max(0, len(source) - length))
            contents = contents[:start] + source[first : first + length] + contents[start + chance.randint(0, 40) :]
        counted(contents)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--inputs", type=int, default=30_000)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--failures", default=".")
    parser.add_argument("--engine", choices=ENGINES)
    values = parser.parse_args()
    engine = values.engine
    if not engine:
        import importlib.util

        engine = ENGINES[0] if importlib.util.find_spec("atheris") else ENGINES[1]
    from tests.fuzzing.targets import TARGETS

    with tempfile.TemporaryDirectory() as folder:
        run = with_atheris if engine == "atheris" else at_random

        def count(read):
            return Counted(f"{values.target} ({engine})", read, values.inputs, values.seconds, values.failures, folder)

        run(TARGETS[values.target], pathlib.Path(folder), count, values.seed)


if __name__ == "__main__":
    main()
