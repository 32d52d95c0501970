"""Scores many images with an export, without a server, into shards; a stopped run goes on where it was.

    python -m bgsnet_tf.serving.batch --export_dir=runs/demo/export/1 --images='photos/**/*.jpg' --output=scored

`scored/part-00000-of-00123.tfrecord` (or .parquet) holds a record an image, see `records.py`; `part-….problems.csv` beside
it lists the images that have no answer, if there are any.
"""

import functools

from absl import flags

from bgsnet_tf import cli
from bgsnet_tf.serving.client.asking import find_images


def main():
    values = flags.FLAGS
    cli.require("export_dir", "images", "output")
    paths = find_images(values.images)
    from bgsnet_tf.exported.model import ExportedModel  # after the flags are read: loading TensorFlow takes seconds
    from bgsnet_tf.serving import offline

    model = ExportedModel(values.export_dir)
    choice = model.choice(values.attributes or None)
    ask = functools.partial(model.ask, choice=choice)
    sizes = values.shard_size, values.batch_size
    problems = offline.score(paths, ask, values.output, *sizes, values.export_dir, values.format, choice)
    print(f"{len(paths)} images scored into {values.output}; {problems} without an answer, listed in its .problems.csv files")


if __name__ == "__main__":
    flags.DEFINE_string("export_dir", "", "Version folder of an export.")
    flags.DEFINE_string("images", "", "A JPEG or PNG file, a folder of such files, or a pattern.")
    flags.DEFINE_string(
        "attributes", "", "CSV of the classes to choose from (class, then one column an attribute). Empty: the exported ones."
    )
    flags.DEFINE_string("output", "", "Folder for the shards.")
    flags.DEFINE_enum("format", "tfrecord", ["tfrecord", "parquet"], "Of the shards; Parquet needs PyArrow.")
    flags.DEFINE_integer("shard_size", 10_000, "Images of a shard: what a stopped run loses at most.", 1)
    flags.DEFINE_integer("batch_size", 32, "Images computed at a time.", 1, 4096)
    cli.run(main)
