"""What a run takes, before it takes it: steps, disk, memory and time of every stage (`train.py --dry_run`).

The stages build their networks as ever, with random weights, and hand them to a planner instead of to `fit_stage`:
once to be traced and weighed, and, where everything fits, once more to be timed over a few real steps. Nothing is
written, and what an earlier command left in the run's folder is not looked at, but for the disk that it holds.
"""

import dataclasses
import gc
import os
import shutil
import sys
import time

import numpy as np
import tensorflow as tf

from bgsnet_tf.data import images
from bgsnet_tf.data.batches import Share
from bgsnet_tf.data.trunk_cache import FeatureCache
from bgsnet_tf.errors import UserError
from bgsnet_tf.model import graph_costs
from bgsnet_tf.planning.parts import CACHE, Part, describe_data, summary, table
from bgsnet_tf.training import stages
from bgsnet_tf.training.fitting import BATCHES_IN_FLIGHT, compile_phase, traced_step
from bgsnet_tf.training.machines import memory

WARM_UP_STEPS, TIMED_STEPS, TIMED_SECONDS = 2, 3, 2.0


def plan(run):
    """Prints what all stages of a run take.

    Args:
      run: a `Run`; none of its stages needs to be finished.

    Returns:
      `Part`s in the order of the run.

    Raises:
      UserError: where memory or disk do not suffice, before any step is made.
    """
    print(describe_data(run.benchmark))
    config = run.config.replace(
        backbone_weights="none",
        batch_norm="hold" if run.config.backbone.holds_batch_norm else "train",  # as with the weights that are not loaded here
        run_dir=os.path.join(run.directory, "dry_run"),  # which does not exist
        steps_per_execution=1,  # since single steps are timed
    )
    estimator = _Estimator(dataclasses.replace(run, training=True, config=config.replace(xla=False)))  # XLA hides the graph of a step
    stages.build_bgsnet(estimator.run, estimator.fit, estimator.open_cache)
    _require_disk(run, estimator.parts)
    gc.collect()
    timer = _Timer(dataclasses.replace(run, training=True, config=config))
    stages.build_bgsnet(timer.run, timer.fit, timer.open_cache)
    parts = [dataclasses.replace(part, **timer.measured[part.name]) for part in estimator.parts]
    print(table(parts))
    print(summary(parts, memory.of_device()[1], _disk_free(run)))
    return parts


