"""One training step of BSNet at the paper's shapes against PyTorch, against other forms of itself, and against GEMM.

Every alternative runs in turns with ours, two processes at a time, since each holds gigabytes.
"""

import argparse
import dataclasses
import functools
import math

import numpy as np

from benchmarks import harness
from benchmarks.harness import Contender, compare


@dataclasses.dataclass(frozen=True)
class Shapes:
    """The step's sizes: SUN's classes and attributes, ResNet101's tails, the default settings of `configs/`."""

    submodules: int = 10
    batch: int = 32
    features: tuple = (7, 7, 1024)
    channels: int = 2048
    hidden: int = 256
    attributes: int = 102
    classes: int = 645
    eta: float = 0.01


def prepare(shapes, tails="ours", xla=False, bfloat16=False, steps=1):
    """A function that makes training steps of the product's BSNet and returns the last loss.

    Args:
      shapes: `Shapes`.
      tails: "ours"; "keras" for convolutions as Keras computes them; "stacked" for `benchmarks.stacked_tails`.
      xla: compile the step with XLA.
      bfloat16: Keras's policy mixed_bfloat16.
      steps: how many; only the last one's loss is waited for.
    """
    import tensorflow as tf

    if bfloat16:
        tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    bsnet = network(shapes, tails)
    rng = np.random.default_rng(0)
    features = tf.constant(rng.uniform(size=(shapes.batch, *shapes.features)), tf.float32)
    general = tf.constant(rng.uniform(size=(shapes.batch, shapes.channels)), tf.float32)
    labels = tf.constant(np.arange(shapes.batch) % shapes.classes)
    step = tf.function(bsnet.train_step, jit_compile=xla)
    return lambda: float([step(((features, general), labels))["loss"] for _ in range(steps)][-1])


def network(shapes, tails="ours"):
    """The product's BSNet with N ResNet101 tails of random weights, ready to train with Adam."""
    import tensorflow as tf

    from benchmarks.stacked_tails import StackedTails
    from bgsnet_tf.model.backbones.backbone import Tail
    from bgsnet_tf.model.bsnet import BalancePhase, BSNet

    tf.keras.utils.set_random_seed(0)
    tail = resnet101_tail(shapes)
    copies = [tail.copy() if tails != "keras" else Tail(tf.keras.models.clone_model(tail.graph)) for _ in range(shapes.submodules)]
    for copy in copies:
        copy.set_weights(tail.get_weights())
    phi = np.random.default_rng(0).uniform(size=(shapes.classes, shapes.attributes)).astype(np.float32)
    phi /= np.linalg.norm(phi, axis=1, keepdims=True)
    bsnet = BSNet(copies, phi, BalancePhase("parallel", 100, True, shapes.eta, True, True), b_hidden=shapes.hidden)
    bsnet((tf.zeros([1, *shapes.features]), tf.zeros([1, shapes.channels])))
    if tails == "stacked":
        bsnet.tails = [StackedTails(copies)]
        bsnet.special_embeddings = bsnet.tails[0]
    bsnet.compile({group: tf.keras.optimizers.Adam(1e-3) for group in bsnet.parameter_groups()})
    return bsnet


def resnet101_tail(shapes):
    """conv5 of Keras's ResNet101 in those widths, with random weights: the network before it is never built."""
    import tensorflow as tf

    from bgsnet_tf.model.backbones.backbone import Tail

    layers = tf.keras.layers

    def convolution(inputs, channels, kernel, relu=True):
        outputs = layers.BatchNormalization(epsilon=1.001e-5)(layers.Conv2D(channels, kernel, padding="same")(inputs))
        return layers.ReLU()(outputs) if relu else outputs

    wide, narrow = shapes.channels, shapes.channels // 4
    features = outputs = tf.keras.Input(shapes.features)
    for block in range(3):
        shortcut = outputs if block else convolution(outputs, wide, 1, relu=False)
        outputs = convolution(convolution(convolution(outputs, narrow, 1), narrow, 3), wide, 1, relu=False)
        outputs = layers.ReLU()(layers.Add()([shortcut, outputs]))
    return Tail(tf.keras.Model(features, layers.GlobalAveragePooling2D()(outputs)))


