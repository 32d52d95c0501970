"""Reads the Proposed Splits of SUN, CUB, aPY and AwA2 ("xlsa17", Xian et al., TPAMI 2019). It decodes no image.

A split folder holds att_splits.mat (class attributes, splits), res101.mat (image names, labels) and the class lists
trainclasses1.txt, valclasses1.txt (and 2, 3), trainvalclasses.txt and testclasses.txt. The `train_loc` and `val_loc`
of att_splits.mat are never used: many copies leak test images into them, others lack them.
"""

import itertools
import os
import re

import numpy as np

from bgsnet_tf.data.benchmark import Benchmark
from bgsnet_tf.data.reading import mat_files
from bgsnet_tf.data.reading.paths import find_images, path_parts, raise_problem
from bgsnet_tf.errors import UserError
from bgsnet_tf.names import composed, fault

NAMES = ("sun", "cub", "apy", "awa2")
SPLIT_KEYS = ("trainval_loc", "test_seen_loc", "test_unseen_loc")
BOX_FILES = ("apascal_train.txt", "apascal_test.txt", "ayahoo_test.txt")  # aPY's rows are theirs, in this order.
AGAIN = "download the files again"
LARGEST_EDGE = 2**24  # pixels: larger than any image, and the last number up to which a float32 holds every whole one
MIN_BOX_SIDE = 10  # Pixels: the field takes the whole image where an aPY box is smaller.


def load(name, data_dir, split_dir=None, split_index=1, use_features=False, report=raise_problem):
    """Reads a benchmark's split folder and finds its images, or takes the features in their place.

    Args:
      name: one of `NAMES`.
      data_dir: folder of the images, in any layout that `paths.find_images` knows.
      split_dir: the split folder; by default the first of data_dir and data_dir/xlsa17/data/<NAME> with an att_splits.mat.
      split_index: 1, 2 or 3: which of the published validation splits.
      use_features: take the `features` of res101.mat, of any width, and look for no image.
      report: called with one line for each problem; where it returns, the bad rows are left out of the splits,
        and "" is the path of an image that was not found.

    Returns:
      A `Benchmark` with the classes in the order of `allclasses_names`. Only aPY has boxes, since its rows are objects.

    Raises:
      UserError: a file or field is missing or has another form; with the default `report`, every problem.
    """
    split_dir = find_split_dir(name, data_dir, split_dir)
    splits_file, images_file = os.path.join(split_dir, "att_splits.mat"), os.path.join(split_dir, "res101.mat")
    fields = {**read_mat(splits_file, ("att", "allclasses_names", *SPLIT_KEYS)), **read_mat(images_file, ("image_files", "labels"))}
    class_names = tuple(_strings(fields["allclasses_names"], f"{splits_file}: allclasses_names"))
    image_files = _strings(fields["image_files"], f"{images_file}: image_files")
    attributes = _attributes(fields["att"], class_names, splits_file, report)
    labels = _labels(fields["labels"], len(image_files), len(class_names), images_file)
    rows = {key: _rows(fields[key], len(labels), f"{splits_file}: {key}", report) for key in SPLIT_KEYS}
    lists = {stem: _class_list(split_dir, stem) for stem in _class_list_stems(split_index)}
    classes_of = {key: {class_names[c] for c in labels[rows[key]]} for key in SPLIT_KEYS}
    for problem in itertools.chain(_folder_problems(image_files, labels, class_names), _list_problems(lists, classes_of, class_names)):
        report(f"{split_dir}: {problem}; take all files of the folder from one download")
    features = _features(images_file, len(labels)) if use_features else None
    by_object = name == "apy" and not use_features
    boxes = _boxes(image_files, [class_names[c] for c in labels], split_dir, data_dir, report) if by_object else None
    validation = [c for c, class_name in enumerate(class_names) if class_name in lists[f"valclasses{split_index}"]]
    return Benchmark(
        name=name,
        class_names=class_names,
        attribute_names=tuple(f"attribute_{a + 1:03d}" for a in range(attributes.shape[1])),
        attributes=attributes,
        labels=labels,
        train=rows["trainval_loc"],
        test_seen=rows["test_seen_loc"],
        test_unseen=rows["test_unseen_loc"],
        validation_classes=np.array(validation, dtype=np.int32),
        paths=None if use_features else find_images(image_files, data_dir, report),
        boxes=boxes,
        features=features,
    )


