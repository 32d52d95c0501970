"""How fast every stage is on this machine's device: images a second, and the share of the rate of a large matrix product.

Every function below returns one that makes `shapes.steps` steps and then waits for the last: a GPU's host need not wait for each. PyTorch
stands beside it where it is installed.
"""

import dataclasses
import functools
import importlib.util

import numpy as np

from benchmarks import bsnet_step, harness
from benchmarks.harness import Contender

TRUNK_AND_TAIL, TAIL = 7.8e9, 0.73e9  # multiply-adds of ResNet101 and of its tail for one image of 224×224


@dataclasses.dataclass(frozen=True)
class Shapes:
    """Sizes of what is timed."""

    backbone: str = "ResNet101"
    size: int = 224
    batch: int = 128  # of fine-tuning and the cache; BSNet's is its own
    steps: int = 20
    product: int = 8192  # rows, columns and depth of the matrix product
    meta_hidden: int = 0
    exported_modules: int = 3
    bsnet: bsnet_step.Shapes = bsnet_step.Shapes(batch=128)


TINY = Shapes("small", 32, 4, 2, 128, 0, 1, bsnet_step.Shapes(2, 4, (7, 7, 32), 64, 8, 5, 6))


def products(shapes, dtype):
    """Large matrix products, each of the one before, whose rate is the ceiling of all else."""
    import tensorflow as tf

    matrix = tf.cast(np.random.default_rng(0).normal(size=(shapes.product, shapes.product)) / shapes.product**0.5, dtype)

    def steps():
        product = matrix
        for _ in range(shapes.steps):
            product = tf.matmul(matrix, product)
        return float(product[0, 0])

    return steps


def finetuning(shapes, bfloat16=False, xla=False):
    """Training steps of backbone and f_g on pixels that are there."""
    import tensorflow as tf

    from bgsnet_tf.model.gnet import SupervisedGNet
    from bgsnet_tf.model.layers import Predictor

    trunk, tail = _backbone(shapes, bfloat16)
    phi = np.eye(shapes.bsnet.classes, shapes.bsnet.attributes, dtype=np.float32) + 0.1
    gnet = SupervisedGNet(trunk, tail, Predictor(shapes.bsnet.attributes), phi)
    images = _pixels(shapes)
    gnet(images[:1])
    gnet.compile({group: tf.keras.optimizers.Adam(1e-4) for group in gnet.parameter_groups()})
    return _steps(shapes, tf.function(gnet.train_step, jit_compile=xla), (images, tf.zeros([shapes.batch], tf.int32)))


def cache(shapes, bfloat16=False):
    """Trunk and general tail on pixels that are there, as the cache is computed."""
    import tensorflow as tf

    trunk, tail = _backbone(shapes, bfloat16)
    images = _pixels(shapes)

    @tf.function
    def embed(images):
        features = trunk(images, training=False)
        return {"loss": tf.reduce_sum(tail(features, training=False))}

    return _steps(shapes, embed, images)


def bsnet(shapes, **form):
    """Training steps of BSNet on features that are there."""
    return bsnet_step.prepare(shapes.bsnet, steps=shapes.steps, **form)


def bsnet_from_the_cache(shapes, dtype):
    """The same, on features that come from the host in the cache's type, as `fit` gets them."""
    import tensorflow as tf

    from bgsnet_tf.training import fitting
    from bgsnet_tf.training.machines import strategy

    rng = np.random.default_rng(0)
    features = rng.uniform(size=(shapes.bsnet.batch, *shapes.bsnet.features)).astype(dtype)
    general = rng.uniform(size=(shapes.bsnet.batch, shapes.bsnet.channels)).astype(np.float32)
    labels = np.arange(shapes.bsnet.batch, dtype=np.int32) % shapes.bsnet.classes
    devices = strategy.make("one_device")
    with devices.scope():
        network = bsnet_step.network(shapes.bsnet)
        network.compile(network.group_optimizers, steps_per_execution=shapes.steps)
        data = fitting.distributed(devices, lambda share: tf.data.Dataset.from_tensors(((features, general), labels)).repeat().prefetch(2))
        train, batches = network.make_train_function(), iter(data)
    return lambda: float(train(batches)["loss"])


def meta(shapes):
    """Second-order meta-training at SUN's shapes."""
    from benchmarks import meta_training

    return meta_training.ours(shapes.meta_hidden)


def inference(shapes, precision):
    """Requests of a batch to an export; every answer is waited for, as a server does."""
    from benchmarks import inference as exports

    call = exports.exported(shapes.batch, shapes.exported_modules, precision, shapes.backbone, shapes.size)
    return lambda: [call() for _ in range(shapes.steps)][-1][0, 0]


def torch_bsnet(shapes, **form):
    from benchmarks import torch_bsnet

    step = torch_bsnet.prepare(shapes.bsnet, **form)
    return lambda: [step() for _ in range(shapes.steps)][-1]


def torch_meta(shapes):
    from benchmarks import torch_meta

    return torch_meta.loop_over_tasks(shapes.meta_hidden)


def _backbone(shapes, bfloat16):
    import tensorflow as tf

    from bgsnet_tf.model.backbones import backbone

    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16" if bfloat16 else "float32")
    return backbone.build(shapes.backbone, "none", shapes.size)


def _pixels(shapes):
    import tensorflow as tf

    return tf.random.uniform([shapes.batch, shapes.size, shapes.size, 3], 0, 255)


