"""Finds the mistakes in a data set before a day of training does; it changes nothing.

    python -m bgsnet_tf.data.check --flagfile=configs/cub.flags [--quick] [--json=report.json]

The rules are the readers' own: here they report every problem, in training they end at the first. What only this check
knows: the published counts, which copy of the Proposed Splits it is, and whether every image decodes and holds its boxes.
"""

import dataclasses
import hashlib
import json
import os

import numpy as np
from absl import flags

from bgsnet_tf import cli, config, files
from bgsnet_tf.data.check_images import check_images
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.data.reading import xlsa17
from bgsnet_tf.errors import UserError
from bgsnet_tf.names import shown

COUNTS = ("images", "seen classes", "unseen classes", "attributes", "trainval", "test_seen", "test_unseen")
PUBLISHED = {  # Xian et al., TPAMI 2019.
    "sun": (14340, 645, 72, 102, 10320, 2580, 1440),
    "cub": (11788, 150, 50, 312, 7057, 1764, 2967),
    "awa2": (37322, 40, 10, 85, 23527, 5882, 7913),
    "apy": (15339, 20, 12, 64, 5932, 1483, 7924),
}
# Digests of trainval_loc, test_seen_loc and test_unseen_loc. They are the same in every public copy that was compared: of AwA2 saved
# in 2017, 2018, 2019 and 2022, of SUN in 2018 and 2019, of CUB in 2019 and 2020, of aPY in 2019 and 2021.
KNOWN_SPLITS = {"sun": "1a6e0530d8cb4814", "cub": "9f58936bf2998e15", "awa2": "e0d711e619362d23", "apy": "071157396fcb1cb8"}
PARALLEL_PHI = 0.99  # mean cosine of two classes' attributes above which they hardly tell classes apart
LISTED_IN_TEXT = 20


@dataclasses.dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
      dataset: its name.
      counts: dict of the numbers in `COUNTS`; empty where the data set could not be read.
      notes: lines worth knowing that keep nobody from training.
      problems: lines that say what is wrong, where, and how to mend it.
    """

    dataset: str
    counts: dict
    notes: tuple
    problems: tuple

    @property
    def ready(self):
        return not self.problems

    def text(self):
        """The report for people; it ends with "ready" or the numbered problems."""
        lines = [self.dataset, *(f"  {name:15}{count:7}" for name, count in self.counts.items())]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"{i}. {problem}" for i, problem in enumerate(self.problems[:LISTED_IN_TEXT], start=1)]
        if len(self.problems) > LISTED_IN_TEXT:
            lines.append(f"... and {len(self.problems) - LISTED_IN_TEXT} more; --json lists them all")
        return "\n".join(lines + ["ready"] * self.ready)

    def json(self):
        """The report for machines."""
        return json.dumps({**dataclasses.asdict(self), "ready": self.ready}, indent=2)


def check(data, quick=False):
    """Reads all that training would read.

    Args:
      data: a `config.DataConfig`; its `split` does not matter.
      quick: images need to exist, but are not opened.

    Returns:
      A `Report`; it raises nothing for what is wrong with the data.
    """
    problems, notes, counts = [], [], {}
    try:
        benchmark = load_benchmark(dataclasses.replace(data, split="final"), problems.append)
        counts = _counts(benchmark)
        problems += _twin_classes(benchmark)
        notes += _notes(benchmark)
        if data.dataset in PUBLISHED:
            problems += _twin_rows(benchmark)
            problems += _count_problems(counts, PUBLISHED[data.dataset])
            notes += _split_notes(data.dataset, xlsa17.find_split_dir(data.dataset, data.data_dir, data.split_dir))
        if benchmark.paths is not None and not quick:
            of_images = check_images(benchmark, strict=data.dataset == "csv")
            problems += of_images.problems
            notes += of_images.notes
    except UserError as error:
        problems.append(str(error))
        notes.append("what follows the last problem is checked once that one is mended")
    return Report(data.dataset, counts, tuple(map(shown, notes)), tuple(map(shown, problems)))


def _counts(benchmark):
    sizes = [benchmark.labels, benchmark.seen_classes, benchmark.unseen_classes, benchmark.attribute_names]
    return dict(zip(COUNTS, map(len, [*sizes, benchmark.train, benchmark.test_seen, benchmark.test_unseen])))


def _count_problems(counts, published):
    for (name, count), expected in zip(counts.items(), published):
        if count != expected:
            yield f"{name}: {count}, but {expected} are published; download the Proposed Splits (xlsa17) again"


def _twin_rows(benchmark):
    """Yields the rows of the published files that say the same; tables' reader refuses them."""
    if benchmark.paths is not None:
        boxes = np.zeros((len(benchmark.labels), 4)) if benchmark.boxes is None else np.nan_to_num(benchmark.boxes, nan=-1)
        first = {}  # Rows without a box may repeat an image: they are aPY's objects too small to crop.
        for row, key in enumerate(zip(benchmark.paths, map(tuple, boxes))):
            if key[0] and -1 not in key[1] and first.setdefault(key, row) != row:
                yield f"rows {first[key] + 1} and {row + 1} are the same: {key[0]}; remove one of them"


