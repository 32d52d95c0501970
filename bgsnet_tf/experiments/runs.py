"""The runs that experiments are made of: each is made in a process of its own, below --run_dir, and read from its files.

TensorFlow keeps every graph, and the data that it captured, for as long as its process lives; in one process the memory
of an experiment would grow with every run.
"""

import contextlib
import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import re
import signal
import sys
import threading
from collections.abc import Mapping, Sequence

import numpy as np
from absl import flags
from tqdm import tqdm

from bgsnet_tf import files
from bgsnet_tf.config import delta_choice
from bgsnet_tf.errors import Interrupted, UserError
from bgsnet_tf.evaluation import metrics
from bgsnet_tf.reporting.result_tables import ATTRIBUTES
from bgsnet_tf.reporting.result_tables import COLUMNS as ACCURACIES

PROCESSES = multiprocessing.get_context("forkserver")  # a fork hangs where TensorFlow was used, not where it was only loaded


@dataclasses.dataclass(frozen=True)
class Variant:
    """A row of an experiment's table.

    Attributes:
      name: for tables.
      changes: flag name to value, where it differs from the experiment's base.
      branch: whose scores are read: a branch, or a reference beside them.
      against: names of the variants that it is compared with.
    """

    name: str
    changes: Mapping[str, object] = dataclasses.field(default_factory=dict)
    branch: str = "fused"
    against: Sequence[str] = ()

    def folder(self, base):
        """Name of its run folder, `base` without changes; variants that only read another branch share one."""
        parts = [f"{flag}_{str(value).lower() if isinstance(value, bool) else value}" for flag, value in self.changes.items()]
        return re.sub(r"[^\w.+-]", "_", "-".join(parts)) or base


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a variant came to with one seed.

    Attributes:
      variant: the variant.
      seeds: the seed; of an ensemble, the seeds.
      results: the content of `results.json`.
      decisions: about the test images.
      labels: (test_seen images,) and (test_unseen images,) classes of those.
    """

    variant: Variant
    seeds: Sequence[int]
    results: Mapping
    decisions: metrics.Decisions
    labels: Sequence[np.ndarray]

    def row(self, flags=()):
        """Its name, the values of `flags`, its seed, accuracies in percent, number of gates over .5, and δ, as a dict."""
        branch = self.variant.branch
        gates = None
        if branch in ("fused", "special") and "gates" in self.results:
            gates = sum(gate > 0.5 for gate in self.results["gates"])
        return {
            "variant": self.variant.name,
            **{flag: self.results["flags"][flag] for flag in flags},
            "seed": self.seeds[0] if len(self.seeds) == 1 else "+".join(map(str, self.seeds)),
            **{name: self.results[branch][name] for name in ACCURACIES},
            "gates": gates,
            "delta": self.results["deltas"][branch],
        }


def outcome(variant, own, found, benchmark):
    """The `Outcome` of a finished run.

    Args:
      variant: whose scores are read.
      own: `Config` of the run.
      found: the content of its `results.json`.
      benchmark: the data that `own` names.
    """
    return decide(variant, [own.run.seed], found, predicted(own)[variant.branch], benchmark)


def decide(variant, seeds, found, attributes, benchmark):
    """The `Outcome` of attributes (n, A) that were predicted of the test rows; the other arguments are as its fields."""
    labels = benchmark.labels[benchmark.test_seen], benchmark.labels[benchmark.test_unseen]
    seen, unseen = np.split(attributes @ benchmark.phi.T, [len(labels[0])])
    classes, delta = (benchmark.seen_classes, benchmark.unseen_classes), found["deltas"][variant.branch]
    return Outcome(variant, seeds, found, metrics.decisions(seen, labels[0], unseen, labels[1], *classes, delta), labels)


def predicted(own):
    """Branch, or reference, to attributes (n, A) that a finished run predicted of its test rows."""
    return files.read_arrays(_attributes(own))


def _attributes(own):
    return os.path.join(own.run.run_dir, ATTRIBUTES)


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
    expected = {"fingerprint": benchmark.fingerprint, "images": benchmark.image_digest(slice(None)), "flags": own.values()}
    found = _read(own, expected)
    if found is None:
        print(f"{own.run.run_dir}:", flush=True)
        if own.run.run_dir != base.run.run_dir:
            share(base, own, benchmark)
        in_own_processes(_make, {own.run.run_dir: (own,)})
        found = _read(own, expected)
    if "AUSUC" not in found["fused"]:
        raise UserError(f"{own.run.run_dir}: the data set has no test_seen rows, so there is no H to compare by; give some rows that split")
    return found


def calibrated(base, own):
    """`own` with all that its validation run chose; that is made first, where it is not there, and shares what it can with base's.

    Args and errors: as `results`.
    """
    from bgsnet_tf.data.loading import load_benchmark  # loads TensorFlow, which takes seconds

    validation = delta_choice.validation_run(own)
    return delta_choice.with_choices(own, results(delta_choice.validation_run(base), validation, load_benchmark(validation.data)))


def command(module, arguments, settings):
    """The command that makes the same experiment: `arguments`, and every flag that is not at its default."""
    return " ".join([f"python -m {module}", *arguments, *settings.changed()])


def _read(own, expected):
    """The results of a run; None where its folder holds none with the values `expected`."""
    found = files.read_json(os.path.join(own.run.run_dir, "results.json")) or {}
    whole = os.path.exists(_attributes(own)) and {name: found.get(name) for name in expected} == expected
    return found if whole else None


def share(base, own, benchmark):
    """Links the feature cache, and the stages that do not depend on what differs, of the finished run `base` into `own`'s folder."""
    from bgsnet_tf.scoring import reference  # loads TensorFlow, which takes seconds
    from bgsnet_tf.training import stages
    from bgsnet_tf.training.run import Run

    settings = [{stage: stages.stage_settings(Run(c, benchmark, False), stage) for stage in stages.STAGES} for c in (base, own)]
    common = [stage for stage in stages.STAGES if settings[0][stage] == settings[1][stage]]
    if "finetune" not in common:  # everything else starts from its weights
        _link(base, own, reference.CACHE)
        return
    shared = [os.path.join("checkpoints", stage) for stage in common]
    if base.cache == own.cache:
        shared.append("cache")
    for name in shared:
        os.makedirs(os.path.join(base.run.run_dir, name), exist_ok=True)  # a cache that was deleted is built in its old place
        _link(base, own, name)