def _steps(shapes, step, *batch):
    def steps():
        for _ in range(shapes.steps):
            outputs = step(*batch)
        return float(outputs["loss"])

    return steps


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
      stage, form: what runs, and how.
      prepare: see above; without `shapes`.
      items: images or tasks of a call.
      work: multiply-adds of a call; 0 where they say nothing.
      steps: of a call.
      dtype: of the matrix product that is the ceiling.
    """

    stage: str
    form: str
    prepare: functools.partial
    items: int
    work: float
    steps: int
    dtype: str = "float32"


def rows_of(shapes):
    """Every `Row`; the first of a stage is what the others are compared with."""
    from benchmarks import meta_shapes

    def row(stage, form, prepare, items, work, steps=shapes.steps, **how):
        dtype = "bfloat16" if how.get("bfloat16") or how.get("precision") == "bfloat16" else "float32"
        return Row(stage, form, functools.partial(prepare, shapes, **how), steps * items, steps * work, steps, dtype)

    own, pixels = shapes.bsnet, shapes.batch
    step = bsnet_step.multiply_adds(own)
    of_meta = meta_shapes.TASKS, 0, meta_shapes.STEPS
    found = [
        row("fine-tuning", "float32", finetuning, pixels, 3 * pixels * TRUNK_AND_TAIL),
        row("fine-tuning", "bfloat16", finetuning, pixels, 3 * pixels * TRUNK_AND_TAIL, bfloat16=True),
        row("fine-tuning", "bfloat16, XLA", finetuning, pixels, 3 * pixels * TRUNK_AND_TAIL, bfloat16=True, xla=True),
        row("cache", "float32", cache, pixels, pixels * TRUNK_AND_TAIL),
        row("cache", "bfloat16", cache, pixels, pixels * TRUNK_AND_TAIL, bfloat16=True),
        row("BSNet", "loop over tails", bsnet, own.batch, step),
        row("BSNet", "stacked tails", bsnet, own.batch, step, tails="stacked"),
        row("BSNet", "XLA", bsnet, own.batch, step, xla=True),
        row("BSNet", "bfloat16", bsnet, own.batch, step, bfloat16=True),
        row("BSNet", "bfloat16, XLA", bsnet, own.batch, step, bfloat16=True, xla=True),
        row("BSNet", "from a float32 cache", bsnet_from_the_cache, own.batch, step, dtype="float32"),
        row("BSNet", "from a float16 cache", bsnet_from_the_cache, own.batch, step, dtype="float16"),
        row("meta", "second order", meta, *of_meta),
        row("inference", "export", inference, pixels, pixels * (TRUNK_AND_TAIL + shapes.exported_modules * TAIL), precision="float32"),
        row("inference", "bfloat16", inference, pixels, pixels * (TRUNK_AND_TAIL + shapes.exported_modules * TAIL), precision="bfloat16"),
    ]
    if importlib.util.find_spec("torch"):
        best = {"fused": True, "channels_last": True}
        found += [
            row("BSNet", "PyTorch, channels_last", torch_bsnet, own.batch, step, **best),
            row("BSNet", "PyTorch, channels_last, compiled", torch_bsnet, own.batch, step, **best, compiled=True),
            row("BSNet", "PyTorch, channels_last, bfloat16", torch_bsnet, own.batch, step, **best, bfloat16=True),
            row("BSNet", "PyTorch, compiled, bfloat16", torch_bsnet, own.batch, step, **best, compiled=True, bfloat16=True),
            row("meta", "PyTorch, a loop over tasks", torch_meta, *of_meta),
        ]
    return found


def measure(rounds):
    """The table at full size: every form in turns with the first of its stage, in processes of their own."""
    shapes = Shapes()
    ceilings = {}
    for dtype in ("float32", "bfloat16"):
        (timing,) = harness.compare([Contender(dtype, functools.partial(products, shapes, dtype))], rounds).values()
        ceilings[dtype] = shapes.steps * shapes.product**3 / min(timing.seconds)
    table, found, first = [], rows_of(shapes), {}
    for row in found:
        first.setdefault(row.stage, row)
        contenders = [Contender(other.form, other.prepare) for other in dict.fromkeys([first[row.stage], row])]
        try:
            timings = harness.compare(contenders, rounds)
        except EOFError:  # its process died, and said why
            table.append(_cells(row, None, None, None))
            continue
        timing = timings[row.form]
        table.append(_cells(row, timing.median, timings[first[row.stage].form].times(timing), ceilings))
        print(harness.table(table[-1:]), flush=True)
    return sorted(table, key=lambda cells: list(first).index(cells["stage"]))


def try_all():
    """The table at tiny size, every form once in this process."""
    import time

    import tensorflow as tf

    shapes, table, seconds = TINY, [], {}
    for dtype in ("float32", "bfloat16"):
        products(shapes, dtype)()
    for row in rows_of(shapes):
        call = row.prepare()
        call()
        start = time.perf_counter()
        call()
        spent = time.perf_counter() - start
        seconds.setdefault(row.stage, spent)
        table.append(_cells(row, spent, spent / seconds[row.stage], {"float32": float("inf"), "bfloat16": float("inf")}))
        tf.keras.mixed_precision.set_global_policy("float32")
    return table


def _cells(row, seconds, times, ceilings):
    """A row of the table; of one that failed, where `seconds` is None."""
    return {
        "stage": row.stage,
        "form": row.form,
        "a second": row.items / seconds if seconds else "failed",
        "ms a step": 1e3 * seconds / row.steps if seconds else "-",
        "% of its products' rate": 100 * row.work / seconds / ceilings[row.dtype] if seconds and row.work else "-",
        "the first is faster by": times or "-",
    }
