"""How far a linear map on frozen features comes, before anything trains: which φ, which e, which image size suit some photos.

    python -m bgsnet_tf.experiments.frozen --flagfile=configs/photos.flags --data_dir=birds --backbone=network.h5 \\
        --run_dir=runs/frozen --image_sizes=224 --image_sizes=288

For each image size the backbone sees the training images once. Several draws of validation classes then play the unseen ones, so
that the answer is not one of a lucky draw. No test row is read. Minutes on two CPU cores; the features are kept, and the same
command continues.
"""

import dataclasses
import itertools
import os

import numpy as np
import pandas as pd
from absl import flags

from bgsnet_tf import cli, config, files
from bgsnet_tf.errors import UserError
from bgsnet_tf.text_table import format_markdown

COLUMNS = ("image_size", "phi", "e", "model")


def run(settings, image_sizes, draws):
    """Scores all combinations and writes `frozen.csv` (a row a draw) and `frozen.md` (means) into --run_dir.

    Args:
      settings: `Config`; its backbone, data and seed count.
      image_sizes: of the network's input, in pixels; a view is the whole middle square.
      draws: of validation classes; the first is the split's own.

    Returns:
      DataFrame of means and standard deviations over draws.

    Raises:
      UserError: where the backbone starts at random, or there are too few classes.
    """
    from bgsnet_tf.data.loading import load_benchmark

    if not settings.backbone.pretrained:
        raise UserError("frozen features of a backbone that starts at random say nothing; give --backbone_weights or a model file")
    benchmark = load_benchmark(settings.replace(split="final").data)
    os.makedirs(settings.run.run_dir, exist_ok=True)
    rows = []
    for size in image_sizes:
        features = _features(settings.replace(image_size=size, resize=size), benchmark)
        for draw, centered, standardized in itertools.product(range(draws), (False, True), (False, True)):
            drawn = dataclasses.replace(
                benchmark, validation_classes=_validation_classes(benchmark, settings.run.seed, draw), center_attributes=centered
            )
            parts = np.concatenate(drawn.validation_rows())
            split = drawn.validation().on_features(features[np.searchsorted(benchmark.train, parts)])
            for model, figures in _score(split, standardized, settings.run.seed).items():
                case = (size, "centred" if centered else "plain", "standardised" if standardized else "raw", model)
                rows.append({**dict(zip(COLUMNS, case)), "draw": draw, **figures})
    table = pd.DataFrame(rows)
    means = table.groupby(list(COLUMNS))[["T", "AUSUC"]].agg(["mean", "std"])
    means.columns = [f"{name} {what}" for name, what in means.columns]
    means = means.reset_index().sort_values("AUSUC mean", ascending=False)
    files.write(os.path.join(settings.run.run_dir, "frozen.csv"), table.to_csv(index=False, lineterminator="\n"))
    files.write(os.path.join(settings.run.run_dir, "frozen.md"), _document(means, draws))
    print(means.to_string(index=False, float_format="%.1f"))
    return means


def _features(settings, benchmark):
    """(training rows, K) pooled features of the backbone as it came, computed once for each image size."""
    import tensorflow as tf

    from bgsnet_tf.training import stages, starts
    from bgsnet_tf.training.run import Run

    own = settings.backbone
    path = os.path.join(settings.run.run_dir, f"features_{settings.data.image_size}.npz")
    depends_on = repr((vars(own), benchmark.fingerprint, benchmark.image_digest(benchmark.train)))
    stored = files.read_arrays(path)
    if stored is not None and stored["depends_on"] == depends_on:
        return stored["features"]
    opened = Run(settings, benchmark, training=False)
    trunk, tail = stages.build_backbone(opened, own.backbone_weights)
    embed = tf.function(lambda batch: tail(trunk(batch)), autograph=False, reduce_retracing=True)
    features = starts.pooled(opened, embed, benchmark.train, f"{settings.data.image_size} pixels")
    files.write_arrays(path, {"depends_on": depends_on, "features": features})
    return features


def _validation_classes(benchmark, seed, draw):
    """The split's own validation classes, or as many others drawn at random."""
    if draw == 0:
        return benchmark.validation_classes
    count = len(benchmark.validation_classes)
    return np.sort(np.random.default_rng([seed, draw]).choice(benchmark.seen_classes, count, replace=False))


def _score(split, standardized, seed):
    """Model to T and AUSUC in percent on a validation split of features; the linear map standardises by itself."""
    from bgsnet_tf.evaluation import eszsl, linear, metrics

    seen, features, phi = split.seen_classes, split.features, split.phi
    training = features[split.train], seen.searchsorted(split.labels[split.train]), phi[seen]
    if standardized:
        maps = linear.maps(*training, seed)
        attributes = {
            "closed form": eszsl.standardized_classifier(*training)(features),
            "linear": next(itertools.islice(maps, linear.EPOCHS - 1, None))(features),
        }
    else:
        attributes = {"closed form": features @ eszsl.classifier_start(*training)}
    found = {}
    for model, predicted in attributes.items():
        scores = predicted @ phi.T
        figures = metrics.evaluate_gzsl(
            *(part for rows in (split.test_seen, split.test_unseen) for part in (scores[rows], split.labels[rows])),
            seen,
            split.unseen_classes,
            delta=0.0,
        )
        found[model] = {name: figures[name] for name in ("T", "AUSUC")}
    return found


def _document(means, draws):
    rows = [["image size", "φ", "e", "model", "T", "AUSUC"]]
    for row in means.to_dict("records"):
        figures = [f"{row[f'{name} mean']:.1f} ± {row[f'{name} std']:.1f}" for name in ("T", "AUSUC")]
        rows.append([str(row[name]) for name in COLUMNS] + figures)
    note = f"Validation split, {draws} draws of validation classes: mean ± standard deviation over draws.\n"
    return "\n\n".join([format_markdown(rows, texts=len(COLUMNS)), note])


def main():
    sizes = flags.FLAGS.image_sizes or [flags.FLAGS.image_size]
    run(config.from_flags(), [int(size) for size in sizes], flags.FLAGS.draws)


if __name__ == "__main__":
    flags.DEFINE_multi_integer("image_sizes", [], "A size of the network's input; give it again for another. Default: --image_size.")
    flags.DEFINE_integer("draws", 5, "Draws of validation classes.", lower_bound=1)
    cli.run(main)
