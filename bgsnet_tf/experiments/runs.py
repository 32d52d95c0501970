"""The runs that experiments are made of: each is made in a process of its own, below --run_dir, and read from its files.

TensorFlow keeps every graph, and the data that it captured, for as long as its process lives; in one process the memory
of an experiment would grow with every run.
"""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import re
import signal
import sys
import threading
from collections.abc import Mapping

from tqdm import tqdm

from bgsnet_tf import config
from bgsnet_tf.errors import Interrupted, UserError
from bgsnet_tf.reporting.result_tables import COLUMNS as ACCURACIES


@dataclasses.dataclass(frozen=True)
class Variant:
    """A row of an experiment's table.

    Attributes:
      name: for tables.
      changes: flag name to value, where it differs from the experiment's base.
      branch: whose scores are read: fused, general or special.
    """

    name: str
    changes: Mapping[str, object] = dataclasses.field(default_factory=dict)
    branch: str = "fused"

    def folder(self, base):
        """Name of its run folder, `base` without changes; variants that only read another branch share one."""
        parts = [f"{flag}_{str(value).lower() if isinstance(value, bool) else value}" for flag, value in self.changes.items()]
        return re.sub(r"[^\w.+-]", "_", "-".join(parts)) or base


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a variant came to with one seed; `results` is the content of its `results.json`."""

    variant: Variant
    seed: int
    results: Mapping

    def row(self, flags=()):
        """Its name, the values of `flags`, its seed, accuracies in percent, number of gates over .5, and δ, as a dict."""
        branch = self.variant.branch
        gates = None
        if branch != "general" and "gates" in self.results:
            gates = sum(gate > 0.5 for gate in self.results["gates"])
        return {
            "variant": self.variant.name,
            **{flag: self.results["flags"][flag] for flag in flags},
            "seed": self.seed,
            **{name: self.results[branch][name] for name in ACCURACIES},
            "gates": gates,
            "delta": self.results["deltas"][branch],
        }


def results(base, own, benchmark):
    """The content of `results.json` of a run; the run is made where its folder does not hold that of these settings and data.

    Args:
      base: `Config` of a run whose stages and cache the new one shares where nothing that they depend on differs; finished
        before others are based on it.
      own: `Config` of the run; may be `base`.
      benchmark: the data that `own` names.

    Raises:
      UserError: as `commands.fit` and `evaluate`, or where the run's process ends without results.
    """
    expected = {"fingerprint": benchmark.fingerprint(), "images": benchmark.image_digest(slice(None)), "flags": own.values()}
    found = _read(own, expected)
    if found is None:
        print(f"{own.run.run_dir}:", flush=True)
        if own.run.run_dir != base.run.run_dir:
            _share(base, own, benchmark)
        _make_in_own_process(own)
        found = _read(own, expected)
    return found


def command(module, arguments, settings):
    """The command that makes the same experiment: `arguments`, and every flag that is not at its default."""
    defaults = config.Config(run=config.RunConfig(run_dir=".")).values()
    changed = [f"--{name}={value}" for name, value in settings.values().items() if value != defaults[name]]
    return " ".join([f"python -m {module}", *arguments, *changed])


def _read(own, expected):
    """The results of a run; None where its folder holds none with the values `expected`."""
    with contextlib.suppress(OSError, ValueError), open(os.path.join(own.run.run_dir, "results.json")) as file:
        found = json.load(file)
        if {name: found.get(name) for name in expected} == expected:
            return found
    return None


def _share(base, own, benchmark):
    """Links the feature cache, and the stages that do not depend on what differs, of the finished run `base` into `own`'s folder."""
    from bgsnet_tf.training import stages  # loads TensorFlow, which takes seconds
    from bgsnet_tf.training.run import Run

    settings = [{stage: stages.stage_settings(Run(c, benchmark, False), stage) for stage in stages.STAGES} for c in (base, own)]
    common = [stage for stage in stages.STAGES if settings[0][stage] == settings[1][stage]]
    if "finetune" not in common:
        return  # everything else starts from its weights
    shared = [os.path.join("checkpoints", stage) for stage in common]
    if base.cache == own.cache:
        shared.append("cache")
    for name in shared:
        source, link = (os.path.join(c.run.run_dir, name) for c in (base, own))
        os.makedirs(source, exist_ok=True)  # a cache that was deleted is built in its old place
        os.makedirs(os.path.dirname(link), exist_ok=True)
        if not os.path.lexists(link):
            os.symlink(os.path.relpath(source, os.path.dirname(link)), link, target_is_directory=True)


def _make_in_own_process(own):
    context = multiprocessing.get_context("spawn")  # a fork of a process that has loaded TensorFlow hangs
    errors, of_child = context.Pipe(duplex=False)
    process = context.Process(target=_make, args=(own, of_child))
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which the child inherits: Ctrl-C is the parent's to handle
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, handler)
    of_child.close()
    try:
        with contextlib.suppress(EOFError):  # the pipe closes when the child ends
            raise UserError(errors.recv())
        process.join()
    finally:
        process.terminate()
        process.join()
    if process.exitcode:
        how = f"signal {-process.exitcode} (out of memory?)" if process.exitcode < 0 else f"exit status {process.exitcode}, see above"
        raise UserError(f"the process of the run {own.run.run_dir} ended with {how}; the same command continues it")


def _make(own, errors):
    """Makes a run and its result files; sends the text of a `UserError`."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tqdm.set_lock(threading.RLock())  # its own lock is a semaphore, which a process that is terminated leaves behind
    from bgsnet_tf import commands

    try:
        commands.fit(own)
        commands.evaluate(own, html=False)
    except UserError as error:
        errors.send(str(error))
    except Interrupted as interrupted:
        sys.exit(128 + interrupted.signal)


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)  # a second one of the same command would write to the same files
