"""Reads a data set of anybody's own: a CSV of images and a CSV of class attributes. It decodes no image.

    images.csv      path,class,split[,xmin,ymin,xmax,ymax]    one row an image, or an object in an image
    attributes.csv  class,<one column an attribute>           one row a class

`split` is trainval, test_seen or test_unseen. Paths are relative to the data folder. A box is in pixels; a row
may leave its four cells empty, which means the whole image. Classes of attributes.csv that have no image are
unseen candidates. Both files are UTF-8; the order of attributes.csv is the order of the classes.
"""

import collections
import csv
import difflib
import hashlib
import math
import os
from typing import NamedTuple

import numpy as np

from bgsnet_tf.data.benchmark import Benchmark
from bgsnet_tf.data.paths import find_images, path_parts, raise_problem
from bgsnet_tf.errors import UserError

SPLITS = ("trainval", "test_seen", "test_unseen")
ROW_COLUMNS = ("path", "class", "split")
BOX_COLUMNS = ("xmin", "ymin", "xmax", "ymax")
WHOLE_IMAGE = (math.nan,) * 4
VALIDATION_SHARE = 0.25  # Assumption: near the share of validation classes in the four benchmarks.


class Row(NamedTuple):
    line: int
    path: str
    class_name: str
    split: str
    box: tuple


def load(data_dir, images_csv="images.csv", attributes_csv="attributes.csv", use_boxes=True, report=raise_problem):
    """Reads the two CSV files of `data_dir` and finds the images.

    Args:
      data_dir: folder of the images and, unless their names are absolute, of the CSV files.
      images_csv: file of the rows.
      attributes_csv: file of the classes.
      use_boxes: False takes whole images.
      report: called with one line for each problem; where it returns, the bad row is left out, a bad attribute
        is 0, and "" is the path of an image that was not found.

    Returns:
      A `Benchmark` named like the folder. Its validation classes are a quarter of the seen classes, at least two
      (one could not be confused with another) and with at least two left, chosen by a hash of their names and so the same in every run.

    Raises:
      UserError: a file or column is missing or no row is good; with the default `report`, every problem.
    """
    attributes_csv, images_csv = os.path.join(data_dir, attributes_csv), os.path.join(data_dir, images_csv)
    attribute_names, attributes = read_attributes(attributes_csv, report)
    rows = _read_rows(images_csv, report)
    rows = _keep(rows, _class_problems(rows, attributes, attributes_csv), images_csv, report)
    has_boxes = any(row.box is not WHOLE_IMAGE for row in rows)
    if not rows:
        raise UserError(f"{images_csv}: no row is left to use; mend the rows above")
    paths = find_images([row.path for row in rows], data_dir, report, exact=True)
    class_index = {name: c for c, name in enumerate(attributes)}
    labels = np.array([class_index[row.class_name] for row in rows], dtype=np.int32)
    train, test_seen, test_unseen = (np.flatnonzero([row.split == split for row in rows]) for split in SPLITS)
    return Benchmark(
        name=os.path.basename(os.path.abspath(data_dir)),
        class_names=tuple(attributes),
        attribute_names=attribute_names,
        attributes=np.array(list(attributes.values()), dtype=np.float32),
        labels=labels,
        train=train,
        test_seen=test_seen,
        test_unseen=test_unseen,
        validation_classes=_validation_classes(tuple(attributes), np.unique(labels[train])),
        paths=paths,
        boxes=np.array([row.box for row in rows], dtype=np.float32) if use_boxes and has_boxes else None,
    )


def read_attributes(file, report):
    """Attribute names, and a dict from each class, in order, to its list of A values.

    Raises:
      UserError: the file is not readable, or has no column of classes or none of attributes; whatever `report` raises.
    """
    header, lines = _read_csv(file, ("class",), report)
    names = tuple(column for column in header if column != "class")
    if not names:
        raise UserError(f"{file}: no attribute column; give one column an attribute beside 'class'")
    attributes, first_line = {}, {}
    for line, cells in lines:
        name = cells.pop("class")
        values = [_number(cell) for cell in cells.values()]
        bad = [a for a, value in enumerate(values) if not math.isfinite(value)]
        if bad:
            report(f"{file}, line {line}: attribute {names[bad[0]]!r} of class {name!r} is {cells[names[bad[0]]]!r}; give a finite number")
        if not name:
            report(f"{file}, line {line}: the class has no name")
        elif name in attributes:
            report(f"{file}, line {line}: class {name!r} is already on line {first_line[name]}; keep one of them")
        else:
            attributes[name] = [0.0 if a in bad else value for a, value in enumerate(values)]
            first_line[name] = line
    return names, attributes


