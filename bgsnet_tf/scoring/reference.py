"""What training has to beat: one linear f_g, and ESZSL, on features that a run does not train, in the run's own protocol.

`linear`, `least_squares` and `eszsl` see the pooled features of the backbone as it came, before fine-tuning; `eszsl_tuned` sees
those of the fine-tuned one. Epochs, regularisers and δ are chosen on the validation split.
Letters: n test rows, R rows, K channels, A attributes.
"""

import dataclasses
import itertools
import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from bgsnet_tf import files
from bgsnet_tf.data.benchmark import Benchmark
from bgsnet_tf.errors import UserError
from bgsnet_tf.evaluation import calibration, eszsl, linear, metrics
from bgsnet_tf.training import stages, starts
from bgsnet_tf.training.checkpoints import StageFolder

CACHE = os.path.join("cache", "as_it_came.npz")  # below a run; runs that differ in other than data and backbone may share it


@dataclasses.dataclass(frozen=True)
class Reference:
    """A model beside the run's own.

    Attributes:
      attributes: (n, A) predicted of the run's test rows.
      delta: its δ.
      choice: name to value of all else that was chosen on the validation split.
    """

    attributes: np.ndarray
    delta: float
    choice: Mapping[str, float]


def score(run, bgsnet, embeddings, validation_dir):
    """Name to `Reference` for all that make sense for a run.

    A backbone that starts at random has no features to speak of before it is trained, so they are left out
    there, as they are where its weights can no longer be had; `eszsl_tuned` is left out where no stage has cached e_g, and
    all of them where the training rows have too few images for a validation split, or no validation classes.

    Args:
      run: a finished `Run`. Within the validation split, its own test rows are validation data.
      bgsnet: its network.
      embeddings: (n, K) e_g of its test rows.
      validation_dir: folder of the run that chooses for it. `eszsl_tuned` takes what was chosen there, where the backbone was not
        fine-tuned on the validation classes; without such a run it is chosen by training rows that the backbone knows, which
        makes its δ a rough one.
    """
    if run.config.data.split == "final" and not all(map(len, run.benchmark.validation_rows())):
        chosen_by = "are too few for a validation split" if len(run.benchmark.validation_classes) else "hold no validation classes"
        print(f"no linear map and no ESZSL beside the run: its training rows {chosen_by} to choose by")
        return {}
    found = {}
    features = run.benchmark.features if run.benchmark.features is not None else _as_it_came(run)
    if features is not None:
        splits = _splits(run, features)
        found = {"linear": _linear(*splits, run.config.run.seed), "least_squares": _least_squares(*splits), "eszsl": _eszsl(*splits)}
    if run.benchmark.features is None and (run.config.bsnet.bsnet or (run.config.meta.gnet and run.config.meta.meta)):
        found["eszsl_tuned"] = _eszsl(*_splits(run, _fine_tuned(run, bgsnet, embeddings)), _chosen_before(run, validation_dir))
    return found


@dataclasses.dataclass(frozen=True)
class _Split:
    """A benchmark on features."""

    benchmark: Benchmark

    @property
    def training(self):
        """(rows, K) features, (rows,) labels among the seen classes, (seen classes, A) φ."""
        seen, train = self.benchmark.seen_classes, self.benchmark.train
        return self.benchmark.features[train], seen.searchsorted(self.benchmark.labels[train]), self.benchmark.phi[seen]

    def unseen_accuracy(self, predict):
        """T of a function from features (rows, K) to attributes (rows, A)."""
        rows, classes = self.benchmark.test_unseen, self.benchmark.unseen_classes
        scores = predict(self.benchmark.features[rows]) @ self.benchmark.phi.T
        return metrics.per_class_accuracy(self.benchmark.labels[rows], metrics.predict_zsl(scores, classes))

    def attributes(self, predict):
        """(n, A) of its test rows, those of test_seen first."""
        return predict(self.benchmark.features[np.concatenate([self.benchmark.test_seen, self.benchmark.test_unseen])])

    def best_delta(self, predict):
        benchmark, scores = self.benchmark, self.attributes(predict) @ self.benchmark.phi.T
        seen, unseen = np.split(scores, [len(benchmark.test_seen)])
        labels = benchmark.labels[benchmark.test_seen], benchmark.labels[benchmark.test_unseen]
        return calibration.best_delta(seen, labels[0], unseen, labels[1], benchmark.seen_classes, benchmark.unseen_classes).delta


