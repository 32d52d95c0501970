"""Optimizers by name, of Keras or tensorflow-addons, with a warmed-up schedule."""

import inspect
import re
import warnings

import tensorflow as tf

from bgsnet_tf.errors import UserError

OWN_ARGUMENTS = {"SGD": {"momentum": 0.9, "nesterov": True}}  # assumption: momentum as in GEM-ZSL and AREN
NO_KERNEL = r"^(?!.*kernel[^/]*(/replica_\d+:0)?$)"  # matches names of biases, norms and gates
BASES = {"Optimizer", "KerasLegacyOptimizer", "DecoupledWeightDecayExtension", "AveragedOptimizerWrapper"}
UNUSABLE = BASES | {"MultiOptimizer", "ConditionalGradient"}  # one wants layers, the other takes no schedule


def make(name, learning_rate, steps, schedule="constant", warmup=0.0, weight_decay=0.0, variables=()):
    """A new optimizer.

    Args:
      name: e.g. "AdamW", "LAMB", or "Lookahead:LAMB" for a wrapper and its inner optimizer; letter case is free.
      learning_rate: the highest one; COCOB has none.
      steps: updates over which the schedule runs.
      schedule: "cosine" (to 0) or "constant".
      warmup: share of `steps` over which the rate rises, as much from 0 to the first step as from each to the next.
      weight_decay: decoupled, times the learning rate; of kernels alone where the optimizer allows exceptions.
      variables: what it will train.

    Raises:
      UserError: unknown name, a missing tensorflow-addons, or weight decay with an optimizer that has none.
    """
    warmup_steps = int(warmup * steps)

    def scheduled(highest):
        return tf.keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=highest / (warmup_steps + 1),
            decay_steps=max(1, steps - warmup_steps),
            alpha=0.0 if schedule == "cosine" else 1.0,
            warmup_target=highest if warmup_steps else None,
            warmup_steps=warmup_steps,
        )

    outer, _, inner = name.rpartition(":")
    factory = _find(inner, "legacy" if outer else "")
    if _wraps(factory):
        raise UserError(f"optimizer {inner} wraps another: name that too, as in {inner}:Adam")
    optimizer = factory(**_arguments(factory, scheduled, learning_rate, weight_decay))
    if outer:
        if not _wraps(_find(outer, "")):
            raise UserError(f"optimizer {outer} wraps no other; name {outer} or {inner} alone, or Lookahead:{inner}")
        if _decays_alone(factory):
            optimizer._set_decay_var_list(variables)  # which it forgets where another calls it
        return _find(outer, "")(optimizer)
    if weight_decay and callable(getattr(optimizer, "exclude_from_weight_decay", None)):  # of Keras; addons keep their list there
        optimizer.exclude_from_weight_decay(var_list=[variable for variable in variables if re.search(NO_KERNEL, variable.name)])
    return optimizer


def _arguments(factory, scheduled, learning_rate, weight_decay):
    accepted = inspect.signature(factory).parameters
    arguments = dict(OWN_ARGUMENTS.get(factory.__name__, {}))
    if "learning_rate" in accepted:
        arguments["learning_rate"] = scheduled(learning_rate)
    if weight_decay and "weight_decay" not in accepted:
        raise UserError(f"optimizer {factory.__name__} has no weight decay; set the stage's weight decay to 0 or take AdamW")
    if weight_decay or ("weight_decay" in accepted and accepted["weight_decay"].default):  # AdamW's own is 0.004
        arguments["weight_decay"] = scheduled(learning_rate * weight_decay) if _decays_alone(factory) else weight_decay
    if weight_decay and (_decays_alone(factory) or "exclude_from_weight_decay" in accepted):
        arguments["exclude_from_weight_decay"] = [NO_KERNEL]
    return arguments


def _wraps(factory):
    return "optimizer" in inspect.signature(factory).parameters


def _decays_alone(factory):
    """Whether it is one of tensorflow-addons' that decay apart from their step, so by a rate of its own."""
    return hasattr(factory, "_set_decay_var_list")


def _find(name, namespace):
    keras = tf.keras.optimizers.legacy if namespace == "legacy" else tf.keras.optimizers
    found = known(keras)
    if name.lower() not in found:
        raise UserError(
            f"optimizer {name} is unknown; there are: {', '.join(sorted(factory.__name__ for factory in found.values()))}"
            + ("" if _addons() else "; tensorflow-addons, which has more, is not installed (it needs Python 3.11 or older)")
        )
    return found[name.lower()]


def known(keras=tf.keras.optimizers):
    """Lower-case name to class, of a namespace of Keras and, where it is installed, of tensorflow-addons; wrappers too."""
    return {**_optimizers(_addons()), **_optimizers(keras)}


def _addons():
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says at every start that it has ended, which no user of ours can act on
            import tensorflow_addons
    except ImportError:
        return None
    return tensorflow_addons.optimizers


def _optimizers(module):
    members = {name: getattr(module, name) for name in dir(module)}
    return {
        name.lower(): member
        for name, member in members.items()
        if inspect.isclass(member) and name not in UNUSABLE and hasattr(member, "apply_gradients")
    }