def _read_rows(file, report):
    """The rows that can be understood by themselves."""
    header, lines = _read_csv(file, ROW_COLUMNS, report)
    has_boxes = any(column in header for column in BOX_COLUMNS)
    _require_columns(file, header, BOX_COLUMNS if has_boxes else ())
    unknown = [column for column in header if column not in ROW_COLUMNS + BOX_COLUMNS]
    if unknown:
        raise UserError(f"{file}: unknown column {unknown[0]!r}; the columns are {', '.join(ROW_COLUMNS + BOX_COLUMNS)}")
    rows = [Row(line, *(cells[c] for c in ROW_COLUMNS), _box(cells) if has_boxes else WHOLE_IMAGE) for line, cells in lines]
    return _keep(rows, _row_problems(rows), file, report)


def _row_problems(rows):
    """Yields ([row], problem) for what rows show without the classes' file."""
    first = {}
    for row in rows:
        key = (path_parts(row.path), row.box)
        if not row.path:
            yield [row], "the path is empty"
        elif row.split not in SPLITS:
            yield [row], f"unknown split {row.split!r}; it is one of {', '.join(SPLITS)}"
        elif row.box is None:
            yield [row], "the box is not four finite numbers; give xmin, ymin, xmax and ymax, or leave all four empty"
        elif row.box is not WHOLE_IMAGE and not (0 <= row.box[0] < row.box[2] and 0 <= row.box[1] < row.box[3]):
            yield [row], f"the box {' '.join(map(str, row.box))} is empty or inverted; it needs 0 <= xmin < xmax and 0 <= ymin < ymax"
        elif key in first:
            yield [row], f"the same path and box as on line {first[key]}; remove one of them"
        else:
            first[key] = row.line


def _class_problems(rows, attributes, attributes_csv):
    """Yields (rows, problem) for each class without attributes, and for each that is both seen and unseen."""
    by_class = collections.defaultdict(list)
    for row in rows:
        by_class[row.class_name].append(row)
    for name, of_class in by_class.items():
        seen = [row for row in of_class if row.split != "test_unseen"]
        unseen = [row for row in of_class if row.split == "test_unseen"]
        if name not in attributes:
            closest = difflib.get_close_matches(name, attributes, n=1)
            yield of_class, f"class {name!r} is not in {attributes_csv}; {f'is it {closest[0]!r}?' if closest else 'give it a row there'}"
        elif seen and unseen:
            yield unseen, f"class {name!r} is test_unseen here and {seen[0].split} on line {seen[0].line}; it is either seen or unseen"


def _keep(rows, problems, file, report):
    """The rows without a problem, after all problems were reported."""
    bad_lines = set()
    for bad_rows, problem in problems:
        more = f" ({len(bad_rows)} such rows)" if len(bad_rows) > 1 else ""
        report(f"{file}, line {bad_rows[0].line}: {problem}{more}")
        bad_lines.update(row.line for row in bad_rows)
    return [row for row in rows if row.line not in bad_lines]


def _read_csv(file, required, report):
    """The header, and (line number, dict of stripped cells) of each row that has as many cells as the header."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read as UTF-8 CSV: {error}") from error
    if len(lines) < 2:
        raise UserError(f"{file}: {'there is no row under the header' if lines else 'the file is empty'}")
    header = lines.pop(0)[1]
    twice = [column for i, column in enumerate(header) if column in header[:i]]
    if twice:
        raise UserError(f"{file}, line 1: column {twice[0]!r} comes twice")
    _require_columns(file, header, required)
    rows = []
    for line, cells in lines:
        if len(cells) == len(header):
            rows.append((line, dict(zip(header, cells))))
        else:
            report(f"{file}, line {line}: {len(cells)} cells under {len(header)} columns")
    return header, rows


def _require_columns(file, header, columns):
    missing = [column for column in columns if column not in header]
    if missing:
        raise UserError(f"{file}, line 1: no column {missing[0]!r}; the columns there are {', '.join(header[:8])}")


def _box(cells):
    """Four floats, `WHOLE_IMAGE` for four empty cells, None for anything else."""
    edges = [cells[column] for column in BOX_COLUMNS]
    if not any(edges):
        return WHOLE_IMAGE
    box = tuple(_number(edge) for edge in edges)
    return box if all(math.isfinite(edge) for edge in box) else None


def _number(cell):
    """The cell as a float32 would hold it: NaN where it is no number, infinite where it is too large."""
    try:
        with np.errstate(over="ignore"):
            return float(np.float32(cell))
    except ValueError:
        return math.nan


def _validation_classes(class_names, seen):
    count = max(0, min(max(2, int(VALIDATION_SHARE * len(seen))), len(seen) - 2))
    by_hash = sorted(seen, key=lambda c: hashlib.sha256(class_names[c].encode()).hexdigest())
    return np.sort(by_hash[:count]).astype(np.int32)
