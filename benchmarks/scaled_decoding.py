"""What libjpeg's scaled decoding would save of a test view, and how far its pixels lie off: python -m benchmarks.scaled_decoding

libjpeg can leave out half, three quarters or seven eighths of a photo's rows and columns while it decodes. The photos are those of
`image_pipeline`, scaled to three sizes; noise stands for the grain that a camera's have and scaled ones lack.
"""

import argparse
import functools
import os
import pathlib
import tempfile

from benchmarks.harness import Contender, compare, report
from benchmarks.image_pipeline import PHOTOS, RESIZE, SIZE

ROUNDS = 11
SIZES = {"as they are": (None, 200), "1024×768": ((768, 1024), 100), "12 megapixels": ((3000, 4000), 20)}  # and how many photos
NOISE = 4.0  # of 255, standard deviation


def written(photos, size, folder):
    """JPEG files of the photos scaled to `size` (height, width)."""
    import tensorflow as tf

    if size is None:
        return photos
    paths = []
    for i, photo in enumerate(photos):
        pixels = tf.image.resize(tf.io.decode_jpeg(tf.io.read_file(photo), channels=3), size, "bicubic")
        pixels += tf.random.stateless_normal(pixels.shape, [0, i], stddev=NOISE)
        paths.append(f"{folder}/{size[0]}_{i}.jpg")
        tf.io.write_file(paths[-1], tf.io.encode_jpeg(tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8), quality=90))
    return paths


def views_of(files, scaled):
    """A function without arguments to the test views of files (n, H, W, 3), the photos decoded as a whole or scaled."""
    import tensorflow as tf

    from bgsnet_tf.data.images import Views

    views = Views(SIZE, RESIZE)

    def view(path):
        contents = tf.io.read_file(path)
        if not scaled:
            return views(tf.io.decode_jpeg(contents, channels=3))
        fits = [tf.reduce_min(tf.io.extract_jpeg_shape(contents)[:2]) // ratio >= RESIZE for ratio in (2, 4, 8)]
        decoders = [lambda ratio=ratio: tf.io.decode_jpeg(contents, channels=3, ratio=ratio) for ratio in (1, 2, 4, 8)]
        return views(tf.switch_case(tf.reduce_sum(tf.cast(fits, tf.int32)), decoders))

    batches = tf.data.Dataset.from_tensor_slices(files).map(view, tf.data.AUTOTUNE).batch(len(files))
    return lambda: next(iter(batches)).numpy()


def main():
    import numpy as np

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=pathlib.Path, default=PHOTOS, help="Folder of JPEG files, searched recursively.")
    photos = sorted(str(path) for path in parser.parse_args().photos.rglob("*.jpg"))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (size, count) in SIZES.items():
            files = written(photos[:: max(1, len(photos) // count)][:count], size, folder)
            timings = compare([Contender(how, functools.partial(views_of, files, how == "scaled")) for how in ("whole", "scaled")], ROUNDS)
            off = np.abs(views_of(files, True)() - views_of(files, False)())
            rows.append(
                {
                    "photos": name,
                    "MB a photo": sum(map(os.path.getsize, files)) / len(files) / 1e6,
                    "images/s, whole": len(files) / timings["whole"].median,
                    "images/s, scaled": len(files) / timings["scaled"].median,
                    "scaled is faster by": timings["scaled"].times(timings["whole"]),
                    "mean pixel off, of 255": float(off.mean()),
                    "99.9 % of pixels off by less than": float(np.quantile(off, 0.999)),
                }
            )
    report("scaled_decoding", rows)


if __name__ == "__main__":
    main()
