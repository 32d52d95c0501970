"""Which networks are trained for which situation, draw and seed; each situation in a process of its own, and read from files."""

import os
import re

import numpy as np

from bgsnet_tf.experiments import runs
from bgsnet_tf.experiments.mechanisms import measuring
from bgsnet_tf.experiments.mechanisms.terms import Seed


class Networks:
    """The networks of an experiment.

    Args:
      settings: `Config` that the situations change; its run_dir holds all.
      situations: name to `terms.Situation`.
      first_draw: data seed of the first draw.
    """

    def __init__(self, settings, situations, first_draw):
        self.settings, self.situations, self.first_draw = settings, situations, first_draw

    def train(self, draws, seed, workers):
        """Trains all that are not measured, for a number of draws and one seed; one situation after another, over all draws.

        Raises:
          UserError: as `runs.in_own_processes`.
        """
        jobs = {}
        for name in self.situations:
            for draw in range(draws):
                of_situation = self._of(draw, seed, name).values()
                if any(measuring.read(path, own) is None for path, own in of_situation):
                    work = self._folder(draw, seed, name)
                    jobs[work] = list(of_situation), work
        runs.in_own_processes(measuring.make, jobs, workers)

    def of_draw(self, draw, seeds):
        """A `Seed` for every seed of a draw, with the networks that are measured."""
        found = [
            {
                (name, network): measured
                for name in self.situations
                for network, of_network in self._of(draw, seed, name).items()
                if (measured := measuring.read(*of_network)) is not None
            }
            for seed in range(seeds)
        ]
        partners = found[1:] + found[:1] if seeds > 1 else [None]
        return [Seed(own, partner, np.random.default_rng([draw, seed])) for seed, (own, partner) in enumerate(zip(found, partners))]

    def _of(self, draw, seed, name):
        """Network to the path of its measurement and its `Config`."""
        situation, work = self.situations[name], self._folder(draw, seed, name)
        base = self.settings.replace(seed=seed, data_seed=self.first_draw + draw, **situation.dials)
        found = {}
        for network, changes in situation.networks.items():
            stem = _plain(f"draw{draw}-seed{seed}-{name}-{network}")
            own = base.replace(**changes, run_dir=os.path.join(work, _plain(network)))
            found[network] = os.path.join(self.settings.run.run_dir, "measured", f"{stem}.npz"), own
        return found

    def _folder(self, draw, seed, name):
        return os.path.join(self.settings.run.run_dir, "work", _plain(f"draw{draw}-seed{seed}-{name}"))


def _plain(name):
    return re.sub(r"[^\w.=+-]+", "_", name)
