"""How a run is spread over devices and machines, through tf.distribute.

A batch is global: replica r of k takes the r-th of its k equal parts, so that a step's update does not depend on k.
"""

import contextlib
import dataclasses
import functools
import itertools
import json
import os

import numpy as np
import tensorflow as tf

from bgsnet_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Worker:
    """This process among those that train one model. The chief, number 0, is the only one that writes."""

    index: int = 0
    count: int = 1

    @property
    def is_chief(self):
        return self.index == 0


CHIEF = Worker()


@functools.cache
def make(name):
    """The strategy of a process; the first call must come before TensorFlow is used otherwise.

    Args:
      name: one_device; mirrored (all visible GPUs, or all logical CPUs where there is none); multi_worker (the
        processes of TF_CONFIG, each with all its GPUs); auto: multi_worker where TF_CONFIG names more than one
        process, else mirrored where there are more GPUs than one, else one_device. A GPU gets its batches ahead of time.

    Raises:
      UserError: where TF_CONFIG is needed and missing or malformed.
    """
    if name == "auto":
        name = "multi_worker" if len(_workers()) > 1 else "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one_device"
    if name == "multi_worker":
        if not _workers():
            raise UserError("--strategy=multi_worker needs TF_CONFIG in the environment; docs/distributed.md shows one")
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(gpus or [device.name for device in tf.config.list_logical_devices("CPU")])
    return tf.distribute.OneDeviceStrategy(gpus[0]) if gpus else tf.distribute.get_strategy()


def _workers():
    """Addresses of the processes that TF_CONFIG names, chief first; none without TF_CONFIG."""
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return []
    try:
        settings = json.loads(text)
        cluster, task = settings["cluster"], settings["task"]
        workers = [*cluster.get("chief", []), *cluster.get("worker", [])]
        cluster[task["type"]][int(task["index"])]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(
            f"TF_CONFIG is malformed ({type(error).__name__}: {error}); it looks like "
            '{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'
        ) from error
    if set(cluster) - {"chief", "worker"}:
        raise UserError(f"TF_CONFIG names {sorted(cluster)}; only chief and worker processes train here")
    return workers


def this_worker(strategy):
    """The `Worker` that this process is."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return CHIEF
    cluster = resolver.cluster_spec().as_dict()
    before = len(cluster.get("chief", [])) if resolver.task_type == "worker" else 0
    return Worker(before + resolver.task_id, sum(map(len, cluster.values())))


def require_equal_parts(strategy, flag, batch_size):
    """Raises a `UserError` where a batch cannot be divided among the replicas."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UserError(f"--{flag}: {batch_size} cannot be divided into equal parts for {replicas} replicas; take a multiple of {replicas}")


def sum_over_workers(strategy, values):
    """Sum over all processes of a vector of small integers; waits for the others. The same on every process."""
    devices = len(strategy.extended.worker_devices)
    return _sum_over_replicas(strategy)(tf.constant(values, tf.int32)).numpy() // devices


@functools.cache
def _sum_over_replicas(strategy):
    return tf.function(lambda values: strategy.reduce("SUM", strategy.run(tf.identity, args=(values,)), axis=None))


def settle(strategy, variables):
    """Gives every replica the mean of what replicas gather apart: averages of batch norms, with or without --sync_batch_norm.

    Training does not see it: an average of averages moves as they do.
    """
    for variable in variables if strategy.num_replicas_in_sync > 1 else ():
        apart = variable.synchronization == tf.VariableSynchronization.ON_READ
        if apart and variable.aggregation == tf.VariableAggregation.MEAN:
            variable.assign(variable.read_value())


def each_batch(strategy, function, batches):
    """Yields `function(batch)` as arrays for every batch, in order; the devices of this process take turns.

    Args:
      strategy: under which the variables of `function` were made.
      function: tensor to a tensor or a list of tensors, without communication between replicas.
      batches: iterable of tensors.
    """
    if strategy.num_replicas_in_sync == 1:
        yield from (tf.nest.map_structure(np.asarray, function(batch)) for batch in batches)
        return
    devices = len(strategy.extended.worker_devices)
    on_devices = _on_devices(strategy, function)
    batches = iter(batches)
    while group := list(itertools.islice(batches, devices)):
        filled = group + group[-1:] * (devices - len(group))  # a device without a batch repeats the last one
        results = on_devices(_one_each(strategy, filled))
        by_device = zip(*(map(np.asarray, strategy.experimental_local_results(result)) for result in tf.nest.flatten(results)))
        yield from (tf.nest.pack_sequence_as(results, list(of_device)) for of_device in itertools.islice(by_device, len(group)))


def _one_each(strategy, values):
    """The values, one for each device of this process, in the strategy's form."""
    return strategy.experimental_distribute_values_from_function(lambda context: values[context.replica_id_in_sync_group % len(values)])


@functools.lru_cache(maxsize=4)  # so that scoring after every epoch does not trace again
def _on_devices(strategy, function):
    return tf.function(lambda shares: strategy.run(function, args=(shares,)), reduce_retracing=True)


@contextlib.contextmanager
def naming_lost_workers(strategy):
    """Turns TensorFlow's error about a process of a distributed run that is gone into a `UserError`."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError, tf.errors.DeadlineExceededError) as error:
        if this_worker(strategy).count == 1:
            raise
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"another process of this run is gone ({reason[:200]}); start all of them again with the same command, "
            "they continue from the last checkpoint"
        ) from error
