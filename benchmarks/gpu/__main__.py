"""All that is to be known of a machine with GPUs, in one command: does it compute what a CPU does, and how fast?

python -m benchmarks.gpu [--results=DIR] [--tiny]

It ends in two tables and two files, gpu_checks.json and gpu_rates.json, and with a status that is not 0 where a check fails.
`--tiny` runs the same lines on a CPU in a minute or two, so that they run where a GPU is; its figures say nothing. Nobody has run this on a
GPU yet.
"""

import argparse
import pathlib
import sys

from benchmarks import harness
from benchmarks.gpu import checks, rates


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="small networks on two logical CPUs, in this process")
    parser.add_argument("--results", type=pathlib.Path, default=harness.RESULTS, help="folder of the JSON files")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if args.tiny:
        checks.make_logical_cpus(2)
    else:  # before this process takes a part of the GPU itself
        harness.report("gpu_rates", rates.measure(args.rounds), args.results)
    checked = checks.run()
    harness.report("gpu_checks", checked, args.results)
    if args.tiny:
        harness.report("gpu_rates", rates.try_all(), args.results)
    sys.exit(any(row["passed"] != "yes" for row in checked))


if __name__ == "__main__":
    main()
