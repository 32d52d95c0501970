"""Scores images with an export as an Apache Beam pipeline, on whatever runner Beam has: one machine, or a cluster.

    python -m bgsnet_tf.serving.beam --export_dir=runs/demo/export/1 --images='photos/**.jpg' --output=scored

writes the records of `batch.py`, in as many shards as the runner likes; `problems-….csv` lists the images that have no
answer. Beam's own options go in one flag: --beam_options='--runner=FlinkRunner --flink_master=localhost:8081'.
"""

import shlex

from absl import flags

from bgsnet_tf import cli
from bgsnet_tf.errors import UserError


def main():
    values = flags.FLAGS
    cli.require("export_dir", "images", "output")
    try:
        from bgsnet_tf.serving import pipeline  # after the flags are read: loading TensorFlow and Beam takes seconds
    except ModuleNotFoundError as error:
        raise UserError(f"Apache Beam is not installed ({error}): pip install -r requirements/beam.txt") from error
    options = shlex.split(values.beam_options)
    places = values.export_dir, values.images, values.output
    scored, problems = pipeline.run(*places, values.format, values.batch_size, options, values.attributes or None)
    print(f"{scored + problems} images scored into {values.output}; {problems} without an answer, listed in its problems-….csv files")


if __name__ == "__main__":
    flags.DEFINE_string("export_dir", "", "Version folder of an export.")
    flags.DEFINE_string("images", "", "A JPEG or PNG file, or a pattern of such files, as Beam takes it: * within a folder, ** below it.")
    flags.DEFINE_string(
        "attributes", "", "CSV of the classes to choose from (class, then one column an attribute). Empty: the exported ones."
    )
    flags.DEFINE_string("output", "", "Folder for the shards.")
    flags.DEFINE_enum("format", "tfrecord", ["tfrecord", "parquet"], "Of the shards.")
    flags.DEFINE_integer("batch_size", 32, "Most images computed at a time.", 1, 4096)
    flags.DEFINE_string("beam_options", "", "Beam's own options, such as '--runner=FlinkRunner --flink_master=localhost:8081'.")
    cli.run(main)