def find_split_dir(name, data_dir, split_dir=None):
    """The folder of att_splits.mat: `split_dir` if given, else the first of the usual places that has it.

    Raises:
      UserError: there is none; says where it looked.
    """
    if name not in NAMES:
        raise UserError(f"no benchmark {name!r}; it is one of {', '.join(NAMES)}")
    places = [split_dir] if split_dir else [data_dir, os.path.join(data_dir, "xlsa17", "data", name.upper())]
    return _first_with("att_splits.mat", places, "download the Proposed Splits (xlsa17) and give their folder as --split_dir")


def read_mat(file, required, optional=()):
    """Dict of the named fields of a .mat file, as `mat_files.read` gives them; other fields, such as 600 MB of features, are not read.

    Raises:
      UserError: the file cannot be read or a required field is missing.
    """
    try:
        fields = mat_files.read(file, {*required, *optional})
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read as a .mat file (version 7 or older): {' '.join(str(error).split())}; {AGAIN}") from error
    missing = [key for key in required if key not in fields]
    if missing:
        raise UserError(f"{file}: no field {missing[0]!r}; {AGAIN}")
    return fields


def _first_with(file, places, advice):
    for place in places:
        if os.path.isfile(os.path.join(place, file)):
            return place
    raise UserError(f"no {file} in {' or '.join(map(str, places))}; {advice}")


def _strings(cells, what):
    """Python strings of a MATLAB cell array of them, stripped."""
    texts = np.ravel(cells).tolist()
    bad = next((i for i, text in enumerate(texts) if not isinstance(text, str) or not text.strip()), None)
    if bad is not None:
        raise UserError(f"{what}, row {bad + 1}: not a string; {AGAIN}")
    texts = [composed(text.strip()) for text in texts]
    strange = next(filter(fault, texts), None)
    if strange is not None:
        raise UserError(f"{what}: {strange!r} {fault(strange)}; {AGAIN}")
    return texts


def numbers(array, what):
    """`array` itself, a field of a .mat file.

    Raises:
      UserError: it does not consist of real numbers.
    """
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise UserError(f"{what}: not a matrix of real numbers; {AGAIN}")
    return array


def _attributes(att, class_names, file, report):
    """(C, A) float32 of the (A, C) matrix `att`."""
    what = f"{file}: att"
    twice = [name for i, name in enumerate(class_names) if name in class_names[:i]]
    if twice:
        raise UserError(f"{file}: class {twice[0]!r} comes twice in allclasses_names; {AGAIN}")
    if numbers(att, what).ndim != 2 or att.shape[1] != len(class_names):
        raise UserError(f"{what} is {' x '.join(map(str, att.shape))}; it needs a column for each of {len(class_names)} classes; {AGAIN}")
    with np.errstate(over="ignore"):
        attributes = att.T.astype(np.float32)
    bad = np.argwhere(~np.isfinite(attributes))
    if len(bad):
        c, a = bad[0]
        report(f"{what}: attribute {a + 1} of class {class_names[c]!r} is {att[a, c]} ({len(bad)} such values); {AGAIN}")
    return np.where(np.isfinite(attributes), attributes, 0)


def _features(file, row_count):
    """(R, K) float32 of the (K, R) matrix `features`, of any width K."""
    what = f"{file}: features"
    features = numbers(read_mat(file, ("features",))["features"], what)
    if features.ndim != 2 or features.shape[1] != row_count:
        raise UserError(f"{what} is {' x '.join(map(str, features.shape))}; it needs a column for each of {row_count} image_files; {AGAIN}")
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(features.T, dtype=np.float32)
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        r, k = bad[0]
        raise UserError(f"{what}: feature {k + 1} of row {r + 1} is {features[k, r]}, no finite float32 ({len(bad)} such values); {AGAIN}")
    return rows


def _labels(labels, image_count, class_count, file):
    """(R,) int32, counted from 0."""
    labels = numbers(labels, f"{file}: labels").ravel()
    if len(labels) != image_count:
        raise UserError(f"{file}: {len(labels)} labels for {image_count} image_files; {AGAIN}")
    bad = _not_counting_to(class_count, labels)
    if len(bad):
        raise UserError(f"{file}: labels, row {bad[0] + 1}: {labels[bad[0]]} is no class number (1 to {class_count}); {AGAIN}")
    return labels.astype(np.int32) - 1


