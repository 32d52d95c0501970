"""A step of BSNet's tails of a model file: convolutions as matrix products, as tails train, beside Keras's; and what a step consists of.

python -m benchmarks.own_tails --backbone=NETWORK.h5 [--preprocessing=tf] [--image_size=256] [--tail_share=.6]
"""

import argparse
import collections
import functools
import pathlib
import re
import tempfile

from benchmarks import harness
from benchmarks.harness import Contender, compare

SUBMODULES, BATCH = 3, 32
FORMS = "matrix products", "Keras"
KINDS = {  # of TensorFlow's operations; the first that fits
    "depthwise convolutions, gradient of weights": r"Depthwise.*BackpropFilter",
    "depthwise convolutions, the rest": r"Depthwise",
    "products: other convolutions, dense layers": r"Conv2D|MatMul",
    "batch norms": r"BatchNorm",
    "activations, Adam, the rest": r"",
}
OPERATION = re.compile(r"[^:]+:(\w+)")  # as the profiler names one: its name, its kind


def prepare(arguments, form):
    """A function that makes one step: the tails' outputs of random features, gradients of all weights, Adam."""
    import tensorflow as tf

    from bgsnet_tf.model.backbones import backbone, convolution

    if form == "Keras":
        convolution._suits = lambda layer: False
    trunk, tail = backbone.build(
        arguments.backbone, "imagenet", arguments.image_size, arguments.preprocessing, tail_share=arguments.tail_share
    )
    tails = [tail.copy() for _ in range(SUBMODULES)]
    features = tf.random.normal([BATCH, *trunk.graph.output_shape[1:]])
    variables = [variable for tail in tails for variable in tail.trainable_variables]
    optimizer = tf.keras.optimizers.Adam(1e-4)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.add_n([tf.reduce_mean(tail(features, training=False) ** 2) for tail in tails])
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    return lambda: step().numpy()


def shares(arguments):
    """Rows of the table of operations: each kind's share of the processor time of one step, on one thread."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)  # so that no operation waits inside another's time
    step = prepare(arguments, FORMS[0])
    step()
    with tempfile.TemporaryDirectory() as directory:
        with tf.profiler.experimental.Profile(directory, tf.profiler.experimental.ProfilerOptions(host_tracer_level=2)):
            step()
        (path,) = pathlib.Path(directory).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    time = collections.Counter()
    for plane in space.planes:
        for event in (event for line in plane.lines for event in line.events):
            operation = OPERATION.fullmatch(plane.event_metadata[event.metadata_id].name)
            if operation:
                time[next(kind for kind, pattern in KINDS.items() if re.search(pattern, operation[1]))] += event.duration_ps
    return [{"operations": kind, "% of a step": 100 * time[kind] / time.total()} for kind in KINDS]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--backbone", required=True, help="Keras model file")
    parser.add_argument("--preprocessing", default="tf")
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--tail_share", type=float, default=0.6)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    timings = compare([Contender(form, functools.partial(prepare, arguments, form)) for form in FORMS], arguments.rounds)
    ours = timings[FORMS[0]]
    rows = [
        {
            "convolutions": form,
            "s": timing.median,
            "processor s": harness.statistics.median(timing.processor_seconds),
            "ours is faster by": ours.times(timing),
        }
        for form, timing in timings.items()
    ]
    facts = {"backbone": pathlib.Path(arguments.backbone).name, "image_size": arguments.image_size, "tail_share": arguments.tail_share}
    harness.report("own_tails", rows, **facts)
    harness.report("own_tails_operations", shares(arguments), **facts)


if __name__ == "__main__":
    main()
