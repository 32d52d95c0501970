"""Trains the networks of one situation, seed and draw of classes in a process, and keeps of each what the statistics need."""

import contextlib
import dataclasses
import os
import shutil

import numpy as np

from bgsnet_tf import files
from bgsnet_tf.evaluation.mechanisms import Measured, families_of
from bgsnet_tf.experiments import runs

BADGE_VALUES = 3  # attributes of the badge, the last group


def read(path, settings):
    """The `Measured` in a file; None where it is missing, damaged, or of other settings."""
    stored = files.read_arrays(path)
    if stored is None or str(stored.pop("settings")) != _key(settings):
        return None
    return Measured(**{name: array.astype(np.float32) if array.dtype == np.float16 else array for name, array in stored.items()})


def make(jobs, work):
    """Trains those of some networks that are not measured, one after another, and removes what they trained in.

    Args:
      jobs: pairs of a path for what is measured and a `Config`; the first one's stages are shared by the others, as far as nothing
        that they depend on differs.
      work: folder of all their runs; what they print goes into a file there.

    Raises:
      UserError: as `commands.fit`.
    """
    os.makedirs(work, exist_ok=True)
    with open(os.path.join(work, "printed.txt"), "a") as printed, contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        from bgsnet_tf.data.loading import load_benchmark  # loads TensorFlow, which takes seconds

        first = jobs[0][1]
        benchmark = load_benchmark(first.data)
        for path, own in jobs:
            if read(path, own) is None:
                if own is not first:
                    runs.share(first, own, benchmark)
                arrays = {name: value for name, value in vars(_measured(own)).items() if value is not None}
                files.write_arrays(path, {**arrays, "settings": _key(own)})
    shutil.rmtree(work)


def _key(settings):
    """What a measurement depends on: all flags but where it was made."""
    return repr(settings.replace(run_dir="-").values())


def _measured(own):
    import tensorflow as tf  # which takes seconds to load

    from bgsnet_tf import commands
    from bgsnet_tf.data import images

    tf.keras.backend.clear_session()
    run, bgsnet = commands.fit(own)
    benchmark, unseen = run.benchmark, run.benchmark.unseen_classes
    rows = benchmark.test_unseen
    batches = images.image_batches(benchmark, images.items_of(rows), run.views, own.evaluation.eval_batch_size)
    parts = [_outputs(bgsnet, batch) for batch in batches]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    last_group = BADGE_VALUES if own.data.detail else 0
    measured = Measured(
        labels=np.searchsorted(unseen, benchmark.labels[rows]),
        phi=benchmark.phi[unseen],
        families=families_of(benchmark.attributes[unseen], last_group),
        **found,
    )
    bsnet = bgsnet.bsnet
    if bsnet is None:
        return measured
    kernel, bias = bsnet.predictor.get_weights()
    return dataclasses.replace(
        measured,
        gates=bsnet.gates().numpy(),
        w_start=bsnet.gates_at_start,
        w=bsnet.gate.w.numpy() if bsnet.dataset_balance else None,
        kernel=kernel.reshape(len(bsnet.tails), -1, kernel.shape[1]),
        bias=bias,
    )


def _outputs(bgsnet, batch):
    """Name to array of what `Measured` holds of each of a batch of images."""
    features, general = bgsnet.embed(batch)
    found = {"general": bgsnet.general_predictor(general).numpy()}
    if bgsnet.bsnet is not None:
        special = bgsnet.bsnet.special_embeddings(features)
        weights = bgsnet.bsnet.instance_weights(special, general)
        found |= {"embeddings": special.numpy().astype(np.float16), "weights": weights.numpy().astype(np.float16)}
    return found
