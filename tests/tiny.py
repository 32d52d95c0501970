"""A tiny CSV data set of real JPEG files."""

import numpy as np
import tensorflow as tf


def write_tiny(directory):
    """Six classes of coloured noise (four seen, two unseen), eight images each, as JPEG files and two tables."""
    rng = np.random.default_rng(0)
    (directory / "images").mkdir(parents=True)
    colours = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "white": (1, 1, 1), "yellow": (1, 1, 0), "cyan": (0, 1, 1)}
    rows = ["path,class,split"]
    for name, colour in colours.items():
        for i in range(8):
            pixels = 40 + 160 * np.array(colour) + rng.uniform(-30, 30, (40, 48, 3))
            path = f"images/{name}_{i}.jpg"
            (directory / path).write_bytes(tf.io.encode_jpeg(pixels.astype(np.uint8), quality=95).numpy())
            split = "test_unseen" if name in ("yellow", "cyan") else ("test_seen" if i < 2 else "trainval")
            rows.append(f"{path},{name},{split}")
    (directory / "images.csv").write_text("\n".join(rows) + "\n")
    attributes = [f"{name},{r},{g},{b},0.5" for name, (r, g, b) in colours.items()]
    (directory / "attributes.csv").write_text("\n".join(["class,r,g,b,constant", *attributes]) + "\n")
