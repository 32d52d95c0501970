"""Predicts the classes of photos with an export; no server is needed.

    python -m bgsnet_tf.predict --export_dir=runs/demo/export/1 --images=photos --output=predictions.csv
    python -m bgsnet_tf.predict --export_dir=runs/demo/export/1 --images='photos/*.jpg' --attributes=new_classes.csv --top_k=3

It writes a line for each of the best classes of every photo: image, rank (from 1), class, score. Without --attributes the classes
are the exported ones, δ included unless --delta gives another; with it, those of the table (class, then one column an attribute).
"""

import contextlib
import csv
import functools
import sys

from absl import flags
from tqdm import tqdm

from bgsnet_tf import cli, files
from bgsnet_tf.errors import UserError
from bgsnet_tf.serving.client.asking import answers, find_images

THREADS = 2  # one batch is read while another is computed


def main():
    values = flags.FLAGS
    cli.require("export_dir", "images")
    paths = find_images(values.images)
    from bgsnet_tf.exported.model import RANKING, ExportedModel  # after the flags are read: loading TensorFlow takes seconds

    model = ExportedModel(values.export_dir)
    choice = model.choice(values.attributes or None, values.delta if flags.FLAGS["delta"].present else None)
    entries = answers(paths, functools.partial(model.ask, choice=choice), values.batch_size, THREADS, retries=0)
    problems = 0
    with _output(values.output) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(RANKING)
        for path, answer, problem in tqdm(entries, total=len(paths), desc="images", unit=" images", mininterval=1, disable=None):
            if problem:
                problems += 1
                tqdm.write(f"{path}: {problem}", file=sys.stderr)
            else:
                table.writerows((*row, f"{score:.6f}") for *row, score in model.ranking(path, answer, values.top_k, choice))
    if problems:
        raise UserError(f"{problems} of {len(paths)} images have no prediction, for the reasons above; the others do")


@contextlib.contextmanager
def _output(path):
    """Yields the stream of an output file, which takes its name when the body ends; standard output where there is no path."""
    if not path:
        yield sys.stdout
        return
    try:
        with files.replacing(path) as part, open(part, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            yield file
    except OSError as error:
        raise UserError(f"--output={path} cannot be written: {error.strerror}") from error


def command():
    """Defines the flags of this command and runs it."""
    flags.DEFINE_string("export_dir", "", "Version folder of an export.")
    flags.DEFINE_string("images", "", "Folder of JPEG and PNG files, or a pattern.")
    flags.DEFINE_string(
        "attributes", "", "CSV of the classes to choose from (class, then one column an attribute). Empty: the exported ones."
    )
    flags.DEFINE_string("output", "", "CSV file. Empty: standard output.")
    flags.DEFINE_integer("top_k", 1, "How many classes an image gets, best first.", 1)
    flags.DEFINE_integer("batch_size", 32, "Images computed at a time.", 1, 4096)
    cli.run(main)


if __name__ == "__main__":
    command()
