"""What `check` finds in the image files of a data set: damage, boxes outside, copies across the splits, images to be turned."""

import collections
import concurrent.futures
import functools
import hashlib
import os
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from bgsnet_tf.errors import UserError


class Findings(NamedTuple):
    """Lines that say what is wrong, and lines worth knowing."""

    problems: list
    notes: list


def check_images(benchmark, strict):
    """Decodes every image.

    Args:
      benchmark: whose `paths` name files, or are "".
      strict: boxes that stick out of their images, and copies of training images in a test split, are problems. In the
        published benchmarks, which nobody can mend, they are notes.

    Returns:
      `Findings`.
    """
    from bgsnet_tf.data import decoding  # loading TensorFlow takes seconds; here, since threads that import may wait for ever

    rows_of = collections.defaultdict(list)
    for row, path in enumerate(benchmark.paths.tolist()):
        rows_of[path].append(row)
    rows_of.pop("", None)
    problems, same_content, sticking_out, turned = [], collections.defaultdict(list), [], []
    open_image = functools.partial(_open_image, decoding, benchmark.upright)
    for path, (reason, size, digest, is_turned) in zip(rows_of, _in_parallel(open_image, list(rows_of))):
        if reason:
            problems.append(f"{path} {reason}; replace the file or take its rows out")
            continue
        same_content[digest].append(path)
        turned += [path] * is_turned
        for row in rows_of[path]:
            fault, is_outside = benchmark.box_fault(row, size)
            if fault:
                (problems if is_outside else sticking_out).append(f"row {row + 1}, {path}: {fault}")
    notes = []
    found = {"boxes stick out of their images and are cut off there": sticking_out}
    found["test images are copies of training images"] = list(_leaks(benchmark, rows_of, same_content))
    for what, lines in found.items():
        if strict:
            problems += lines
        elif lines:
            notes.append(f"{len(lines)} {what}, first: {lines[0]}")
    return Findings(problems, [*notes, *_notes(benchmark, rows_of, same_content, turned)])


def _leaks(benchmark, rows_of, same_content):
    """Yields each file of a test split that has the bytes of a file of the training split."""
    splits = _splits(benchmark)
    for paths in same_content.values():
        trained = [path for path in paths if "trainval" in splits[rows_of[path]]] if len(paths) > 1 else []
        for path in paths if trained else ():
            tests = {*splits[rows_of[path]]} - {"trainval", ""}
            if tests and path != trained[0]:
                yield f"{path} ({min(tests)}) is a copy of {trained[0]} (trainval): a test of what was trained on; remove one of them"


def _notes(benchmark, rows_of, same_content, turned):
    twins = [paths for paths in same_content.values() if len(paths) > 1]
    if twins:
        yield f"{sum(map(len, twins))} images have the bytes of another one, first {twins[0][0]} and {twins[0][1]}"
    splits = _splits(benchmark)
    shared = [path for path, rows in rows_of.items() if len(rows) > 1 and "trainval" in splits[rows] and {*splits[rows]} - {"trainval", ""}]
    if shared:
        yield f"{len(shared)} images have boxes both in trainval and in a test split, first {shared[0]}; what surrounds them is trained on"
    if turned:
        how = "they are" if benchmark.upright else "they are not, in training and in the export alike, without --exif_rotation"
        yield f"{len(turned)} images are to be turned by their EXIF metadata, first {turned[0]}; {how}"


def _splits(benchmark):
    """(R,) name of each row's split, "" for none."""
    splits = np.full(len(benchmark.labels), "", dtype="U11")
    for name, rows in (("trainval", benchmark.train), ("test_seen", benchmark.test_seen), ("test_unseen", benchmark.test_unseen)):
        splits[rows] = name
    return splits


def _open_image(decoding, upright, path):
    """(what is wrong or None, (width, height), digest of the bytes, whether EXIF says to turn it)."""
    try:
        pixels, contents = decoding.read(path, upright)
    except UserError as error:
        return str(error), None, None, False
    height, width, _ = pixels.shape
    return None, (width, height), hashlib.sha256(contents).digest(), decoding.is_turned(contents)


def _in_parallel(function, items):
    """Yields function(item) in order, behind a progress bar; stops at once when interrupted."""
    pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
    try:
        yield from tqdm(pool.map(function, items), total=len(items), unit="image", disable=None)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
