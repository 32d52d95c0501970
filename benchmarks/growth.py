"""How time grows with N, images, classes, attributes and image size: a line through some sizes predicts a larger one.

python -m benchmarks.growth
"""

import functools
import statistics

import numpy as np

from benchmarks.harness import Contender, compare, report

ROUNDS = 9
LIMIT = 15  # percent that the prediction of the held-out size may miss by
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}  # scoring is NumPy's, whose products take one core or two as it happens


def bsnet_step(modules):
    """A training step of N small tails (K = 256) at batch 32."""
    import tensorflow as tf

    from bgsnet_tf.model.backbones import backbone
    from bgsnet_tf.model.bsnet import BSNet, phases

    _, tail = backbone.build("small", "none", 64)
    phi = np.random.default_rng(0).random((90, 31)).astype(np.float32)
    phase = phases("parallel", 10, 0, eta=1e-3)[0]
    bsnet = BSNet([tail.copy(f"tail_{i}") for i in range(modules)], phi, phase, b_hidden=64)
    shape = tail.graph.input_shape[1:]
    batch = (tf.random.normal([32, *shape]), tf.random.normal([32, 256])), tf.zeros([32], tf.int32)
    bsnet(batch[0])
    bsnet.compile({name: tf.keras.optimizers.SGD(1e-3, momentum=0.9) for name in ("heads", "tails", "gates")})
    step = tf.function(bsnet.train_step)
    return lambda: float(step(batch)["loss"])


def forward(size):
    """Trunk and tail of the small backbone on 64 images of size × size."""
    import tensorflow as tf

    from bgsnet_tf.model.backbones import backbone

    trunk, tail = backbone.build("small", "none", size)
    call, images = tf.function(lambda images: tail(trunk(images))), tf.random.uniform([64, size, size, 3], 0, 255)
    return lambda: call(images).numpy()


def scoring(images=4000, classes=400, attributes=102):
    """Scores from attributes, and T, U, S, H and AUSUC of them."""
    from bgsnet_tf.evaluation import metrics

    rng = np.random.default_rng(0)
    phi, predicted = rng.random((classes, attributes), np.float32), rng.random((images, attributes), np.float32)
    seen, unseen = np.split(np.arange(classes), [classes * 9 // 10])
    half = images // 2
    labels = rng.choice(seen, half), rng.choice(unseen, images - half)
    return lambda: metrics.evaluate_gzsl(predicted[:half] @ phi.T, labels[0], predicted[half:] @ phi.T, labels[1], seen, unseen, 0.1)


# What grows, how its size enters the line, the function that prepares it, and its sizes; the last one is held out.
AXES = (
    ("N, training step", lambda n: n, bsnet_step, (1, 2, 5, 10, 20)),
    ("images, scoring", lambda n: n, lambda n: scoring(images=n), (2000, 4000, 6000, 8000, 14340)),
    ("classes, scoring", lambda n: n, lambda n: scoring(classes=n), (100, 200, 300, 400, 717)),
    ("attributes, scoring", lambda n: n, lambda n: scoring(attributes=n), (50, 85, 102, 200, 312)),
    ("image size, forward pass", lambda n: n * n, forward, (64, 96, 128, 160, 224)),
)


def prepared(axis, size):
    return AXES[axis][2](size)


def main():
    rows = []
    for axis, (name, covariate, _, sizes) in enumerate(AXES):
        contenders = [Contender(str(size), functools.partial(prepared, axis, size), ENVIRONMENT) for size in sizes]
        timings = compare(contenders, ROUNDS, repeats=3)
        seconds = [min(timings[str(size)].seconds) for size in sizes]  # others on the machine only add to it
        slope, intercept = statistics.linear_regression([covariate(size) for size in sizes[:-1]], seconds[:-1])
        predicted = intercept + slope * covariate(sizes[-1])
        rows.append(
            {
                "what grows": name,
                "fitted sizes": ", ".join(map(str, sizes[:-1])),
                "fixed, ms": 1e3 * intercept,
                "each more, µs": 1e6 * slope,
                "held out": sizes[-1],
                "predicted, ms": 1e3 * predicted,
                "measured, ms": 1e3 * seconds[-1],
                f"off by (limit {LIMIT} %)": f"{100 * (predicted / seconds[-1] - 1):+.1f} %",
            }
        )
    report("growth", rows, note="image size enters as its square: 'each more' is a pixel")


if __name__ == "__main__":
    main()
