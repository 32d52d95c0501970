"""The feature cache of ResNet101 from JPEG photos: how much of its time the network waits for pixels.

python -m benchmarks.cache_build [--photos=FOLDER]
"""

import argparse
import functools
import pathlib

from benchmarks.harness import Contender, compare, report
from benchmarks.image_pipeline import PHOTOS, SIZE, VIEWS, ours

ROUNDS = 3
IMAGES = 64


def network(batches=VIEWS):
    """Trunk and general tail on pixels that are there: one batch of 64, as many times as the cache has batches."""
    import tensorflow as tf

    embed = _embed()
    pixels = tf.random.uniform([64, SIZE, SIZE, 3], 0, 255)
    return lambda: [[part.numpy() for part in embed(pixels)] for _ in range(batches)][-1][1].shape


def whole(files):
    """The same over the product's batches: photos decoded, resized and cropped beside it, each photo once for all its views."""
    batches = ours(files, VIEWS, run=False)
    embed = _embed()
    return lambda: [[part.numpy() for part in embed(pixels)] for pixels in batches][-1][1].shape


def _embed():
    import tensorflow as tf

    from bgsnet_tf.model.backbones import backbone

    trunk, tail = backbone.build("ResNet101", "none", SIZE)

    @tf.function(reduce_retracing=True)
    def embed(pixels):
        features = trunk(pixels, training=False)
        return features, tail(features, training=False)

    return embed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=pathlib.Path, default=PHOTOS, help="Folder of JPEG files, searched recursively.")
    files = sorted(str(path) for path in parser.parse_args().photos.rglob("*.jpg"))[:IMAGES]
    names = "network alone", "photos and network", "photos alone"
    prepare = network, functools.partial(whole, files), functools.partial(ours, files, VIEWS)
    timings = compare([Contender(name, function) for name, function in zip(names, prepare)], ROUNDS, warm_up=1)
    rows = [{"what runs": name, "views/s": IMAGES * VIEWS / timings[name].median, "seconds": timings[name].median} for name in names]
    added = 1 - 1 / timings["network alone"].times(timings["photos and network"])
    report("cache_build", rows, share_of_time_beyond_the_network=f"{100 * added:.1f} %")


if __name__ == "__main__":
    main()
