"""Heat maps over images, as arrays. Letters: h and w the map's height and width, H and W the image's."""

import numpy as np

FOR, AGAINST = np.array([213, 94, 0]), np.array([0, 114, 178])  # orange and blue, which all common kinds of colour vision tell apart
STRONGEST = 0.75  # opacity of the map's largest value: the image shows through


def upsampled(heat, height, width):
    """(H, W) of a map (h, w): linear between the centres of its cells, level beyond the outermost ones."""
    return _between(len(heat), height) @ heat @ _between(heat.shape[1], width).T


def overlay(image, heat, limit=None):
    """(H, W, 3) uint8: an image (H, W, 3) uint8 under its map (h, w), orange where positive and blue where negative.

    Args:
      image, heat: see above.
      limit: the magnitude of the full colour; None for the map's largest.
    """
    heat = upsampled(heat, *image.shape[:2])
    limit = np.abs(heat).max() if limit is None else limit
    opacity = STRONGEST * np.clip(np.abs(heat) / max(limit, np.finfo(np.float32).tiny), 0, 1)[..., np.newaxis]
    colour = np.where(heat[..., np.newaxis] > 0, FOR, AGAINST)
    return np.rint((1 - opacity) * image + opacity * colour).astype(np.uint8)


def _between(cells, pixels):
    """(pixels, cells) weights of linear interpolation between the cells' centres."""
    position = np.clip((np.arange(pixels) + 0.5) * cells / pixels - 0.5, 0, cells - 1)
    return np.maximum(0, 1 - np.abs(position[:, np.newaxis] - np.arange(cells)))
