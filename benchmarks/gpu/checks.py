"""Whether devices compute what a CPU computes: losses of every stage over one and several of them, an interrupted run, an export."""

import dataclasses
import functools
import os
import shutil
import signal
import tempfile

import numpy as np

import bgsnet_tf  # noqa: F401 (chooses Keras 2, before TensorFlow loads)

STEPS = 20  # of every stage
LIMIT = 1e-3  # of a loss, in shares of it; of an output, in standard deviations
BATCH = 24  # which 2, 3, 4, 6 and 8 devices divide
CLASSES, UNSEEN, ROWS, SIZE, ATTRIBUTES = 8, 2, 12, 32, 6

SETTINGS = {
    **{"image_size": SIZE, "resize": SIZE, "augment": "flip", "preprocessing": "tf", "split_layer": "activation_1", "batch_norm": "train"},
    **{"finetune_head_epochs": 0, "finetune_epochs": 1, "finetune_batch_size": BATCH, "eval_batch_size": BATCH},
    **{"meta_epochs": 1, "meta_steps": STEPS, "meta_tasks": BATCH, "shot": 2, "query": 2, "submodules": 2, "b_hidden": 8},
    **{"training_style": "parallel", "eph_max": 2, "bsnet_batch_size": BATCH, "cache_dtype": "float32", "steps_per_execution": 1},
    # Adam makes jumps of the sign of a gradient that is 0 but for rounding.
    **{"finetune_optimizer": "SGD", "meta_optimizer": "SGD", "bsnet_optimizer": "SGD"},
    **{"finetune_weight_decay": 0.0, "bsnet_weight_decay": 0.0},
}


def make_logical_cpus(count):
    """Parts the CPU in as many devices; TensorFlow must not have begun."""
    import tensorflow as tf

    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * count)