class _Estimator:
    """Stands in for `fit_stage` and `feature_cache`: weighs what it gets."""

    def __init__(self, run):
        self.run, self.parts = run, []

    def fit(self, run, stage, fit, phases):
        for phase in phases:
            if phase.fitted:
                self._weigh(stage.name, fit, phase)
        if stage.name == "finetune" and run.config.bsnet.bsnet:  # not even BSNet's network is built where its weights alone are too many
            modules = run.config.bsnet.submodules
            held, there = memory.of_device()
            needed = held + modules * 2 * _bytes(fit.model.tail.weights)  # their gradients are as large
            _require("bsnet", needed, there, "memory", f"--submodules={modules}")

    def open_cache(self, run, gnet, finetuned):
        _say("estimating the feature cache")
        settings, batch_size = run.config.cache, run.config.evaluation.eval_batch_size
        items = len(run.benchmark.train) * settings.cache_views
        tested = len(run.test_rows) if run.scores_epochs else 0
        graph = _embed(gnet).get_concrete_function(tf.TensorSpec([batch_size, *run.input_shape])).graph
        features, general = (output.shape[1:] for output in graph.outputs)
        item_bytes = features.num_elements() * np.dtype(settings.cache_dtype).itemsize + general.num_elements() * 4
        batch_bytes = 4 * batch_size * int(np.prod(run.input_shape))
        held, there = memory.of_device()
        part = Part(
            name=CACHE,
            epochs=1,
            steps=-(-items // batch_size) + -(-tested // batch_size),
            images=batch_size,
            parameters=0,
            multiply_adds=graph_costs.multiply_adds(graph),
            held=held,
            step_bytes=graph_costs.peak_bytes(graph) + (1 + BATCHES_IN_FLIGHT) * batch_bytes,
            disk=(items + tested) * item_bytes,
        )
        self._add(part, there, "eval_batch_size")
        if run.config.meta.gnet and run.config.meta.meta:
            copies = 2 * items * general.num_elements() * 4  # in NumPy, and as a tensor
            _require("meta", held + copies, there, "memory for e_g of all views", f"--cache_views={settings.cache_views}")
        return _blank_cache(run, features, general)

    def _weigh(self, stage, fit, phase):
        name = f"{stage} {phase.name}"
        _say(f"estimating {name}")
        phase.prepare()
        optimizers = compile_phase(self.run, fit, phase).values()
        graph, step_bytes = traced_step(fit)
        batch = fit.dataset(0, 0, Share()).element_spec
        if stage == "bsnet":
            specs = _summary_specs(self.run, batch[0])
            summary_graph = tf.function(fit.model.weights_and_attributes).get_concrete_function(*specs).graph
            step_bytes = max(step_bytes, graph_costs.peak_bytes(summary_graph) + _bytes(specs))
        trained = [variable for group in fit.model.parameter_groups().values() for variable in group]
        held, there = memory.of_device()
        part = Part(
            name=name,
            epochs=phase.fitted,
            steps=phase.fitted * fit.steps,
            images=_images(batch),
            parameters=sum(variable.shape.num_elements() for variable in trained),
            multiply_adds=graph_costs.multiply_adds(graph),
            held=held,
            step_bytes=step_bytes,
            disk=_bytes(fit.saved.weights) + sum(_bytes(optimizer.variables()) for optimizer in optimizers),
        )
        self._add(part, there, fit.size_flag)

    def _add(self, part, there, flag):
        _require(part.name, part.estimated_peak, there, "memory", f"--{flag}={self.run.config.values()[flag]}")
        self.parts.append(part)


class _Timer:
    """Stands in for `fit_stage` and `feature_cache`: makes a few steps. `measured`: the `Part`'s figures, by its name."""

    def __init__(self, run):
        self.run, self.measured = run, {}

    def fit(self, run, stage, fit, phases):
        for phase in phases:
            if phase.fitted:
                name = f"{stage.name} {phase.name}"
                _say(f"timing {name}")
                phase.prepare()
                compile_phase(run, fit, phase)
                train, batches = fit.model.make_train_function(), iter(fit.dataset(0, 0, Share()))
                memory.reset_peak()
                seconds = _seconds(lambda train=train, batches=batches: train(batches))
                if stage.name == "bsnet":
                    fit.model.weights_and_attributes(*map(_zeros, _summary_specs(run, batches.element_spec[0])))
                self.measured[name] = {"step_seconds": seconds, "measured_peak": memory.peak()}

    def open_cache(self, run, gnet, finetuned):
        _say("timing the feature cache")
        embed, batch_size = _embed(gnet), run.config.evaluation.eval_batch_size
        items = np.resize(images.items_of(run.benchmark.train, run.config.cache.cache_views), [batch_size, 2])
        batches = iter(images.image_batches(run.benchmark, items, run.views, batch_size).repeat())
        memory.reset_peak()
        seconds = _seconds(lambda: embed(next(batches)))
        self.measured[CACHE] = {"step_seconds": seconds, "measured_peak": memory.peak()}
        features, general = (output.shape[1:] for output in embed(next(batches)))
        return _blank_cache(run, features, general)


def _embed(gnet):
    return tf.function(gnet.embed)


def _blank_cache(run, features, general):
    """A cache of the right shapes whose items are all the same: it takes no memory."""
    items = len(run.benchmark.train) * run.config.cache.cache_views
    rng = np.random.default_rng(run.config.run.seed)
    arrays = [
        rng.random(shape, np.float32).astype(dtype) for shape, dtype in ((features, run.config.cache.cache_dtype), (general, "float32"))
    ]
    return FeatureCache(*([np.broadcast_to(array, [items, *array.shape])] for array in arrays), run.config.cache.cache_views)


def _summary_specs(run, inputs):
    """Specs of the images behind TensorBoard's histograms after every epoch of BSNet, more than a small batch has."""
    return [tf.TensorSpec([min(stages.SUMMARY_IMAGES, len(run.labels)), *spec.shape[1:]], tf.float32) for spec in inputs]


def _zeros(spec):
    return tf.zeros(spec.shape, spec.dtype)


def _seconds(step):
    """Seconds of one call of `step`, whose outputs are waited for."""

    def once():
        tf.nest.map_structure(lambda output: output.numpy(), step())

    for _ in range(WARM_UP_STEPS):
        once()
    steps, start = 0, time.perf_counter()
    while steps < TIMED_STEPS or time.perf_counter() - start < TIMED_SECONDS:
        once()
        steps += 1
    return (time.perf_counter() - start) / steps


def _images(spec):
    """How many images a batch of a stage holds: (inputs, labels), or `Episodes`."""
    rows = [spec.support_rows, spec.query_rows] if hasattr(spec, "support_rows") else [spec[1]]
    return sum(tensor.shape.num_elements() for tensor in rows)


def _bytes(tensors):
    return sum(tensor.shape.num_elements() * tensor.dtype.size for tensor in tensors)


def _require(what, needed, there, resource_name, flag):
    if needed > there:
        raise UserError(f"{what} needs {needed / 1e9:.2f} GB of {resource_name}, there are {there / 1e9:.2f} GB; lower {flag}")


def _require_disk(run, parts):
    """Raises where cache and checkpoints do not fit on the disk, what lies in their folders already being theirs."""
    free, cache = _disk_free(run), sum(part.disk for part in parts if part.name == CACHE)
    checkpoints = [part.disk for part in parts if part.name != CACHE]
    _require(CACHE, cache, free, f"disk below {run.directory}", f"--cache_views={run.config.cache.cache_views}")
    kept = run.config.run.keep_checkpoints
    needed = cache + kept * sum(checkpoints) + max(checkpoints)  # one is whole before the oldest goes
    _require("cache and checkpoints together", needed, free, f"disk below {run.directory}", f"--submodules={run.config.bsnet.submodules}")


def _disk_free(run):
    existing = os.path.abspath(run.directory)
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    walks = [os.walk(os.path.join(run.directory, folder)) for folder in ("cache", "checkpoints")]
    own = sum(os.path.getsize(os.path.join(root, name)) for walk in walks for root, _, names in walk for name in names)
    return shutil.disk_usage(existing).free + own


def _say(text):
    print(text, file=sys.stderr, flush=True)
