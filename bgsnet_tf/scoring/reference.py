"""ESZSL on the features of a run, in the run's own protocol: a reference beside GNet's figures."""

from bgsnet_tf.evaluation import calibration, eszsl


def score_eszsl(run):
    """Scores of the test rows, with both regularisers and δ chosen on the validation split.

    Args:
      run: a `Run` on features. Within the validation split, its own test rows are validation data.

    Returns:
      ((scores of test_seen (rows, C), scores of test_unseen (rows, C)), δ).
    """
    final = run.config.data.split == "final"
    validation = run.benchmark.validation() if final else run.benchmark
    unseen = validation.unseen_classes
    test_unseen = validation.test_unseen
    regularisers = eszsl.choose(
        *_training(validation),
        validation.features[test_unseen],
        unseen.searchsorted(validation.labels[test_unseen]),
        validation.phi[unseen],
    )
    on_validation = _scores(validation, regularisers)
    labels = validation.labels[validation.test_seen], validation.labels[test_unseen]
    delta = calibration.best_delta(
        on_validation[0], labels[0], on_validation[1], labels[1], validation.seen_classes, validation.unseen_classes
    ).delta
    return (_scores(run.benchmark, regularisers) if final else on_validation), delta


def _training(benchmark):
    seen = benchmark.seen_classes
    return benchmark.features[benchmark.train], seen.searchsorted(benchmark.labels[benchmark.train]), benchmark.phi[seen]


def _scores(benchmark, regularisers):
    weights = eszsl.Eszsl(*_training(benchmark)).weights(*regularisers)
    return tuple(benchmark.features[rows] @ weights @ benchmark.phi.T for rows in (benchmark.test_seen, benchmark.test_unseen))
