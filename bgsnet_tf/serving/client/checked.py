"""What a server sends is not trusted to be an answer: each function gives the answer, or raises `Garbled`."""

import json
import math

import numpy as np

from bgsnet_tf.exported.refusals import Refused
from bgsnet_tf.serving.client.failures import Garbled

MAX_ANSWER = 1 << 26  # bytes; a million scores as JSON take 20 MB


def require_zero_shot(signatures):
    if "zero_shot" not in signatures:
        raise Refused(f"the model has the signatures {', '.join(sorted(signatures))}, but not zero_shot")


def parsed(content):
    """The value of an answer in JSON."""
    if len(content) > MAX_ANSWER:
        raise Garbled(f"its answer is longer than {MAX_ANSWER} bytes")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Garbled(f"its answer is no JSON: {error}") from error


def at(value, *keys):
    """What lies in `value` under one key after the other."""
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise Garbled(f"its answer has no {key!r}")
        value = value[key]
    return value


def ranked(result, count):
    """`result` as `count` lists of (class name, finite score)."""
    if not isinstance(result, list) or len(result) != count:
        raise Garbled(f"its answer is not for {count} images")
    try:
        images = [[(name, float(score)) for name, score in image] for image in result]
    except (ValueError, TypeError, OverflowError) as error:
        raise Garbled("its answer holds no classes and scores") from error
    if not all(image and all(isinstance(name, str) and math.isfinite(score) for name, score in image) for image in images):
        raise Garbled("its answer holds no class names, or scores that are not finite")
    return images


def scores(values, images, classes):
    """`values` as finite scores (images, classes)."""
    try:
        found = np.array(values, np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise Garbled(f"its scores are no numbers: {error}") from error
    if found.shape != (images, classes) or not np.isfinite(found).all():
        raise Garbled(f"its scores are not {images} × {classes} finite numbers")
    return found
