"""An export, whole and pruned, against one forward pass of keras.applications' ResNet101. python -m benchmarks.inference [--rounds=5]

The exports are written by the product (`serving.versions`) with random weights, loaded again, and asked through their signature
`images`, which resizes nothing here: pixels come in at 224×224. "as trained" is the same network with its batch norms unfolded.
"""

import argparse
import functools
import os
import tempfile
import time

from benchmarks.harness import Contender, compare, report

SIZE, MODULES, KEPT, SEEN, CLASSES, ATTRIBUTES = 224, 10, 3, 645, 717, 102
BATCHES = (1, 32)
TRUNK_AND_TAIL, TAIL = 7.8, 0.73  # billion multiply-adds


def plain(batch):
    """One forward pass of the plain network."""
    import tensorflow as tf

    network = tf.keras.applications.ResNet101(weights=None, include_top=False, pooling="avg", input_shape=(SIZE, SIZE, 3))
    call, images = tf.function(lambda images: network(images, training=False)), tf.cast(_pixels(batch), tf.float32)
    return lambda: call(images).numpy()


def as_trained(batch, modules):
    """The network itself, as `evaluate.py` calls it."""
    import tensorflow as tf

    call, images = tf.function(_network(modules, "float32").call), tf.cast(_pixels(batch), tf.float32)
    return lambda: call(images)["fused"].numpy()


def exported(batch, modules, precision, backbone="ResNet101", size=SIZE):
    """A fresh export, loaded: one request of `batch` images, for its scores; says how long the first two took."""
    import numpy as np
    import tensorflow as tf

    from bgsnet_tf.data.benchmark import Benchmark
    from bgsnet_tf.data.images import Views
    from bgsnet_tf.serving import versions

    benchmark = Benchmark(
        name="sun",
        class_names=tuple(map(str, range(CLASSES))),
        attribute_names=tuple(map(str, range(ATTRIBUTES))),
        attributes=np.random.default_rng(0).random((CLASSES, ATTRIBUTES)).astype(np.float32),
        labels=np.arange(SEEN, dtype=np.int32),
        train=np.arange(SEEN),
        test_seen=np.arange(0),
        test_unseen=np.arange(0),
        validation_classes=np.arange(2),
        paths=np.array(["none"] * SEEN),
    )
    with tempfile.TemporaryDirectory() as directory:
        path = versions.write_next(
            _network(modules, precision, backbone, size), benchmark, Views(size, size), 0.0, os.path.join(directory, "export")
        )
        signature = tf.saved_model.load(path).signatures["images"]
    images = _pixels(batch, size)
    for number in ("first", "second"):
        start = time.perf_counter()
        signature(images=images)["scores"].numpy()
        print(f"{modules} sub-modules, {precision}, {number} request of {batch}: {time.perf_counter() - start:.2f} s", flush=True)
    return lambda: signature(images=images)["scores"].numpy()


def _pixels(batch, size=SIZE):
    import numpy as np
    import tensorflow as tf

    return tf.constant(np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8))


def _network(modules, precision, name="ResNet101", size=SIZE):
    import tensorflow as tf

    from bgsnet_tf.model.backbones import backbone
    from bgsnet_tf.model.bgsnet import BGSNet
    from bgsnet_tf.model.bsnet import BSNet, phases
    from bgsnet_tf.model.layers import Predictor

    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    trunk, tail = backbone.build(name, "none", size)
    phi = tf.zeros([SEEN, ATTRIBUTES]).numpy()
    bsnet = BSNet([tail.copy(f"tail_{i}") for i in range(modules)], phi, phases("sequential", 1, 1)[-1], b_hidden=256)
    bgsnet = BGSNet(trunk, tail, Predictor(ATTRIBUTES), bsnet)
    bgsnet(tf.zeros([1, size, size, 3]))
    return bgsnet


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    rows = []
    for batch in BATCHES:
        reference = "keras.applications' ResNet101"
        contenders = {
            reference: (functools.partial(plain, batch), TRUNK_AND_TAIL),
            f"export, N = {KEPT}": (functools.partial(exported, batch, KEPT, "float32"), TRUNK_AND_TAIL + KEPT * TAIL),
            f"export, N = {KEPT}, bfloat16": (functools.partial(exported, batch, KEPT, "bfloat16"), TRUNK_AND_TAIL + KEPT * TAIL),
            f"export, N = {MODULES}": (functools.partial(exported, batch, MODULES, "float32"), TRUNK_AND_TAIL + MODULES * TAIL),
            f"as trained, N = {KEPT}": (functools.partial(as_trained, batch, KEPT), TRUNK_AND_TAIL + KEPT * TAIL),
        }
        timings = compare([Contender(name, prepare) for name, (prepare, _) in contenders.items()], rounds, warm_up=1)
        for name, (_, work) in contenders.items():
            rows.append(
                {
                    "batch": batch,
                    "network": name,
                    "images/s": batch / timings[name].median,
                    "time of ResNet101's": f"{1 / timings[name].times(timings[reference]):.2f}",
                    "multiply-adds of ResNet101's": f"{work / TRUNK_AND_TAIL:.2f}",
                    "memory, GB": timings[name].memory / 1e9,
                }
            )
    report("inference", rows)


if __name__ == "__main__":
    main()
