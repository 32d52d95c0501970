"""Tasks for episodic training: which classes, and which rows of them. Pure NumPy; the generator comes in."""

from typing import NamedTuple

import numpy as np

from bgsnet_tf.errors import UserError


class Episodes(NamedTuple):
    """A batch of T tasks. Classes of training and validation sets are disjoint within a task (§2.2).

    Attributes:
      support_rows: (T, way, shot) int32, rows of D_tr.
      support_classes: (T, way) int32, their classes Y_tr.
      query_rows: (T, way, query) int32, rows of D_val.
      query_classes: (T, way) int32, their classes Y_val.
    """

    support_rows: np.ndarray
    support_classes: np.ndarray
    query_rows: np.ndarray
    query_classes: np.ndarray


def feasible_way(classes, way):
    """`way`, or half of the classes where they are fewer than 2·way: both sets of a task need that many.

    Raises:
      UserError: where there are fewer than two classes.
    """
    if classes < 2:
        raise UserError(f"episodic training needs at least 2 seen classes, there are {classes}; use --nometa")
    return min(way, classes // 2)


def sample(rng, labels, tasks, way, shot, query):
    """Draws T = `tasks` tasks.

    A class with fewer rows than a set needs gives some of them more than once; any other gives each at most once.

    Args:
      rng: `numpy.random.Generator`.
      labels: (rows,) class of every row, 0..C-1, each class with at least one row.
      tasks, way, shot, query: sizes, with 2·way ≤ C.

    Returns:
      `Episodes`.

    Raises:
      ValueError: where 2·way exceeds C.
    """
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    starts = np.cumsum(counts) - counts
    if 2 * way > len(counts):
        raise ValueError(f"tasks of 2·{way} classes need as many seen classes, there are {len(counts)}")
    classes = np.argsort(rng.random((tasks, len(counts))), axis=1)[:, : 2 * way].astype(np.int32)

    def rows(classes, size):
        chosen = [rng.permutation(_repeated(counts[c], size))[:size] for c in classes.ravel()]
        return order[starts[classes][..., np.newaxis] + np.reshape(chosen, (*classes.shape, size))].astype(np.int32)

    support, validation = classes[:, :way], classes[:, way:]
    return Episodes(rows(support, shot), support, rows(validation, query), validation)


def in_views(rng, episodes, views):
    """The same tasks with every row in one of its `views` cached views: positions row·views + view."""

    def positions(rows):
        return rows * views + rng.integers(views, size=rows.shape, dtype=np.int32)

    return episodes._replace(support_rows=positions(episodes.support_rows), query_rows=positions(episodes.query_rows))


def _repeated(count, size):
    return np.tile(np.arange(count), -(-size // count))
