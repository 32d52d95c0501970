"""Drawings of birds with the traits of docs/tutorial.md, as photos of somebody who follows it."""

import numpy as np
import tensorflow as tf

SIZE, PHOTOS = 48, 10
COLOURS = {"red": (215, 40, 40), "blue": (50, 90, 220), "yellow": (245, 215, 50), "black": (25, 25, 25), "white": (245, 245, 245)}
BIRDS = {  # traits in the order: body, wing, crest, long bill, long tail
    "Blackbird": ("black", "black", 0, 0, 0),
    "Canary": ("yellow", "yellow", 0, 0, 0),
    "Cardinal": ("red", "red", 1, 0, 0),
    "Cockatoo": ("white", "white", 1, 0, 0),
    "Kingfisher": ("blue", "blue", 0, 1, 0),
    "Magpie": ("black", "white", 0, 0, 1),
    "Blue Jay": ("blue", "white", 1, 0, 0),
    "Scarlet Macaw": ("red", "yellow", 0, 0, 1),
}


def draw(bird, rng):
    """Pixels (SIZE, SIZE, 3) uint8 of a bird somewhere on a green ground."""
    body, wing, crest, bill, tail = BIRDS[bird]
    pixels = np.array([90, 140, 80]) + rng.uniform(-25, 25, (SIZE, SIZE, 3))
    down, right = np.mgrid[:SIZE, :SIZE]
    y, x = rng.uniform(20, 28, 2)

    def ellipse(dy, dx, height, width, colour):
        pixels[((down - y - dy) / height) ** 2 + ((right - x - dx) / width) ** 2 < 1] = np.array(COLOURS[colour]) + rng.uniform(-12, 12, 3)

    if tail:
        ellipse(4, -13, 2, 9, body)
    ellipse(0, 0, 8, 11, body)
    ellipse(1, -2, 4, 6, wing)
    ellipse(-7, 9, 5, 5, body)
    if crest:
        ellipse(-13, 7, 5, 2, body)
    ellipse(-7, 15 if not bill else 18, 1.5, 3 if not bill else 7, "yellow")
    return np.clip(pixels, 0, 255).astype(np.uint8)


def write(directory, photos=PHOTOS):
    """Writes `photos` JPEG files of each bird below `directory`, a folder each."""
    rng = np.random.default_rng(0)
    for bird in BIRDS:
        (directory / bird).mkdir(parents=True)
        for i in range(photos):
            (directory / bird / f"{i}.jpg").write_bytes(tf.io.encode_jpeg(draw(bird, rng), quality=95).numpy())
