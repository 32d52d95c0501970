"""Sends a folder of images to TF Serving and writes what it answers.

    python -m bgsnet_tf.serving.client --server=http://127.0.0.1:8501 --images=photos --output=answers.csv
    python -m bgsnet_tf.serving.client --server=grpc://127.0.0.1:8500 --images='photos/*.jpg' --attributes=new_classes.csv --top_k=3

Without --attributes the classes are the exported ones, δ included; with it, those of the table (class, then one column
an attribute), which the model need not have heard of.
Letters: C' classes of the table, A attributes.
"""

import contextlib
import csv
import hashlib
import json
import math
import sys
import time

import numpy as np
from absl import flags
from tqdm import tqdm

from bgsnet_tf import cli, files
from bgsnet_tf.data.reading.paths import raise_problem
from bgsnet_tf.data.reading.tables import read_attributes
from bgsnet_tf.errors import UserError
from bgsnet_tf.exported.refusals import Refused
from bgsnet_tf.names import shown
from bgsnet_tf.serving.client.asking import answers, find_images, patiently
from bgsnet_tf.serving.client.failures import Garbled
from bgsnet_tf.serving.client.kept import continued
from bgsnet_tf.serving.client.transports import connect
from bgsnet_tf.serving.server_files import MODEL_NAME

MAX_NUMBERS = 1_000_000  # of class attributes in a request, where they are repeated for every image


def read_classes(file, attributes):
    """Class names and their values (C', A) of a table of classes.

    Raises:
      UserError: where the file is no such table, or the served model has another number of attributes.
    """
    columns, vectors = read_attributes(file, raise_problem)
    if len(columns) != attributes:
        raise UserError(
            f"--attributes={file} has {len(columns)} attributes a class, the served model {attributes}; give the same, in order"
        )
    return list(vectors), np.array(list(vectors.values()), np.float32)


def _asker(transport, attributes_file, retries):
    """(function from files to ranked (class, score) lists, most images that one request should hold)."""
    if not attributes_file:
        return transport.classify, None
    names, vectors = read_classes(attributes_file, patiently(transport.attributes, retries, time.sleep))

    def ask(files):
        ranked = []
        for scores in transport.zero_shot(files, vectors):
            ranked.append([(names[c], float(scores[c])) for c in np.argsort(-scores, kind="stable")])
        return ranked

    return ask, max(1, MAX_NUMBERS // vectors.size)


def _write(stream, entries, top_k, as_json, begin):
    """Writes the entries of `answers`, a line each, after a heading where they `begin` a table; returns how many have a problem."""
    problems = 0
    table = csv.writer(stream, lineterminator="\n")
    for path, ranked, problem in entries:
        problems += problem is not None
        path, problem = shown(path), problem and shown(problem)
        best = [(shown(name), round(score, 6)) for name, score in (ranked or [])[:top_k]]
        if as_json:
            answer = {"problem": problem} if problem else {"classes": [{"class": name, "score": score} for name, score in best]}
            stream.write(json.dumps({"image": path, **answer}, ensure_ascii=False) + "\n")
            continue
        if begin:
            table.writerow(["image", *(f"{what}_{k + 1}" for k in range(top_k) for what in ("class", "score")), "problem"])
            begin = False
        cells = [cell for pair in best for cell in pair]
        table.writerow([path, *cells, *[""] * (2 * top_k - len(cells)), problem or ""])
    return problems


def _problems(lines, as_json):
    """For each answer of the lines that were written before, whether it has a problem."""
    try:
        return ["problem" in json.loads(line) for line in lines] if as_json else [row[-1] != "" for row in csv.reader(lines[1:])]
    except (ValueError, LookupError, TypeError, csv.Error) as error:
        raise UserError("the answers of before are damaged; remove their file") from error


def main():
    values = flags.FLAGS
    if not values.images:
        raise UserError("--images is missing: name a folder of images, or a pattern such as 'photos/*.jpg'")
    paths = find_images(values.images)
    transport = connect(values.server, values.model, values.timeout)
    try:
        ask, most = _asker(transport, values.attributes, values.retries)
    except (Refused, Garbled) as failure:
        raise UserError(f"--server={values.server} --model={values.model}: {failure}") from failure
    batch_size, as_json = min(values.batch_size, most or values.batch_size), values.output.endswith(".jsonl")

    def write(stream, lines):
        problems = _problems(lines, as_json)
        entries = answers(paths[len(problems) :], ask, batch_size, values.concurrency, values.retries, transport.close)
        with contextlib.closing(entries):
            counted = tqdm(entries, total=len(paths), initial=len(problems), desc="images", unit=" images", mininterval=1, disable=None)
            return sum(problems) + _write(stream, counted, values.top_k, as_json, begin=not lines)

    if values.output:
        command = {name: values[name].value for name in ("server", "model", "top_k")}
        command["images"] = hashlib.sha256(json.dumps(paths).encode()).hexdigest()
        command["attributes"] = files.checksum(values.attributes)
        with continued(values.output, command) as (stream, lines):
            problems = write(stream, lines)
    else:
        problems = write(sys.stdout, [])
    if problems:
        raise UserError(f"{problems} of {len(paths)} images have no answer; the column or key 'problem' says why")


if __name__ == "__main__":
    flags.DEFINE_string("server", "http://127.0.0.1:8501", "http://HOST:PORT for REST, grpc://HOST:PORT for gRPC.")
    flags.DEFINE_string("model", MODEL_NAME, "Name that the server serves the model as.")
    flags.DEFINE_string("images", "", "A JPEG or PNG file, a folder of such files, or a pattern.")
    flags.DEFINE_string("attributes", "", "CSV of the classes to choose from (class, then one column an attribute).")
    flags.DEFINE_string("output", "", "File for the answers: .jsonl for JSON lines, else CSV. Empty: CSV on standard output.")
    flags.DEFINE_integer("top_k", 1, "How many classes an image gets, best first.", 1, 1000)
    flags.DEFINE_integer("batch_size", 16, "Images a request.", 1, 1024)
    flags.DEFINE_integer("concurrency", 4, "Requests under way at a time.", 1, 256)
    flags.DEFINE_integer("retries", 6, "How often a request is sent again to an overloaded server, or after its connection broke.", 0)
    flags.DEFINE_float("timeout", 60.0, "Seconds that a request may take, from the connection to the last byte.", 0.001, 86_400.0)
    flags.register_validator("timeout", math.isfinite, "must be finite")
    cli.run(main)