def _rows(loc, row_count, what, report):
    """Indices, counted from 0, of a *_loc field; those out of range or repeated are reported and left out."""
    loc = numbers(loc, what).ravel()
    bad = _not_counting_to(row_count, loc)
    if len(bad):
        report(f"{what}: entry {bad[0] + 1}, {loc[bad[0]]}, is no row number (1 to {row_count}; {len(bad)} such entries); {AGAIN}")
    rows, counts = np.unique(np.delete(loc, bad).astype(np.int64) - 1, return_counts=True)
    if np.any(counts > 1):
        report(f"{what}: row {rows[counts > 1][0] + 1} comes {counts[counts > 1][0]} times ({np.sum(counts > 1)} such rows); {AGAIN}")
    return rows


def _not_counting_to(end, values):
    """Positions of what is not a whole number from 1 to `end`."""
    return np.flatnonzero(~((values >= 1) & (values <= end) & (values == np.floor(values))))


def _folder_problems(image_files, labels, class_names):
    """Yields where a label contradicts its image's folder; no sign where no folder has its class's name, as in aPY."""
    plain = [_plain(name) for name in class_names]
    wrong = [r for r, (file, c) in enumerate(zip(image_files, labels)) if not _plain("".join(path_parts(file)[:-1])).endswith(plain[c])]
    if wrong and len(wrong) < len(labels):
        r = wrong[0]
        yield f"res101.mat labels row {r + 1} as {class_names[labels[r]]!r}, but its image is {image_files[r]} ({len(wrong)} such rows)"


def _plain(name):
    return re.sub(r"[\W_]", "", name.lower())


def _class_list_stems(split_index):
    return f"trainclasses{split_index}", f"valclasses{split_index}", "trainvalclasses", "testclasses"


def _class_list(split_dir, stem):
    """The class names of a text file with one on each line."""
    file = os.path.join(split_dir, f"{stem}.txt")
    try:
        with open(file, encoding="utf-8") as stream:
            names = [composed(line.strip()) for line in stream if line.strip()]
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read as a list of classes: {error}") from error
    return names


def _list_problems(lists, classes_of, class_names):
    """Yields each class on which two of the split folder's files disagree."""
    (train, train_names), (val, val_names), (trainval, trainval_names), (test, test_names) = lists.items()
    yield from (f"class {name!r} is in {train}.txt and in {val}.txt" for name in sorted({*train_names} & {*val_names}))
    yield from _differences(f"{train}.txt and {val}.txt", {*train_names, *val_names}, f"{trainval}.txt", {*trainval_names})
    yield from _differences(f"{trainval}.txt", {*trainval_names}, "trainval_loc", classes_of["trainval_loc"])
    yield from _differences(f"{test}.txt", {*test_names}, "test_unseen_loc", classes_of["test_unseen_loc"])


def _differences(what, names, other_what, other_names):
    yield from (f"class {name!r} is in {what} but not in {other_what}" for name in sorted(names - other_names))
    yield from (f"class {name!r} is in {other_what} but not in {what}" for name in sorted(other_names - names))


def _boxes(image_files, row_classes, split_dir, data_dir, report):
    """(R, 4) float32 of aPY's annotation files, after a check that row r is about image and class of row r."""
    places = [split_dir, data_dir, os.path.join(data_dir, "apy_annotations"), os.path.join(data_dir, "attribute_data")]
    place = _first_with(BOX_FILES[0], places, "aPY's rows are boxes: download its attribute_data archive")
    rows = [row for file in BOX_FILES for row in _annotations(os.path.join(place, file))]
    if len(rows) != len(image_files):
        raise UserError(f"{place}: {len(rows)} rows in {', '.join(BOX_FILES)} for {len(image_files)} rows of res101.mat; {AGAIN}")
    for r, (where, image, row_class, _) in enumerate(rows):
        if (image, row_class) != (path_parts(image_files[r])[-1], row_classes[r]):
            report(f"{where}: {row_class!r} in {image}, but row {r + 1} of res101.mat is {row_classes[r]!r} in {image_files[r]}; {AGAIN}")
            break
    boxes = np.array([box for *_, box in rows], dtype=np.float32)
    boxes[np.min(boxes[:, 2:] - boxes[:, :2], axis=1) < MIN_BOX_SIDE] = np.nan
    return boxes


def _annotations(file):
    """Yields (file and line, image name, class name, box) of each line."""
    try:
        with open(file, encoding="utf-8") as stream:
            lines = stream.read().splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        where, cells = f"{file}, line {number}", line.split()
        try:
            box = [float(cell) for cell in cells[2:6]]
        except ValueError:
            box = []
        if len(box) != 4 or not np.all(np.abs(box) <= LARGEST_EDGE):  # which NaN is not
            raise UserError(f"{where}: not an image, a class and the four numbers of a box; {AGAIN}")
        yield where, cells[0], cells[1], box
