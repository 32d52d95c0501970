"""A tiny CSV data set of real JPEG files, and a tiny backbone: what a whole run costs is one graph after another of its network.

`BACKBONE` holds what `python -m tests.tiny` made. It lies here since its path is a setting of every run.
"""

import pathlib

import numpy as np
import tensorflow as tf

BACKBONE = pathlib.Path(__file__).with_name("tiny.h5")
CUT = "cut"  # its last layer before the tail


def backbone(width=8):
    """Four convolutions of images 32×32 to K = 2 · `width` channels; the two of the tail lie beside a shortcut."""
    layers = tf.keras.layers

    def normalized(inputs, channels, kernel, stride=1):
        weights = tf.keras.initializers.HeNormal(seed=channels)
        outputs = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, kernel_initializer=weights)(inputs)
        return layers.BatchNormalization(momentum=0.9)(outputs)

    inputs = tf.keras.Input((32, 32, 3))
    cut = layers.ReLU(name=CUT)(normalized(layers.ReLU()(normalized(inputs, width, 5, 4)), 2 * width, 3, 2))
    block = normalized(layers.ReLU()(normalized(cut, width, 1)), 2 * width, 3)
    outputs = layers.ReLU()(layers.Add()([cut, block]))
    return tf.keras.Model(inputs, layers.GlobalAveragePooling2D()(outputs), name="tiny")


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


if __name__ == "__main__":
    backbone().save(BACKBONE)
