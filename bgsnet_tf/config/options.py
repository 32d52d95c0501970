"""How a flag is written down as the field of a frozen dataclass: default, help, validator, choices. It imports no TensorFlow."""

import dataclasses


def option(default, text, check=None, choices=None, stored=True):
    """A field that `config.define_flags` makes a flag of."""
    return dataclasses.field(default=default, metadata={"help": text, "check": check, "choices": choices, "stored": stored})


def at_least(minimum):
    return (lambda value: value >= minimum), f"must be at least {minimum}"


def between(low, high):
    return (lambda value: low <= value <= high), f"must lie between {low} and {high}"


POSITIVE = (lambda value: value > 0), "must be greater than 0"
