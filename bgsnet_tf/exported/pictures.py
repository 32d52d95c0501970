"""Images as users hand them over, one or many, to the bytes of image files."""

import itertools
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from bgsnet_tf.errors import UserError

Picture = tuple  # (name: its path, or its number in the list; the bytes of a file)


def batches(images: Any, size: int) -> Iterator[list[Picture]]:
    """Yields lists of at most `size` pictures.

    Args:
      images: a path, the bytes of a JPEG or PNG file, a uint8 array (H, W, 3) or a PIL image; a list of any of them, or an array
        (B, H, W, 3).
      size: of a list.

    Raises:
      UserError: names the first image that cannot be read, or is none.
    """
    alone = isinstance(images, (str, os.PathLike, bytes)) or _is_pil(images) or getattr(images, "ndim", None) == 3
    pictures = (_picture(i, image) for i, image in enumerate([images] if alone else images))
    while batch := list(itertools.islice(pictures, size)):
        yield batch


def _picture(number: int, image: Any) -> Picture:
    if isinstance(image, (str, os.PathLike)):
        path = os.fspath(image)
        try:
            with open(path, "rb") as file:
                return path, file.read()
        except OSError as error:
            raise UserError(f"image {path} cannot be read: {error.strerror}") from error
    if isinstance(image, bytes):
        return number, image
    pixels = np.asarray(image.convert("RGB") if _is_pil(image) else image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise UserError(
            f"image {number} is a {type(image).__name__} of {pixels.dtype}, shape {pixels.shape}; "
            "give a path, the bytes of a file, a PIL image or uint8 pixels (H, W, 3)"
        )
    return number, tf.io.encode_png(pixels).numpy()


def _is_pil(image: Any) -> bool:
    return hasattr(image, "convert") and hasattr(image, "getbands")
