"""What a registered test of a mechanism is made of (`registered.py`)."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Situation:
    """Images, and the networks that train on them.

    Attributes:
      dials: flags of the images.
      networks: name to the flags that differ from those given; the first one's stages are shared.
    """

    dials: Mapping[str, float]
    networks: Mapping[str, Mapping[str, object]]


@dataclasses.dataclass(frozen=True)
class Seed:
    """The networks of one draw and seed.

    Attributes:
      networks: (situation, network) to its `Measured`.
      partner: the same of the draw's next seed; None where there is but one.
      rng: NumPy's generator, the same in every evaluation.
    """

    networks: Mapping
    partner: Mapping
    rng: np.random.Generator

    def __getitem__(self, key):
        return self.networks[key]


@dataclasses.dataclass(frozen=True)
class Condition:
    """A prediction.

    Attributes:
      text: what is predicted to lie above the threshold.
      statistic: function from a `Seed`, or, where `pooled`, from all of a draw, to a number; NaN where it does not exist.
      threshold: see the module.
      pooled: see `statistic`.
      needs: pairs of a situation and a network that it reads.
    """

    text: str
    statistic: Callable
    needs: Sequence
    threshold: float = 0.0
    pooled: bool = False


@dataclasses.dataclass(frozen=True)
class Mechanism:
    """A claim of the paper, and all that has to be so if it holds."""

    name: str
    prediction: str
    conditions: Sequence[Condition]
