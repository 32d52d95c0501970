"""Reads a data set of anybody's own: a CSV of images and a CSV of class attributes. It decodes no image.

    images.csv      path,class,split[,xmin,ymin,xmax,ymax]    one row an image, or an object in an image
    attributes.csv  class,<one column an attribute>           one row a class

`split` is trainval, test_seen or test_unseen. Paths are relative to the data folder. A box is in pixels; a row
may leave its four cells empty, which means the whole image. Classes of attributes.csv that have no image are
unseen candidates. Both files are UTF-8; the order of attributes.csv is the order of the classes.
"""

import array
import csv
import difflib
import itertools
import math
import os
from typing import NamedTuple

import numpy as np

from bgsnet_tf.data.benchmark import Benchmark
from bgsnet_tf.data.reading.paths import find_images, plain, raise_problem
from bgsnet_tf.data.reading.xlsa17 import LARGEST_EDGE
from bgsnet_tf.errors import UserError
from bgsnet_tf.names import composed, fault, lot

SPLITS = ("trainval", "test_seen", "test_unseen")
ROW_COLUMNS = ("path", "class", "split")
BOX_COLUMNS = ("xmin", "ymin", "xmax", "ymax")
WHOLE_IMAGE = (math.nan,) * 4
LARGEST_FLOAT = float(np.finfo(np.float32).max)
VALIDATION_SHARE = 0.25  # Assumption: near the share of validation classes in the four benchmarks.
HINTS = 10  # classes without attributes that are compared with all others for the closest name


class _Rows(NamedTuple):
    """Rows of the images' table, a column each."""

    lines: np.ndarray  # int
    paths: np.ndarray  # of Python's strings, which take a quarter of the memory of NumPy's
    classes: np.ndarray
    splits: np.ndarray
    boxes: np.ndarray  # (R, 4) float32


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
    if not len(rows.lines):
        raise UserError(f"{images_csv}: no row is left to use; mend the rows above")
    class_index = {name: c for c, name in enumerate(attributes)}
    labels = np.array([class_index[name] for name in rows.classes], dtype=np.int32)
    train, test_seen, test_unseen = (np.flatnonzero(rows.splits == split) for split in SPLITS)
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
        paths=find_images(rows.paths, data_dir, report, exact=True),
        boxes=None if not use_boxes or np.all(np.isnan(rows.boxes)) else rows.boxes,
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
    strange = next(filter(fault, names), None)
    if strange is not None:
        raise UserError(f"{file}, line 1: the attribute name {strange!r} {fault(strange)}; rename the column")
    attributes, first_line = {}, {}
    for line, cells in lines:
        name = cells.pop(header.index("class"))
        values = list(map(_number, cells))
        bad = [a for a, value in enumerate(values) if math.isnan(value)]
        if bad:
            report(f"{file}, line {line}: attribute {names[bad[0]]!r} of class {name!r} is {cells[bad[0]]!r}; give a finite number")
        if not name:
            report(f"{file}, line {line}: the class has no name")
        elif fault(name):
            report(f"{file}, line {line}: the class name {name!r} {fault(name)}; rename it")
        elif name in attributes:
            report(f"{file}, line {line}: class {name!r} is already on line {first_line[name]}; keep one of them")
        else:
            attributes[name] = [0.0 if a in bad else value for a, value in enumerate(values)]
            first_line[name] = line
    return names, attributes


def _read_rows(file, report):
    """The `_Rows` that can be understood by themselves."""
    header, lines = _read_csv(file, ROW_COLUMNS, report)
    has_boxes = any(column in header for column in BOX_COLUMNS)
    _require_columns(file, header, BOX_COLUMNS if has_boxes else ())
    unknown = [column for column in header if column not in ROW_COLUMNS + BOX_COLUMNS]
    if unknown:
        raise UserError(f"{file}: unknown column {unknown[0]!r}; the columns are {', '.join(ROW_COLUMNS + BOX_COLUMNS)}")
    places = [header.index(column) for column in ROW_COLUMNS + BOX_COLUMNS * has_boxes]
    numbers, paths, classes, splits, boxes = array.array("q"), [], [], [], array.array("f")
    shared = {}  # one string for all cells that say the same
    for line, cells in lines:
        path, class_name, split, *edges = [cells[place] for place in places]
        box = _box(edges)
        problem = _row_problem(path, split, box)
        if problem:
            report(f"{file}, line {line}: {problem}")
            continue
        numbers.append(line)
        paths.append(path)
        classes.append(shared.setdefault(class_name, class_name))
        splits.append(shared.setdefault(split, split))
        boxes.extend(box)
    columns = (np.array(column, dtype=object) for column in (paths, classes, splits))
    rows = _Rows(np.array(numbers), *columns, np.array(boxes).reshape(-1, 4))
    return _keep(rows, _twins(rows), file, report)


