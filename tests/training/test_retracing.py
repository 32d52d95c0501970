"""Every phase of every stage traces its training step once, in its first epoch, and never again."""

import collections
import contextlib
import io

from bgsnet_tf import commands
from bgsnet_tf.training.callbacks import EpochSummary


def test_no_stage_traces_again_after_its_first_epoch(tiny_config, monkeypatch):
    traces = collections.defaultdict(list)
    original = EpochSummary.on_epoch_end

    def counting(self, epoch, logs=None):
        step = self.model.train_function
        traces[type(self.model).__name__, step].append(step.experimental_get_tracing_count())
        original(self, epoch, logs)

    monkeypatch.setattr(EpochSummary, "on_epoch_end", counting)
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        commands.fit(tiny_config.replace(finetune_head_epochs=2, balance_epochs=2))
    counts = sorted((model, counts) for (model, _), counts in traces.items())
    assert counts == [("BSNet", [1, 1]), ("BSNet", [1, 1]), ("MetaGNet", [1, 1]), ("SupervisedGNet", [1, 1]), ("SupervisedGNet", [1, 1])]
