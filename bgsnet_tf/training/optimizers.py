"""Optimizers by name, of Keras or tensorflow-addons, with a warmed-up schedule."""

import inspect

import tensorflow as tf

from bgsnet_tf.errors import UserError

OWN_ARGUMENTS = {"SGD": {"momentum": 0.9, "nesterov": True}}  # assumption: momentum as in GEM-ZSL and AREN


def make(name, learning_rate, steps, schedule="constant", warmup=0.0, weight_decay=0.0, variables=()):
    """A new optimizer.

    Args:
      name: e.g. "AdamW", "LAMB", or "Lookahead:LAMB" for a wrapper and its inner optimizer; letter case is free.
      learning_rate: the highest one.
      steps: updates over which the schedule runs.
      schedule: "cosine" (to 0) or "constant".
      warmup: share of `steps` over which the rate rises from 0.
      weight_decay: decoupled; spares biases and batch norm where the optimizer allows exceptions.
      variables: what it will train.

    Raises:
      UserError: unknown name, a missing tensorflow-addons, or weight decay with an optimizer that has none.
    """
    warmup_steps = int(warmup * steps)
    rate = tf.keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else learning_rate,
        decay_steps=max(1, steps - warmup_steps),
        alpha=0.0 if schedule == "cosine" else 1.0,
        warmup_target=learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
    outer, _, inner = name.partition(":")
    if inner:
        return _find(outer, "")(_create(inner, rate, weight_decay, (), legacy=True))
    return _create(name, rate, weight_decay, variables)


def _create(name, rate, weight_decay, variables, legacy=False):
    factory = _find(name, "legacy" if legacy else "")
    arguments = dict(OWN_ARGUMENTS.get(factory.__name__, {}))
    accepted = inspect.signature(factory).parameters
    if "optimizer" in accepted:
        raise UserError(f"optimizer {name} wraps another: name that too, as in {name}:Adam")
    if weight_decay:
        if "weight_decay" not in accepted:
            raise UserError(f"optimizer {name} has no weight decay; set the stage's weight decay to 0 or take AdamW")
        arguments["weight_decay"] = weight_decay
    optimizer = factory(learning_rate=rate, **arguments)
    if weight_decay and hasattr(optimizer, "exclude_from_weight_decay"):
        optimizer.exclude_from_weight_decay(var_list=[variable for variable in variables if len(variable.shape) < 2])
    return optimizer


def _find(name, namespace):
    keras = tf.keras.optimizers.legacy if namespace == "legacy" else tf.keras.optimizers
    known = _optimizers(keras)
    if name.lower() in known:
        return known[name.lower()]
    try:
        import tensorflow_addons
    except ImportError:
        names = ", ".join(sorted(factory.__name__ for factory in known.values()))
        raise UserError(
            f"optimizer {name} is none of Keras's ({names}), and tensorflow-addons, which has more, is not installed "
            "(it needs Python 3.11 or older)"
        ) from None
    known = {**_optimizers(tensorflow_addons.optimizers), **known}
    if name.lower() not in known:
        names = ", ".join(sorted(factory.__name__ for factory in known.values()))
        raise UserError(f"optimizer {name} is unknown; there are: {names}")
    return known[name.lower()]


def _optimizers(module):
    members = {name: getattr(module, name) for name in dir(module)}
    return {
        name.lower(): member
        for name, member in members.items()
        if inspect.isclass(member) and name != "Optimizer" and hasattr(member, "apply_gradients")
    }