def _row_problem(path, split, box):
    """What a row shows by itself; "" where nothing is wrong."""
    if not path:
        return "the path is empty"
    if fault(path):
        return f"the path {path!r} {fault(path)}; rename the file"
    if split not in SPLITS:
        return f"unknown split {split!r}; it is one of {', '.join(SPLITS)}"
    if box is None:
        return "the box is not four finite numbers; give xmin, ymin, xmax and ymax, or leave all four empty"
    if box is WHOLE_IMAGE:
        return ""
    if not (0 <= box[0] < box[2] and 0 <= box[1] < box[3]):
        return f"the box {' '.join(map(str, box))} is empty or inverted; it needs 0 <= xmin < xmax and 0 <= ymin < ymax"
    if max(box) > LARGEST_EDGE:
        return f"the box {' '.join(map(str, box))} is larger than any image; an edge is at most {LARGEST_EDGE}"
    return ""


def _twins(rows):
    """Yields ([row], problem) for each that has the path and box of an earlier one."""
    ids, boxes = _ids(map(plain, rows.paths)), np.nan_to_num(rows.boxes, nan=-1)
    order = np.lexsort((*boxes.T, ids))  # which leaves equal rows in their order
    same = np.all(np.diff(np.column_stack([ids, boxes])[order], axis=0) == 0, axis=1)
    for position in np.flatnonzero(same):
        yield order[position + 1 : position + 2], f"the same path and box as on line {rows.lines[order[position]]}; remove one of them"


def _class_problems(rows, attributes, attributes_csv):
    """Yields (rows, problem) for each class without attributes, and for each that is both seen and unseen."""
    ids, is_unseen = _ids(rows.classes), rows.splits == "test_unseen"
    ends, hints = np.cumsum(np.bincount(ids)), 0
    for of_class in np.split(np.argsort(ids, kind="stable"), ends[:-1]) if len(ids) else ():
        name, unseen, seen = rows.classes[of_class[0]], of_class[is_unseen[of_class]], of_class[~is_unseen[of_class]]
        if name not in attributes:
            hints += 1
            closest = difflib.get_close_matches(name, attributes, n=1) if hints <= HINTS else ()
            yield of_class, f"class {name!r} is not in {attributes_csv}; {f'is it {closest[0]!r}?' if closest else 'give it a row there'}"
        elif len(seen) and len(unseen):
            other = f"{rows.splits[seen[0]]} on line {rows.lines[seen[0]]}"
            yield unseen, f"class {name!r} is test_unseen here and {other}; it is either seen or unseen"


def _ids(names):
    """(R,) int: equal numbers for equal names, in the order in which they first come."""
    number = {}
    return np.array([number.setdefault(name, len(number)) for name in names], dtype=np.int64)


def _keep(rows, problems, file, report):
    """The rows without a problem, after all problems were reported."""
    kept = np.ones(len(rows.lines), dtype=bool)
    for bad_rows, problem in problems:
        more = f" ({len(bad_rows)} such rows)" if len(bad_rows) > 1 else ""
        report(f"{file}, line {rows.lines[bad_rows[0]]}: {problem}{more}")
        kept[bad_rows] = False
    return _Rows._make(column[kept] for column in rows)


def _read_csv(file, required, report):
    """The header, and an iterator over (line number, stripped cells) of the rows that have as many cells as the header."""
    lines = _lines(file)
    _, header = next(lines, (0, None))
    if not header:
        raise UserError(f"{file}: the file is empty")
    twice = [column for i, column in enumerate(header) if column in header[:i]]
    if twice:
        raise UserError(f"{file}, line 1: column {twice[0]!r} comes twice")
    _require_columns(file, header, required)
    first = next(lines, None)
    if first is None:
        raise UserError(f"{file}: there is no row under the header")

    def rows():
        for line, cells in itertools.chain([first], lines):
            if len(cells) == len(header):
                yield line, cells
            else:
                report(f"{file}, line {line}: {len(cells)} cells under {len(header)} columns")

    return header, rows()


def _lines(file):
    """Yields (line number, stripped cells) of each line that is not empty."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            for cells in filter(None, reader):
                yield reader.line_num, [composed(cell.strip()) for cell in cells]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read as UTF-8 CSV: {error}") from error


def _require_columns(file, header, columns):
    missing = [column for column in columns if column not in header]
    if missing:
        raise UserError(f"{file}, line 1: no column {missing[0]!r}; the columns there are {', '.join(header[:8])}")


def _box(edges):
    """Four numbers as float32 rounds them, `WHOLE_IMAGE` for no or only empty cells, None for anything else."""
    if not any(edges):
        return WHOLE_IMAGE
    box = tuple(array.array("f", map(_number, edges)))
    return None if any(map(math.isnan, box)) else box


def _number(cell):
    """The cell as a float, NaN where no float32 holds it."""
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    return value if abs(value) <= LARGEST_FLOAT else math.nan


def _validation_classes(class_names, seen):
    count = max(0, min(max(2, int(VALIDATION_SHARE * len(seen))), len(seen) - 2))
    return np.sort(sorted(seen, key=lambda c: lot(class_names[c]))[:count]).astype(np.int32)