def run():
    """Rows of the table of checks, one after another, on all GPUs of the machine, or else on its logical CPUs."""
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)  # whose rounding is far beyond the limit
    devices = [device.name for device in tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")]
    kind = devices[0].split(":")[-2]
    spreads = {f"1 × {kind}": tf.distribute.OneDeviceStrategy(devices[-1])}
    for count in (count for count in range(2, len(devices) + 1) if BATCH % count == 0):
        spreads[f"{count} × {kind}, mirrored"] = tf.distribute.MirroredStrategy(devices[:count])
    with tf.device("CPU:0"):  # what no strategy places lies there too
        expected = losses(tf.distribute.OneDeviceStrategy("CPU:0"))
    rows = []
    for name, spread in spreads.items():
        found = losses(spread)
        for stage, values in expected.items():
            rows.append(_row(f"{STEPS} losses of {stage}", name, np.max(np.abs(found[stage] / values - 1))))
    rows += [_row(check, name, difference) for check, difference in resumed_and_exported(spread).items()]  # over the most devices
    return rows


def _row(check, devices, difference):
    passed = "yes" if difference <= LIMIT else "NO"
    return {"check": check, "devices": devices, "differs by": float(difference), "limit": LIMIT, "passed": passed}


def losses(strategy):
    """Phase to its first STEPS losses, one by one, through the product's own stages, cache and input pipelines."""
    found = {}

    def record(run, stage, fit, phases):
        from bgsnet_tf.training import fitting

        for phase in phases:
            if phase.epochs:
                phase.prepare()
                fitting.compile_phase(run, fit, phase)
                train = fit.model.make_train_function()
                data = iter(fitting.distributed(run.strategy, functools.partial(fit.dataset, 0, 0)))
                steps = []
                for _ in range(STEPS):
                    fit.model.reset_metrics()
                    steps.append(float(train(data)["loss"]))
                found[f"{stage.name} {phase.name}"] = np.array(steps)

    with tempfile.TemporaryDirectory() as directory:
        _build(_run(directory, strategy), record)
    return found


def resumed_and_exported(strategy):
    """Check to difference: of an interrupted run's outputs from an undisturbed one's, and of its export's from its own."""
    import tensorflow as tf

    from bgsnet_tf.errors import Interrupted
    from bgsnet_tf.serving import versions
    from bgsnet_tf.training.fitting import fit_stage

    def interrupted(run, stage, fit, phases):
        def with_signal(phase, first_epoch):
            return [*phase.callbacks(first_epoch), _Signal()]

        fit_stage(run, stage, fit, [dataclasses.replace(phase, callbacks=functools.partial(with_signal, phase)) for phase in phases])

    images, outputs = tf.constant(_benchmark().pixels[::7]), []
    with tempfile.TemporaryDirectory() as directory:
        run = _run(directory, strategy)
        # As one device restores it; with several replicas, the trained network is for training alone.
        restored = dataclasses.replace(run, training=False, strategy=tf.distribute.get_strategy())
        for trains in ([fit_stage], [interrupted, fit_stage]):
            shutil.rmtree(os.path.join(directory, "checkpoints", "bsnet"), ignore_errors=True)
            for train in trains:
                try:
                    _build(run, train)
                except Interrupted:
                    continue
                if train is interrupted:
                    raise RuntimeError("the signal did not end the run")
            bsnet = _build(restored, fit_stage)
            outputs.append(bsnet(tf.cast(images, tf.float32))["fused"].numpy())
        version = versions.write_next(bsnet, run.benchmark, run.views, 0.0, os.path.join(directory, "export"))
        exported = tf.saved_model.load(version).signatures["images"](images=images)["attributes"].numpy()
    deviation = np.std(outputs[0])
    return {
        "an interrupted run goes on as it would have": np.max(np.abs(outputs[1] - outputs[0])) / deviation,
        "an export gives what the network gives": np.max(np.abs(exported - outputs[1])) / deviation,
    }


def _Signal():
    """A callback that asks this process to end after its first step."""
    import tensorflow as tf

    class Signal(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 0:
                os.kill(os.getpid(), signal.SIGTERM)

    return Signal()


def _build(run, train):
    from bgsnet_tf.training import stages

    return stages.build_bgsnet(run, train)


def _run(directory, strategy):
    from bgsnet_tf.config import Config, RunConfig
    from bgsnet_tf.training.run import Run

    backbone = os.path.join(directory, "backbone.keras")
    if not os.path.exists(backbone):
        _backbone().save(backbone)
    config = Config(run=RunConfig(run_dir=directory)).replace(**SETTINGS, backbone=backbone)
    return Run(config, _benchmark(), True, strategy)


def _backbone():
    """Three convolutions with batch norms, and no ReLU, which makes a jump of rounding."""
    import tensorflow as tf

    tf.keras.utils.set_random_seed(0)
    inputs = outputs = tf.keras.Input((SIZE, SIZE, 3))
    for i, channels in enumerate((16, 32, 64)):
        outputs = tf.keras.layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False)(outputs)
        outputs = tf.keras.layers.BatchNormalization(momentum=0.9)(outputs)
        outputs = tf.keras.layers.Activation("swish", name=f"activation_{i}")(outputs)
    return tf.keras.Model(inputs, tf.keras.layers.GlobalAveragePooling2D()(outputs))


@functools.cache
def _benchmark():
    """Classes of coloured noise."""
    from bgsnet_tf.data.benchmark import Benchmark

    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLASSES, dtype=np.int32), ROWS)
    colours = rng.uniform(40, 215, (CLASSES, 1, 1, 3))
    seen, tested = labels < CLASSES - UNSEEN, np.arange(len(labels)) % ROWS < 2
    return Benchmark(
        name="noise",
        class_names=tuple(f"class {i}" for i in range(CLASSES)),
        attribute_names=tuple(f"attribute {i}" for i in range(ATTRIBUTES)),
        attributes=rng.random((CLASSES, ATTRIBUTES)).astype(np.float32),
        labels=labels,
        train=np.flatnonzero(seen & ~tested),
        test_seen=np.flatnonzero(seen & tested),
        test_unseen=np.flatnonzero(~seen),
        validation_classes=np.arange(2),
        pixels=(colours[labels] + rng.uniform(-40, 40, (len(labels), SIZE, SIZE, 3))).clip(0, 255).astype(np.uint8),
    )