def _splits(run, features):
    """The run's `_Split` on features (R, K), and the one that choices are made on."""
    own = _Split(run.benchmark.on_features(features))
    if run.config.data.split == "validation":
        return own, own
    rows = np.concatenate(run.benchmark.validation_rows())
    return own, _Split(run.benchmark.validation().on_features(features[rows]))


def _linear(own, validation, seed):
    maps = list(itertools.islice(linear.maps(*validation.training, seed), linear.EPOCHS))
    epochs = 1 + int(np.argmax([validation.unseen_accuracy(of_epoch) for of_epoch in maps]))
    delta = validation.best_delta(maps[epochs - 1])
    final = maps[epochs - 1] if own is validation else next(itertools.islice(linear.maps(*own.training, seed), epochs - 1, None))
    return Reference(own.attributes(final), delta, {"epochs": epochs})


def _least_squares(own, validation):
    delta = validation.best_delta(eszsl.standardized_classifier(*validation.training))
    return Reference(own.attributes(eszsl.standardized_classifier(*own.training)), delta, {})


def _eszsl(own, validation, chosen_before=None):
    gamma, lam, delta = chosen_before or _choose_eszsl(validation)
    weights = eszsl.Eszsl(*own.training).weights(gamma, lam)
    return Reference(own.attributes(lambda x: x @ weights), delta, {"gamma": gamma, "lambda": lam})


def _choose_eszsl(validation):
    benchmark, unseen = validation.benchmark, validation.benchmark.unseen_classes
    rows = benchmark.test_unseen
    labels = unseen.searchsorted(benchmark.labels[rows])
    gamma, lam = eszsl.choose(*validation.training, benchmark.features[rows], labels, benchmark.phi[unseen])
    weights = eszsl.Eszsl(*validation.training).weights(gamma, lam)
    return gamma, lam, validation.best_delta(lambda x: x @ weights)


def _chosen_before(run, validation_dir):
    """(γ, λ, δ) of `eszsl_tuned` in a validation run; None where there is none."""
    results = files.read_json(os.path.join(validation_dir, "results.json")) or {}
    choice = results.get("chosen", {}).get("eszsl_tuned")
    if run.config.data.split == "validation" or choice is None:
        return None
    return choice["gamma"], choice["lambda"], results["deltas"]["eszsl_tuned"]


def _fine_tuned(run, bgsnet, embeddings):
    """(R, K) e_g of all rows in the test view: of the training rows from the feature cache."""
    digest = StageFolder(run.directory, "finetune", stages.stage_settings(run, "finetune")).digest
    cache = stages.feature_cache(run, bgsnet, digest)
    return _by_row(run, np.concatenate([cache.general[:: cache.views], embeddings]))


def _as_it_came(run):
    """(R, K) pooled features of all rows in the test view by the backbone before any training; None where it starts at random."""
    flags, data = run.config.backbone, run.config.data
    if not flags.pretrained:
        return None
    contents = run.benchmark.fingerprint, run.benchmark.image_digest(np.concatenate([run.benchmark.train, run.test_rows]))
    depends_on = repr((vars(flags), data.image_size, data.resize, run.config.run.precision, *contents))
    path = os.path.join(run.directory, CACHE)
    stored = files.read_arrays(path)
    if stored is None or stored["depends_on"] != depends_on:
        try:
            trunk, tail = stages.build_backbone(run, flags.backbone_weights)
        except UserError as error:
            print(f"no linear map and no ESZSL on the backbone as it came: {error}")
            return None
        embed = tf.function(lambda batch: tail(trunk(batch)), reduce_retracing=True, autograph=False)
        features = starts.pooled(run, embed, np.concatenate([run.benchmark.train, run.test_rows]), "backbone as it came")
        stored = {"depends_on": depends_on, "features": features}
        files.write_arrays(path, stored)
    return _by_row(run, stored["features"])


def _by_row(run, features):
    """(R, K) from features of the training rows, then the test rows; a row in no split is 0 and read by nobody."""
    by_row = np.zeros([len(run.benchmark.labels), features.shape[1]], np.float32)
    by_row[np.concatenate([run.benchmark.train, run.test_rows])] = features
    return by_row
