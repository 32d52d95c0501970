"""Forward and backward pass of the tails' convolutions, as Keras computes them and as matrix products; and their rounding."""

import argparse
import functools

import numpy as np

from benchmarks import harness
from benchmarks.harness import Contender, compare

BATCH, SIZE = 32, 7
SHAPES = {"1×1, 1024 to 512": (1, 1024, 512), "1×1, 2048 to 512": (1, 2048, 512), "3×3, 512 to 512": (3, 512, 512)}
FORMS = {
    "float32": {"Keras": None, "matrix products": None, "F(4×4), textbook points": (4, (0, 1, -1, 2, -2)), "F(2×2)": (2, (0, 1, -1))},
    "bfloat16": {"Keras": None, "matrix products": None, "F(4×4)": (4, (0, 1, -1, 2, -0.5))},
}


def prepare(shape, dtype, form):
    """A function that makes one pass and returns its rounding: the deviation from float64 in standard deviations."""
    import tensorflow as tf

    from bgsnet_tf.model.backbones import convolution

    kernel_size, channels, filters = shape
    if FORMS[dtype][form]:
        convolution.WINOGRAD[dtype] = FORMS[dtype][form]
    kind = tf.keras.layers.Conv2D if form == "Keras" else convolution.MatrixConv2D
    rng = np.random.default_rng(0)
    inputs = np.maximum(rng.normal(size=(BATCH, SIZE, SIZE, channels)), 0)
    upstream = rng.normal(size=(BATCH, SIZE, SIZE, filters))
    kernel = rng.normal(size=(kernel_size, kernel_size, channels, filters)) * np.sqrt(2 / kernel_size**2 / channels)

    def passes(kind, dtype):
        layer = kind(filters, kernel_size, padding="same", use_bias=False, dtype=dtype)
        layer.build(inputs.shape)
        layer.set_weights([kernel])
        features, gradients = tf.constant(inputs, dtype), tf.constant(upstream, dtype)

        @tf.function
        def run():
            with tf.GradientTape() as tape:
                tape.watch(features)
                outputs = layer(features, training=True)
            return outputs, tape.gradient(outputs, [features, layer.kernel], gradients)

        return run

    run = passes(kind, dtype)
    pairs = zip(tf.nest.flatten(run()), tf.nest.flatten(passes(tf.keras.layers.Conv2D, "float64")()))
    rounding = max(float(np.std(tf.cast(got, tf.float64) - exact) / np.std(exact)) for got, exact in pairs)

    def call():
        run()[0].numpy()
        return rounding

    return call


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    rows = []
    for dtype, forms in FORMS.items():
        for name, shape in SHAPES.items():
            suiting = [form for form in forms if shape[0] == 3 or not form.startswith("F")]
            timings = compare([Contender(form, functools.partial(prepare, shape, dtype, form)) for form in suiting], rounds)
            for form, timing in timings.items():
                rows.append(
                    {
                        "convolution": name,
                        "precision": dtype,
                        "form": form,
                        "ms": 1e3 * timing.median,
                        "processor ms": 1e3 * float(np.median(timing.processor_seconds)),
                        "times Keras": timing.times(timings["Keras"]),
                        "rounding": f"{timing.results[-1]:.1e}",
                    }
                )
    harness.report("convolutions", rows, batch=BATCH, rounds=rounds)


if __name__ == "__main__":
    main()
