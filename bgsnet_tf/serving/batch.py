"""Scores many images with an export, without a server, into TFRecord shards; a stopped run goes on where it was.

    python -m bgsnet_tf.serving.batch --export_dir=runs/demo/export/1 --images='photos/**/*.jpg' --output=scored

`scored/part-00000-of-00123.tfrecord` holds a tf.Example an image: `image` (its path), `class_name`, `class_index`, `score`
and `attributes` (A); `part-….problems.csv` beside it lists the images that have no answer, if there are any.
"""

import csv
import hashlib
import json
import os

import tensorflow as tf
from absl import flags
from tqdm import tqdm

from bgsnet_tf import cli
from bgsnet_tf.errors import UserError
from bgsnet_tf.serving.client import answers, find_images
from bgsnet_tf.serving.transports import Refused

THREADS = 2  # one batch is read and decoded while another is computed


def score(paths, ask, output, shard_size, batch_size, version=""):
    """Scores all images, shard after shard; a shard that exists is not made again.

    Args:
      paths: image files, in the same order whenever a run goes on.
      ask: function from a list of files' bytes to a list of dicts of arrays; raises `Refused` for bad ones.
      output: folder of the shards.
      shard_size: images of a shard.
      batch_size: images asked for at a time.
      version: what answers; a run that goes on must use the same.

    Returns:
      How many images of the shards made now have no answer.

    Raises:
      UserError: where the folder holds shards of other images, another version or another shard size.
    """
    digest = hashlib.sha256("\n".join(paths).encode(errors="surrogateescape")).hexdigest()
    _claim(output, {"images": digest, "version": os.path.abspath(version), "shard_size": shard_size})
    shards = [paths[i : i + shard_size] for i in range(0, len(paths), shard_size)]
    problems = 0
    with tqdm(total=len(paths), desc="images", unit=" images", mininterval=1, disable=None) as progress:
        for number, shard in enumerate(shards):
            name = os.path.join(output, f"part-{number:05d}-of-{len(shards):05d}")
            if os.path.exists(f"{name}.tfrecord"):
                progress.update(len(shard))
            else:
                problems += _write_shard(name, answers(shard, ask, batch_size, THREADS, retries=0), progress)
    return problems


def asker(version):
    """The `ask` of an export.

    Raises:
      UserError: where the folder holds none.
    """
    try:
        signature = tf.saved_model.load(version).signatures["serving_default"]
    except (OSError, KeyError) as error:
        raise UserError(f"--export_dir={version} holds no export of this project; name a version folder such as export/1") from error

    def ask(files):
        try:
            outputs = {name: output.numpy() for name, output in signature(image_bytes=tf.constant(files)).items()}
        except tf.errors.InvalidArgumentError as error:
            raise Refused(error.message) from error
        return [{name: output[i] for name, output in outputs.items()} for i in range(len(files))]

    return ask


def _claim(output, state):
    path = os.path.join(output, "batch.json")
    os.makedirs(output, exist_ok=True)
    if os.path.exists(path):
        with open(path) as file:
            if json.load(file) != state:
                raise UserError(f"--output={output} holds shards of other images, another export or shard size; give another folder")
        return
    with open(f"{path}.part", "w") as file:
        json.dump(state, file)
    os.replace(f"{path}.part", path)


def _write_shard(name, entries, progress):
    """Writes a shard, which takes its name when it is whole; returns how many images have no answer."""
    problems = []
    with tf.io.TFRecordWriter(f"{name}.part") as writer:
        for path, answer, problem in entries:
            progress.update()
            if problem:
                problems.append((path, problem))
            else:
                writer.write(_example(path, answer).SerializeToString())
    if problems:
        with open(f"{name}.problems.csv", "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("image", "problem"), *problems])
    os.replace(f"{name}.part", f"{name}.tfrecord")
    return len(problems)


def _example(path, answer):
    def text(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def numbers(values):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    index = int(answer["class_index"])
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                "image": text(os.fsencode(path)),
                "class_name": text(answer["class_name"]),
                "class_index": tf.train.Feature(int64_list=tf.train.Int64List(value=[index])),
                "score": numbers([answer["scores"][index]]),
                "attributes": numbers(answer["attributes"]),
            }
        )
    )


def main():
    values = flags.FLAGS
    for name in ("export_dir", "images", "output"):
        if not values[name].value:
            raise UserError(f"--{name} is missing; --export_dir, --images and --output are needed")
    paths = find_images(values.images)
    problems = score(paths, asker(values.export_dir), values.output, values.shard_size, values.batch_size, values.export_dir)
    print(f"{len(paths)} images scored into {values.output}; {problems} without an answer, listed in its .problems.csv files")


if __name__ == "__main__":
    flags.DEFINE_string("export_dir", "", "Version folder of an export.")
    flags.DEFINE_string("images", "", "Folder of JPEG and PNG files, or a pattern.")
    flags.DEFINE_string("output", "", "Folder for the shards.")
    flags.DEFINE_integer("shard_size", 10_000, "Images of a shard: what a stopped run loses at most.", 1)
    flags.DEFINE_integer("batch_size", 32, "Images computed at a time.", 1)
    cli.run(main)