def _link(base, own, name):
    source, link = (os.path.join(c.run.run_dir, name) for c in (base, own))
    if os.path.exists(source) and not os.path.lexists(link):
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(os.path.relpath(source, os.path.dirname(link)), link)


def define_workers():
    """Defines --workers, for experiments that make several runs at once; an operation then has one thread."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()  # Linux alone has the former
    text = "Processes that train at once, with one thread an operation each; 0 trains nothing, and writes what there is by now."
    flags.DEFINE_integer("workers", cores, text, lower_bound=0)
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


def in_own_processes(work, jobs, workers=1):
    """Calls `work(*arguments)` in a process of its own for every job, at most `workers` at once.

    Args:
      work: a function of a module; after a first error no other job is begun.
      jobs: name, for messages, to arguments.
      workers: how many processes.

    Raises:
      UserError: of the first job that raises one, or whose process ends otherwise than well.
    """
    PROCESSES.set_forkserver_preload(["bgsnet_tf.commands"])
    left, running = list(jobs.items()), {}
    try:
        while left or running:
            while left and len(running) < workers:
                name, arguments = left.pop(0)
                process, errors = _start(work, arguments)
                running[process.sentinel] = name, process, errors
            for sentinel in multiprocessing.connection.wait(list(running)):
                _finish(*running[sentinel])
                del running[sentinel]
    finally:
        for _, process, _ in running.values():
            process.terminate()
            process.join()


def _start(work, arguments):
    errors, of_child = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_in_child, args=(work, arguments, of_child))
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which the child inherits: Ctrl-C is the parent's to handle
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, handler)
    of_child.close()
    return process, errors


def _finish(name, process, errors):
    with contextlib.suppress(EOFError):  # the pipe closes when the child ends
        raise UserError(errors.recv())
    process.join()
    if process.exitcode:
        how = f"signal {-process.exitcode} (out of memory?)" if process.exitcode < 0 else f"exit status {process.exitcode}, see above"
        raise UserError(f"the process of the run {name} ended with {how}; the same command continues it")


def _in_child(work, arguments, errors):
    """Sends the text of a `UserError`."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tqdm.set_lock(threading.RLock())  # its own lock is a semaphore, which a process that is terminated leaves behind
    try:
        work(*arguments)
    except UserError as error:
        errors.send(str(error))
    except Interrupted as interrupted:
        sys.exit(128 + interrupted.signal)


def _make(own):
    """Makes a run and its result files."""
    from bgsnet_tf import commands

    commands.fit(own)
    commands.evaluate(own, html=False)


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)  # a second one of the same command would write to the same files
