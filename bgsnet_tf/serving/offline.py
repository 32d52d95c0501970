"""Scores many images with an export, without a server, shard after shard; a stopped run goes on where it was."""

import contextlib
import csv
import hashlib
import os

from tqdm import tqdm

from bgsnet_tf import files
from bgsnet_tf.errors import UserError
from bgsnet_tf.names import shown
from bgsnet_tf.serving import records
from bgsnet_tf.serving.client.asking import answers

THREADS = 2  # one batch is read and decoded while another is computed
PROBLEM_COLUMNS = ("image", "problem")


def score(paths, ask, output, shard_size, batch_size, version="", form="tfrecord", choice=None):
    """Scores all images, shard after shard; a shard that exists is not made again.

    Args:
      paths: image files, in the same order whenever a run goes on.
      ask: function from a list of files' bytes to a list of dicts of arrays; raises `Refused` for bad ones.
      output: folder of the shards.
      shard_size: images of a shard.
      batch_size: images asked for at a time.
      version: what answers; a run that goes on must use the same.
      form: a key of `records.WRITERS`.
      choice: the `Choice` of classes that `ask` has; None for the exported ones.

    Returns:
      How many images of the shards made now have no answer.

    Raises:
      UserError: where the folder holds shards of other images or classes, another version, format or shard size, or is in use
        or cannot be written; without PyArrow for Parquet.
    """
    if form == "parquet":
        records.parquet_schema()  # what it raises should not wait for the first shard
    digest = hashlib.sha256("\n".join(paths).encode(errors="surrogateescape")).hexdigest()
    classes = {} if choice is None else {"classes": choice.fingerprint()}
    state = {"images": digest, "version": os.path.abspath(version), "shard_size": shard_size, "format": form, **classes}
    with files.naming_unwritable(output), _claimed(output, state):
        return _write_shards([paths[i : i + shard_size] for i in range(0, len(paths), shard_size)], ask, output, batch_size, form)


@contextlib.contextmanager
def _claimed(output, state):
    """Holds the folder for this process and this state."""
    path = os.path.join(output, "batch.json")
    try:
        os.makedirs(output, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output={output} cannot be made: {error.strerror}; give another folder") from error
    with files.locked(output):
        if not os.path.exists(path):
            files.write_json(path, state)
        elif files.read_json(path) != state:
            raise UserError(
                f"--output={output} holds shards of other images or classes, another export, format or shard size; give another folder"
            )
        yield


def _write_shards(shards, ask, output, batch_size, form):
    """Writes the shards that do not exist; returns how many of their images have no answer."""
    problems = 0
    with tqdm(total=sum(map(len, shards)), desc="images", unit=" images", mininterval=1, disable=None) as progress:
        for number, shard in enumerate(shards):
            name = os.path.join(output, f"part-{number:05d}-of-{len(shards):05d}")
            if os.path.exists(f"{name}.{form}"):
                progress.update(len(shard))
            else:
                problems += _write_shard(name, form, answers(shard, ask, batch_size, THREADS, retries=0), progress)
    return problems


def _write_shard(name, form, entries, progress):
    """Writes a shard, which takes its name when it is whole; returns how many images have no answer."""
    shard, listed, problems = f"{name}.{form}", f"{name}.problems.csv", []
    try:
        with contextlib.closing(entries), records.WRITERS[form](files.unfinished(shard)) as write:
            for path, answer, problem in entries:
                progress.update()
                if problem:
                    problems.append((shown(path), shown(problem)))
                else:
                    write(records.record(path, answer))
        if problems:
            with open(listed, "w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([PROBLEM_COLUMNS, *problems])
        elif os.path.exists(listed):
            os.remove(listed)  # of an attempt that was stopped
        os.replace(files.unfinished(shard), shard)
    finally:
        with contextlib.suppress(OSError):
            os.remove(files.unfinished(shard))
    return len(problems)
