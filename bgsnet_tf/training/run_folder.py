"""A run's folder: what in it the project makes, and which folders it takes for one."""

import os

from bgsnet_tf import files
from bgsnet_tf.errors import UserError

FLAGS = "config.flags"
BALANCE = "balance.csv"  # what `callbacks.BalanceSummary` has seen, a row an epoch
BEFORE_FLAGS = {".lock", "cache", "checkpoints", "validation"}  # what may be there before the flags are
PLACES = ("", "cache", "cache/*", "checkpoints/*", "checkpoints/*/*", "figures")  # that are written to


def require_own(directory):
    """Raises a `UserError` where a folder is no run's: it holds something, and no flags of a run."""
    if not os.path.isdir(directory) or os.path.isfile(os.path.join(directory, FLAGS)):
        return
    foreign = sorted(name for name in os.listdir(directory) if name not in BEFORE_FLAGS and not name.endswith(files.UNFINISHED))
    if foreign:
        raise UserError(
            f"--run_dir={directory} holds {foreign[0]!r} and no {FLAGS}, so it is not the folder of a run; give a new or an empty one"
        )


def tidy(directory):
    """Removes what killed processes have left unfinished in it."""
    files.remove_unfinished(directory, PLACES)
