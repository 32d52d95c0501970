"""Seconds from the start of a process to its first answer, by part: python -m benchmarks.first_prediction [--export_dir=DIR]

Without a folder of an export, the demo is trained for an epoch or two a stage first.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.harness import report
from benchmarks.start_up import ROOT, SHORT, command

ROUNDS = 7
PARTS = ("start of Python", "import of TensorFlow", "opening of the export", "first answer", "second answer")
PROGRAM = """
import json, sys, time
marks = [(time.time(), time.process_time())]
mark = lambda: marks.append((time.time(), time.process_time()))
import bgsnet_tf, tensorflow
mark()
model = bgsnet_tf.load(sys.argv[1])
mark()
for _ in range(2):
    model.predict(sys.argv[2])
    mark()
print(json.dumps(marks))
"""


def measured(version, photo):
    """(seconds, processor seconds) of every one of PARTS in a fresh process."""
    start = time.time()
    done = subprocess.run([sys.executable, "-c", PROGRAM, version, photo], cwd=ROOT, capture_output=True, text=True, check=True)
    marks = [(start, 0.0), *json.loads(done.stdout.splitlines()[-1])]
    return [(after[0] - before[0], after[1] - before[1]) for before, after in zip(marks, marks[1:])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export_dir", default="", help="of a version, as runs/demo/export/1")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        if not args.export_dir:
            command("train.py", "--flagfile=configs/demo.flags", f"--run_dir={directory}/run", *SHORT)()
        photo = f"{directory}/photo.png"
        _write_photo(photo)
        found = [measured(args.export_dir or f"{directory}/run/export/1", photo) for _ in range(args.rounds)]
    medians = [[statistics.median(times) for times in zip(*of_part)] for of_part in zip(*found)]
    rows = [{"part": part, "s": s, "processor s": processor} for part, (s, processor) in zip(PARTS, medians)]
    whole = [sum(times[:-1]) for times in zip(*medians)]
    report("first_prediction", [*rows, {"part": "to the first answer", "s": whole[0], "processor s": whole[1]}], rounds=args.rounds)


def _write_photo(path):
    import tensorflow as tf

    tf.io.write_file(path, tf.io.encode_png(tf.zeros([64, 64, 3], tf.uint8)))


if __name__ == "__main__":
    main()
