"""Draws the pictures of docs/dials.md: images of --dataset=demo_dials as a network sees them, a picture a dial.

    python -m benchmarks.dial_pictures --directory=docs/figures

Every row of a picture is one setting; images are shown at 48x48 pixels, enlarged without smoothing.
"""

import pathlib

import numpy as np
from absl import app, flags
from matplotlib.figure import Figure
from PIL import Image

from bgsnet_tf.config.dials import Dials
from bgsnet_tf.data.synthetic import dialled

DIRECTORY = flags.DEFINE_string("directory", "docs/figures", "Where the pictures go.")

COLUMNS, SHOWN, ENLARGED = 9, 48, 2


def pictures():
    """Name of a picture to its rows: a caption and images (COLUMNS, SHOWN, SHOWN, 3)."""
    plain = Dials()
    return {
        "dial_correlation": [_row(f"seen triangles, ρ = {rho}", Dials(correlation=rho), _triangles) for rho in (0.0, 0.5, 1.0)],
        "dial_detail": [_row(f"three families, badges of {d:.0f} pixels", Dials(fine_share=1.0, detail=d)) for d in (3.0, 5.0, 8.0)],
        "dial_fine_share": [_row("half of the classes in families, badges of 5 pixels", Dials(fine_share=0.5, detail=5.0), _edge)],
        "dial_cues": [_row(f"{m} cues", Dials(cues=m)) for m in (1, 3, 6)],
        "dial_light": [_row("seen classes", plain)]
        + [_row(f"unseen classes, shift {x}", Dials(light_shift=x), lambda b: b.test_unseen[::4]) for x in (0.0, 0.5, 1.0)],
    }


def _row(caption, dials, choose=lambda benchmark: benchmark.test_seen):
    benchmark = dialled.render_benchmark(dials, "final", rows_per_class=4)
    images = [Image.fromarray(pixels).resize((SHOWN, SHOWN), Image.BILINEAR) for pixels in benchmark.pixels[choose(benchmark)[:COLUMNS]]]
    return caption, np.stack([np.asarray(image) for image in images])


def _triangles(benchmark):
    """One row of each seen class of triangles, and more of theirs where they are few."""
    triangles = np.flatnonzero(benchmark.attributes[:, benchmark.attribute_names.index("shape=triangle")])
    rows = benchmark.test_seen[np.isin(benchmark.labels[benchmark.test_seen], triangles)]
    return np.resize(rows, COLUMNS)


def _edge(benchmark):
    """The last two families of the seen classes and the first classes of no family."""
    return benchmark.test_seen[len(benchmark.seen_classes) // 2 - 6 :]


def draw(rows):
    """A figure of rows (caption, images)."""
    width, height = COLUMNS * SHOWN * ENLARGED / 100, (SHOWN * ENLARGED + 24) / 100
    figure = Figure(figsize=(width, height * len(rows)), dpi=100)
    for number, (caption, images) in enumerate(rows):
        axes = figure.add_axes([0, 1 - (number + 1) / len(rows), 1, SHOWN * ENLARGED / 100 / height / len(rows)])
        axes.imshow(np.concatenate(images, axis=1), interpolation="nearest")
        axes.set_title(caption, fontsize=9, pad=3)
        axes.set_axis_off()
    return figure


def main(_):
    for name, rows in pictures().items():
        path = pathlib.Path(DIRECTORY.value) / f"{name}.png"
        draw(rows).savefig(path)
        print(path)


if __name__ == "__main__":
    app.run(main)
