"""What can vary in a rendered image: groups of values of which a class has one each, and what classes are made of them.

Letters: C classes, A attributes, G attribute groups, R rows (images). A dict of groups maps a group's name to the names of its values.
"""

import numpy as np

GROUPS = {
    "shape": ("circle", "square", "triangle", "star", "plus", "ring"),
    "fill": ("red", "green", "blue", "yellow", "magenta", "cyan"),
    "texture": ("solid", "striped", "checkered", "dotted"),
    "outline": ("no", "white", "black"),
    "background": ("light", "dark", "tan", "slate"),
    "backdrop": ("plain", "lined", "blotchy"),
    "size": ("small", "large"),
    "count": ("1", "2", "3"),
}


def sizes(groups):
    """(G,) numbers of values."""
    return np.array([len(values) for values in groups.values()])


def distances(a, b):
    """(len(a), len(b)) numbers of groups in which the classes of `a` and `b`, both (., G), differ."""
    return np.sum(a[:, None] != b[None], axis=-1)


def other_value(value, size, rng):
    """Another of the `size` values of a group, drawn evenly."""
    return (value + rng.integers(1, size)) % size


def one_hot(values, groups):
    """(C, A) float32 attributes of (C, G) values."""
    return np.concatenate([np.eye(size, dtype=np.float32)[column] for size, column in zip(sizes(groups), values.T)], axis=1)


def attribute_names(groups):
    """A names, "group=value"."""
    return tuple(f"{group}={value}" for group, names in groups.items() for value in names)


def class_name(values):
    """A phrase for (G,) values of `GROUPS`."""
    word = {group: GROUPS[group][value] for group, value in zip(GROUPS, values)}
    return "{size} {fill} {texture} {shape} x{count}, {outline} outline, {background} {backdrop} background".format(**word)
