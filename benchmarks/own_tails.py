"""A step of BSNet's tails of a model file: convolutions as matrix products, as tails train, beside Keras's.

python -m benchmarks.own_tails --backbone=NETWORK.h5 [--preprocessing=tf] [--image_size=256] [--tail_share=.6]
"""

import argparse
import functools

from benchmarks import harness
from benchmarks.harness import Contender, compare

SUBMODULES, BATCH = 3, 32
FORMS = "matrix products", "Keras"


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
    harness.report("own_tails", rows, image_size=arguments.image_size, tail_share=arguments.tail_share)


if __name__ == "__main__":
    main()
