"""Sends a folder of images to TF Serving and writes what it answers.

    python -m bgsnet_tf.serving.client --server=http://127.0.0.1:8501 --images=photos --output=answers.csv
    python -m bgsnet_tf.serving.client --server=grpc://127.0.0.1:8500 --images='photos/*.jpg' --attributes=new_classes.csv --top_k=3

Without --attributes the classes are the exported ones, δ included; with it, those of the table (class, then one column
an attribute), which the model need not have heard of.
Letters: C' classes of the table, A attributes.
"""

import concurrent.futures
import contextlib
import csv
import glob
import itertools
import json
import os
import random
import sys
import threading
import time

import numpy as np
from absl import flags
from tqdm import tqdm

from bgsnet_tf import cli
from bgsnet_tf.data.paths import raise_problem
from bgsnet_tf.data.tables import read_attributes
from bgsnet_tf.errors import UserError
from bgsnet_tf.exported.refusals import Refused, answer_apart
from bgsnet_tf.serving.server_files import MODEL_NAME
from bgsnet_tf.serving.transports import Overloaded, connect

EXTENSIONS = (".jpg", ".jpeg", ".png")
MAX_NUMBERS = 1_000_000  # of class attributes in a request, where they are repeated for every image
FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0  # seconds before an overloaded server is asked again


def find_images(pattern):
    """Sorted image files: all below a folder, or those that a pattern names.

    Raises:
      UserError: where there are none.
    """
    if os.path.isdir(pattern):
        paths = glob.glob(os.path.join(glob.escape(pattern), "**"), recursive=True)
        paths = [path for path in paths if path.lower().endswith(EXTENSIONS)]
    else:
        paths = glob.glob(pattern, recursive=True)
    paths = sorted(path for path in paths if os.path.isfile(path))
    if not paths:
        raise UserError(f"--images={pattern} names no image; give a folder, or a pattern such as 'photos/*.jpg'")
    return paths


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


def answers(paths, ask, batch_size, concurrency, retries):
    """Yields (path, answer, problem) of all images in order; one of the two is None.

    A batch that is refused is asked again in parts, so that a bad image costs only itself, and while nothing else is under
    way: a server that joins requests refuses all of them for one's bad image.

    Args:
      paths: image files.
      ask: function from a list of files' bytes to a list of answers.
      batch_size: images of a request.
      concurrency: requests under way at a time.
      retries: how often a request is sent again to an overloaded server.
    """
    slots, one_at_a_time = threading.Semaphore(concurrency), threading.Lock()

    def patient(files):
        return _patiently(lambda: ask(files), retries)

    def answer(batch):
        read, answered = {}, {}
        for path in batch:
            try:
                with open(path, "rb") as file:
                    read[path] = file.read()
            except OSError as error:
                answered[path] = None, f"cannot be read: {error.strerror}"
        if read:
            answered.update(zip(read, answer_read(list(read.values()))))
        return [(path, *answered[path]) for path in batch]

    def answer_read(files):
        try:
            with slots:
                return [(found, None) for found in patient(files)]
        except Refused:
            with one_at_a_time, contextlib.ExitStack() as held:
                for _ in range(concurrency):
                    held.enter_context(slots)
                return answer_apart(files, patient)

    batches = [paths[i : i + batch_size] for i in range(0, len(paths), batch_size)]
    pool = concurrent.futures.ThreadPoolExecutor(concurrency)
    try:
        for batch in pool.map(answer, batches):
            yield from batch
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _patiently(request, retries):
    """The answer of `request`, sent again while the server is overloaded, after waits that double, at random lengths."""
    for attempt in itertools.count():
        try:
            return request()
        except Overloaded as overload:
            if attempt == retries:
                raise UserError(f"the server is still overloaded after {retries} retries ({overload}); lower --concurrency") from overload
            time.sleep(min(FIRST_WAIT * 2**attempt, LONGEST_WAIT) * random.uniform(0.5, 1))


def _asker(transport, attributes_file, retries):
    """(function from files to ranked (class, score) lists, most images that one request should hold)."""
    if not attributes_file:
        return transport.classify, None
    names, vectors = read_classes(attributes_file, _patiently(transport.attributes, retries))

    def ask(files):
        ranked = []
        for scores in transport.zero_shot(files, vectors):
            ranked.append([(names[c], float(scores[c])) for c in np.argsort(-scores, kind="stable")])
        return ranked

    return ask, max(1, MAX_NUMBERS // vectors.size)


def _write(stream, entries, top_k, as_json):
    """Writes the entries of `answers`; returns how many have a problem."""
    problems = 0
    table = csv.writer(stream, lineterminator="\n")
    if not as_json:
        table.writerow(["image", *(f"{what}_{k + 1}" for k in range(top_k) for what in ("class", "score")), "problem"])
    for path, ranked, problem in entries:
        problems += problem is not None
        best = [(name, round(score, 6)) for name, score in (ranked or [])[:top_k]]
        if as_json:
            answer = {"problem": problem} if problem else {"classes": [{"class": name, "score": score} for name, score in best]}
            stream.write(json.dumps({"image": path, **answer}, ensure_ascii=False) + "\n")
        else:
            cells = [cell for pair in best for cell in pair]
            table.writerow([path, *cells, *[""] * (2 * top_k - len(cells)), problem or ""])
    return problems


def main():
    values = flags.FLAGS
    if not values.images:
        raise UserError("--images is missing: name a folder of images, or a pattern such as 'photos/*.jpg'")
    paths = find_images(values.images)
    transport = connect(values.server, values.model, values.timeout)
    try:
        ask, most = _asker(transport, values.attributes, values.retries)
    except Refused as refusal:
        raise UserError(f"--server={values.server} --model={values.model}: {refusal}") from refusal
    batch_size = min(values.batch_size, most or values.batch_size)
    entries = answers(paths, ask, batch_size, values.concurrency, values.retries)
    entries = tqdm(entries, total=len(paths), desc="images", unit=" images", mininterval=1, disable=None)
    as_json = values.output.endswith(".jsonl")
    if not values.output:
        problems = _write(sys.stdout, entries, values.top_k, as_json)
    else:
        part = f"{values.output}.part"
        try:
            with open(part, "w", encoding="utf-8", newline="") as stream:
                problems = _write(stream, entries, values.top_k, as_json)
            os.replace(part, values.output)
        except OSError as error:
            raise UserError(f"--output={values.output} cannot be written: {error.strerror}") from error
    if problems:
        raise UserError(f"{problems} of {len(paths)} images have no answer; the column or key 'problem' says why")


if __name__ == "__main__":
    flags.DEFINE_string("server", "http://127.0.0.1:8501", "http://HOST:PORT for REST, grpc://HOST:PORT for gRPC.")
    flags.DEFINE_string("model", MODEL_NAME, "Name that the server serves the model as.")
    flags.DEFINE_string("images", "", "Folder of JPEG and PNG files, or a pattern.")
    flags.DEFINE_string("attributes", "", "CSV of the classes to choose from (class, then one column an attribute).")
    flags.DEFINE_string("output", "", "File for the answers: .jsonl for JSON lines, else CSV. Empty: CSV on standard output.")
    flags.DEFINE_integer("top_k", 1, "How many classes an image gets, best first.", 1)
    flags.DEFINE_integer("batch_size", 16, "Images a request.", 1)
    flags.DEFINE_integer("concurrency", 4, "Requests under way at a time.", 1)
    flags.DEFINE_integer("retries", 6, "How often a request is sent again to an overloaded server.", 0)
    flags.DEFINE_float("timeout", 60.0, "Seconds that a request may take.", 0.001)
    cli.run(main)