def multiply_adds(shapes):
    """Of one step: three products a weight and position, but for the gradients of what does not train, the inputs."""
    positions, wide, narrow = math.prod(shapes.features[:2]), shapes.channels, shapes.channels // 4
    entry = shapes.features[2] * (narrow + wide)
    tail = positions * (3 * (entry + 2 * wide * narrow + 3 * (9 * narrow * narrow + narrow * wide)) - entry)
    balance = 3 * (2 * shapes.channels * shapes.hidden + shapes.hidden * shapes.channels) - shapes.channels * shapes.hidden
    heads = 3 * shapes.submodules * shapes.channels * shapes.attributes + 2 * shapes.attributes * shapes.classes
    return shapes.batch * (shapes.submodules * (tail + balance) + heads)


def torch_step(shapes, **form):
    from benchmarks import torch_bsnet

    return torch_bsnet.prepare(shapes, **form)


OURS = {"float32": {}, "bfloat16": {"bfloat16": True}}
ALTERNATIVES = {
    "float32": {
        "Keras loop over tails": (prepare, {"tails": "keras"}),
        "stacked weights, batched products": (prepare, {"tails": "stacked"}),
        "ours, XLA": (prepare, {"xla": True}),
        "PyTorch, as the field writes it": (torch_step, {}),
        "PyTorch, fused Adam": (torch_step, {"fused": True}),
        "PyTorch, channels_last, fused Adam": (torch_step, {"fused": True, "channels_last": True}),
        "PyTorch, torch.compile, fused Adam": (torch_step, {"fused": True, "compiled": True}),
        "PyTorch, torch.compile, channels_last, fused Adam": (torch_step, {"fused": True, "channels_last": True, "compiled": True}),
        "PyTorch, vmap over stacked tails, fused Adam": (torch_step, {"fused": True, "tails": "vmap"}),
    },
    "bfloat16": {
        "Keras loop over tails": (prepare, {"tails": "keras", "bfloat16": True}),
        "PyTorch, fused Adam": (torch_step, {"fused": True, "bfloat16": True}),
        "PyTorch, channels_last, fused Adam": (torch_step, {"fused": True, "channels_last": True, "bfloat16": True}),
        "PyTorch, torch.compile, fused Adam": (torch_step, {"fused": True, "compiled": True, "bfloat16": True}),
        "PyTorch, torch.compile, channels_last, fused Adam": (
            torch_step,
            {"fused": True, "channels_last": True, "compiled": True, "bfloat16": True},
        ),
    },
}


def measure(shapes, precision, rounds, only=("",)):
    """Rows of the table of one precision: ours, and every alternative whose name contains one of `only`; and more figures."""
    ceilings = {dtype: harness.gemm_ceiling(dtype) for dtype in OURS}

    def row(name, timing, ours):
        rate = multiply_adds(shapes) / timing.median
        return {
            "step": name,
            "s": timing.median,
            "processor s": float(np.median(timing.processor_seconds)),
            "images/s": shapes.batch / timing.median,
            "% of float32 GEMM": 100 * rate / ceilings["float32"],
            f"% of {precision} GEMM": 100 * rate / ceilings[precision],
            "ours is faster by": ours.times(timing),
            "GB": timing.memory / 1e9,
        }

    rows = []
    for name, (function, form) in ALTERNATIVES[precision].items():
        if any(part in name for part in only):
            own = Contender("ours", functools.partial(prepare, shapes, **OURS[precision]))
            timings = compare([own, Contender(name, functools.partial(function, shapes, **form))], rounds)
            rows.append((timings["ours"], row(name, timings[name], timings["ours"])))
            print(harness.table([rows[-1][1]]), flush=True)
    ours = min((timing for timing, _ in rows), key=lambda timing: timing.median)
    facts = {f"{dtype} GEMM, GMAC/s": rate / 1e9 for dtype, rate in ceilings.items()}
    facts.update({"GMAC a step": multiply_adds(shapes) / 1e9, "shapes": dataclasses.asdict(shapes), "rounds": rounds})
    return [row("ours", ours, ours), *(row for _, row in rows)], facts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submodules", type=int, default=Shapes.submodules)
    parser.add_argument("--batch", type=int, default=Shapes.batch)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=list(OURS), action="append")
    parser.add_argument("--only", nargs="*", default=[""], help="parts of alternatives' names")
    args = parser.parse_args()
    shapes = Shapes(submodules=args.submodules, batch=args.batch)
    for precision in args.precision or OURS:
        rows, facts = measure(shapes, precision, args.rounds, args.only)
        harness.report(f"bsnet_step_{precision}", rows, **facts)


if __name__ == "__main__":
    main()
