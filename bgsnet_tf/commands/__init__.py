"""What `train.py`, `evaluate.py` and the export command do once their flags are read."""

from bgsnet_tf.commands.evaluating import evaluate, evaluate_export
from bgsnet_tf.commands.exporting import export
from bgsnet_tf.commands.opening import open_run
from bgsnet_tf.commands.training import fit, plan, train

__all__ = ["evaluate", "evaluate_export", "export", "fit", "open_run", "plan", "train"]
