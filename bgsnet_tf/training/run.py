"""What every stage of a run shares: settings, data, and its folder."""

import dataclasses
import functools
import os
import zlib
from collections.abc import Callable
from typing import Optional

import numpy as np
import tensorflow as tf

from bgsnet_tf.config import Config
from bgsnet_tf.data.benchmark import Benchmark
from bgsnet_tf.data.images import Views
from bgsnet_tf.errors import UserError
from bgsnet_tf.evaluation import metrics
from bgsnet_tf.training.checkpoints import StageFolder
from bgsnet_tf.training.machines.strategy import sum_over_workers, this_worker


@dataclasses.dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
      config: its settings.
      benchmark: its data, in the split of the settings.
      training: whether unfinished stages are trained, or refused.
      strategy: the devices that train; one where nothing does.
      track: takes the numbers of every epoch, see `trackers.tracking`; None where nothing trains.
    """

    config: Config
    benchmark: Benchmark
    training: bool
    strategy: tf.distribute.Strategy = dataclasses.field(default_factory=tf.distribute.get_strategy)
    track: Optional[Callable] = None

    @property
    def directory(self):
        return self.config.run.run_dir

    @functools.cached_property
    def labels(self):
        """(training rows,) int32 class of every training row, counted among the seen classes."""
        return np.searchsorted(self.benchmark.seen_classes, self.benchmark.labels[self.benchmark.train]).astype(np.int32)

    @property
    def class_attributes(self):
        """(seen classes, A) φ of the seen classes."""
        return self.benchmark.phi[self.benchmark.seen_classes]

    @property
    def views(self):
        data = self.config.data
        return Views(data.image_size, data.resize, data.augment, self.config.run.seed)

    @property
    def input_shape(self):
        """Shape of what the network sees of one row."""
        if self.benchmark.features is not None:
            return self.benchmark.features.shape[1:]
        return (self.views.size, self.views.size, 3)

    @property
    def test_rows(self):
        """Rows of test_seen, then of test_unseen."""
        return np.concatenate([self.benchmark.test_seen, self.benchmark.test_unseen])

    @property
    def scores_epochs(self):
        """Whether every epoch is scored: only inside the validation split, since nothing is to be learnt from a test split."""
        return self.training and self.config.data.split == "validation" and self.config.evaluation.score_epochs

    @functools.cached_property
    def worker(self):
        """The `Worker` that this process is."""
        return this_worker(self.strategy)

    def any_worker(self, *facts):
        """Each of the facts, true where it is so in any of the processes that train; the same in all of them."""
        if self.worker.count == 1:
            return facts
        return tuple(sum_over_workers(self.strategy, [int(fact) for fact in facts]) > 0)

    def wait_for_workers(self):
        """Returns when all processes that train have come here."""
        self.any_worker(False)

    def require_agreement(self, *numbers):
        """Raises a `UserError` where the processes that train do not all come with the same numbers."""
        if self.worker.count > 1 and np.any(sum_over_workers(self.strategy, numbers) != np.multiply(numbers, self.worker.count)):
            raise UserError(
                f"the processes of this run see different checkpoints below --run_dir={self.directory}; "
                "it must be one folder on a file system that all of them share"
            )

    def logs(self, stage):
        return os.path.join(self.directory, "logs", stage)

    def begin_seeded(self, name, settings):
        """Seeds the global random generators for a stage, and opens its folder.

        Raises:
          UserError: where it is not finished but should be, or holds the work of other settings.
        """
        folder = StageFolder(self.directory, name, settings, writes=self.worker.is_chief)
        if not (self.training or folder.finished):
            raise UserError(f"stage {name} of --run_dir={self.directory} is not finished; the same train.py command continues it")
        tf.keras.utils.set_random_seed(zlib.crc32(f"{self.config.run.seed} {name}".encode()))
        return folder

    def score(self, attributes):
        """T, U, S, H (at --delta) and AUSUC in percent of attributes (rows, A) predicted for `test_rows`."""
        benchmark = self.benchmark
        scores = attributes @ benchmark.phi.T
        seen = len(benchmark.test_seen)
        return metrics.evaluate_gzsl(
            scores[:seen],
            benchmark.labels[benchmark.test_seen],
            scores[seen:],
            benchmark.labels[benchmark.test_unseen],
            benchmark.seen_classes,
            benchmark.unseen_classes,
            self.config.evaluation.delta,
        )