def _twin_classes(benchmark):
    first = {}
    for c, vector in enumerate(map(tuple, benchmark.phi)):
        if first.setdefault(vector, c) != c:
            twin, name = benchmark.class_names[first[vector]], benchmark.class_names[c]
            yield f"classes {twin!r} and {name!r} have the same attributes, up to scale, and cannot be told apart; change one of them"


def _notes(benchmark):
    yield from attribute_warnings(benchmark)
    if benchmark.calibration_fault():
        yield f"--calibrate cannot choose δ here: {benchmark.calibration_fault()}"
    empty = np.setdiff1d(benchmark.unseen_classes, benchmark.labels)
    if len(empty):
        yield f"{len(empty)} classes have no image, first '{benchmark.class_names[empty[0]]}'; they are unseen candidates"
    unused = len(benchmark.labels) - len(benchmark.train) - len(benchmark.test_seen) - len(benchmark.test_unseen)
    if unused:
        yield f"{unused} rows are in no split and are not used"


def attribute_warnings(benchmark):
    """Yields where attributes are the same in all seen classes, and where all classes point the same way, since one is far larger."""
    constant = np.flatnonzero(np.ptp(benchmark.attributes[benchmark.seen_classes], axis=0) == 0)
    if len(constant):
        first = benchmark.attribute_names[constant[0]]
        yield f"{len(constant)} attributes have one value in all seen classes and teach nothing, first '{first}'"
    phi = benchmark.phi.astype(np.float64)
    cosine = np.sum(np.square(phi.mean(axis=0)))  # the mean over all pairs of classes
    if len(phi) > 1 and phi.shape[1] > 1 and cosine > PARALLEL_PHI:
        sizes = np.abs(benchmark.attributes).mean(axis=0)
        largest = np.argmax(sizes)
        yield (
            f"the attributes of all classes point almost the same way (mean cosine {cosine:.4f}): scores will hardly tell classes apart. "
            f"{benchmark.attribute_names[largest]!r} is {sizes[largest]:.4g} on average, the median attribute {np.median(sizes):.4g}; "
            "bring the columns to one scale, as make_tables --scale_attributes does"
        )


def _split_notes(name, split_dir):
    """Yields which copy of the Proposed Splits it is, and what to know of its unused fields."""
    file = os.path.join(split_dir, "att_splits.mat")
    fields = xlsa17.read_mat(file, xlsa17.SPLIT_KEYS, ("original_att", "train_loc", "val_loc"))
    fields = {key: xlsa17.numbers(field, f"{file}: {key}") for key, field in fields.items()}
    with np.errstate(invalid="ignore"):  # Entries that are no row numbers were reported by the reader.
        rows = [np.sort(fields[key].ravel()).astype("<i4") for key in xlsa17.SPLIT_KEYS]
    if hashlib.sha256(b"".join(split.tobytes() for split in rows)).hexdigest().startswith(KNOWN_SPLITS[name]):
        yield "Proposed Split: the rows of every public copy that was compared, saved from 2017 to 2022"
    else:
        yield "Proposed Split: an unknown version, whose rows are not those of the copies saved from 2017 to 2022; results do not compare"
    for key in ("train_loc", "val_loc"):
        leaked = np.intersect1d(fields.get(key, []), rows[1])
        if key not in fields:
            yield f"{key} is not in att_splits.mat, as in the copies of September 2019; it is not needed"
        elif len(leaked):
            yield f"{key} leaks {len(leaked)} rows of test_seen_loc, as in the copies of 2017 and 2018; it is never read for training"
    missing = np.argwhere(fields["original_att"] < 0) if "original_att" in fields else []
    if len(missing):
        a, c, *_ = missing[0] + 1
        yield f"original_att marks {len(missing)} values as missing (negative), first attribute {a} of class {c}; att keeps them"


def main():
    flags.FLAGS.run_dir = flags.FLAGS.run_dir or "."  # which nothing is written to
    data = config.from_flags().data
    report = check(data, flags.FLAGS.quick)
    print(report.text())
    if flags.FLAGS.json:
        files.write(flags.FLAGS.json, report.json() + "\n")
    if not report.ready:
        raise UserError(f"{data.dataset} is not ready: {len(report.problems)} problems, listed above")


def command():
    """Defines the flags of this command and runs it."""
    flags.DEFINE_bool("quick", False, "Images need to exist, but are not opened.")
    flags.DEFINE_string("json", "", "File to write the report to, for machines.")
    cli.run(main)


if __name__ == "__main__":
    command()
