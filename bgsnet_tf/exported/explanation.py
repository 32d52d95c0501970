"""Where a photo's attributes were seen.

Letters: k attributes, h and w the heat maps' height and width.
"""

import dataclasses
from typing import Any

import numpy as np

from bgsnet_tf.evaluation.heat_maps import overlay

COLUMNS = 4  # of a plot


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Attributes of one photo as sums over its positions.

    Attributes:
      names: of the k attributes.
      values: (k,) what was read: `maps` summed over h and w, plus `constant`.
      maps: (h, w, k) what each part of `image` gives to it.
      constant: (k,) what no part gives.
      image: (size, size, 3) uint8, what the network saw of the photo; the maps cover it whole.

    >>> photo = np.zeros([8, 8, 3], np.uint8)
    >>> maps = np.array([[[1.0, 0.0], [0.5, -0.5]]])
    >>> found = Explanation(("beak", "tail"), np.array([1.75, 0.5]), maps, np.array([0.25, 1.0]), photo)
    >>> np.allclose(found.maps.sum((0, 1)) + found.constant, found.values)
    True
    >>> found.weighted([2.0, -1.0]).values  # of two attributes in a score
    array([ 3.5, -0.5])
    >>> found.weighted([2.0, -1.0]).total().maps[..., 0]  # and where that score was seen
    array([[2. , 1.5]])
    """

    names: tuple
    values: np.ndarray
    maps: np.ndarray
    constant: np.ndarray
    image: np.ndarray

    def weighted(self, weights: Any) -> "Explanation":
        """Every attribute times its weight (k,): with φ of a class, what each one gives to the score."""
        weights = np.asarray(weights)
        return dataclasses.replace(self, values=self.values * weights, maps=self.maps * weights, constant=self.constant * weights)

    def total(self, name: str = "sum") -> "Explanation":
        """The sum of all attributes as a single one: after `weighted`, the score and where it was seen."""
        values, maps, constant = (part.sum(-1, keepdims=True) for part in (self.values, self.maps, self.constant))
        return dataclasses.replace(self, names=(name,), values=values, maps=maps, constant=constant)

    def strongest(self, count: int) -> "Explanation":
        """The `count` attributes of the largest values by magnitude, largest first."""
        order = np.argsort(-np.abs(self.values), kind="stable")[:count]
        names = tuple(self.names[i] for i in order)
        return dataclasses.replace(self, names=names, values=self.values[order], maps=self.maps[..., order], constant=self.constant[order])

    def plot(self) -> Any:
        """A Matplotlib figure of the photo under every map: orange speaks for the attribute, blue against it, on one scale."""
        from matplotlib import pyplot

        rows = -(-len(self.names) // COLUMNS)
        columns = min(COLUMNS, len(self.names))
        limit = np.abs(self.maps).max(initial=0.0)
        figure, axes = pyplot.subplots(rows, columns, figsize=(3 * columns, 3.3 * rows), squeeze=False, layout="constrained")
        for axis in axes.flat:
            axis.axis("off")
        for axis, name, value, heat in zip(axes.flat, self.names, self.values, np.moveaxis(self.maps, -1, 0)):
            axis.imshow(overlay(self.image, heat, limit))
            axis.set_title(f"{name}: {value:.2f}", fontsize=9)
        pyplot.close(figure)  # a notebook shows what a cell returns, and would show an open figure again
        return figure
