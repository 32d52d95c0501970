"""Writes the two tables of your own data set, with a proposed split, from a folder of class folders.

    python -m bgsnet_tf.data.make_tables --data_dir=birds --attributes=traits.csv --unseen=Albatross,Crow
    python -m bgsnet_tf.data.make_tables --data_dir=birds --attributes=bert.npy --classes=names.txt --unseen_count=10 --seed=1

`data_dir/images/<class>/…` holds the images. It writes `--images_csv` and `--attributes_csv` in the form that `tables` reads.
"""

import csv
import difflib
import os

import numpy as np
from absl import flags

from bgsnet_tf import cli, config, files
from bgsnet_tf.data.check import attribute_warnings
from bgsnet_tf.data.reading import tables
from bgsnet_tf.data.reading.paths import raise_problem, walk
from bgsnet_tf.errors import UserError
from bgsnet_tf.names import composed, fault, lot

EXTENSIONS = (".jpg", ".jpeg", ".png")
TEST_SEEN_SHARE = 0.2  # Assumption: the share in the Proposed Splits.


def make_tables(data_dir, class_folders, attribute_names, attributes, unseen, images_csv="images.csv", attributes_csv="attributes.csv"):
    """Writes both tables into `data_dir`.

    Args:
      data_dir: folder that the paths in the table are relative to.
      class_folders: folder of one folder a class, relative to `data_dir`.
      attribute_names: A names.
      attributes: dict from each class name to its A values; a class without images is an unseen candidate.
      unseen: names of the classes to train without.
      images_csv: file to write.
      attributes_csv: file to write.

    Returns:
      (the `Benchmark` that the tables describe, list of warnings).

    Raises:
      UserError: a class folder has no attributes, an unseen class does not exist, or a file exists already; nothing is written then.
    """
    written = [os.path.join(data_dir, file) for file in (attributes_csv, images_csv)]
    for file in filter(os.path.exists, written):
        raise UserError(f"{file} exists already; move it away or name another file")
    images, warnings = _class_images(data_dir, class_folders)
    _check_classes(images, attributes, unseen, os.path.join(data_dir, class_folders))
    empty = [name for name in attributes if not images.get(name)]
    if empty:
        warnings.append(f"{len(empty)} classes have attributes but no image, first {empty[0]}; they are unseen candidates")
    rows = [(path, name, split) for name in attributes for path, split in _proposed_split(images.get(name, []), name in unseen)]
    vectors = [[name, *(str(np.float32(value)) for value in values)] for name, values in attributes.items()]
    _write(written[0], ["class", *attribute_names], vectors)
    _write(written[1], tables.ROW_COLUMNS, rows)
    try:
        benchmark = tables.load(data_dir, images_csv, attributes_csv)
    except UserError:
        for file in written:
            os.remove(file)
        raise
    return benchmark, [*warnings, *attribute_warnings(benchmark)]


def read_vectors(file, classes_file):
    """Attribute names and dict from class to vector, of a CSV (class, then one column an attribute) or a .npy of (C, A) numbers.

    Args:
      file: the .csv or .npy file.
      classes_file: for .npy, a text file with the C class names, one on each line, in the order of the rows.

    Raises:
      UserError: a file is not readable, or the two do not fit.
    """
    if not file.endswith(".npy"):
        return tables.read_attributes(file, raise_problem)
    try:
        with open(file, "rb") as stream:
            vectors = np.lib.format.read_array(stream, allow_pickle=False)
        with open(classes_file, encoding="utf-8") as stream:
            names = [composed(line.strip()) for line in stream if line.strip()]
    except Exception as error:  # A damaged header makes NumPy raise almost anything, from TokenError to MemoryError.
        reason = " ".join(str(error).split())
        raise UserError(f"cannot read the vectors {file} and their class names --classes={classes_file}: {reason}") from error
    if vectors.ndim != 2 or vectors.dtype.kind not in "biuf" or not vectors.size:
        raise UserError(f"{file} holds {vectors.dtype} of shape {vectors.shape}; it needs numbers, one row a class")
    if len(vectors) != len(names) or len(set(names)) != len(names):
        raise UserError(f"{file} has {len(vectors)} rows; {classes_file} needs as many class names, all different, and has {len(names)}")
    strange = next(filter(fault, names), None)
    if strange is not None:
        raise UserError(f"{classes_file}: the class name {strange!r} {fault(strange)}; rename it")
    with np.errstate(over="ignore"):
        bad = np.argwhere(~np.isfinite(vectors.astype(np.float32)))
    if len(bad):
        raise UserError(f"{file}: the vector of {names[bad[0][0]]!r} is no finite float32 at position {bad[0][1]}; compute it again")
    return tuple(f"dimension_{a + 1:03d}" for a in range(vectors.shape[1])), dict(zip(names, vectors.tolist()))


def scaled(attributes):
    """A dict from class to vector as given, every attribute divided by its largest absolute value over all classes."""
    vectors = np.array(list(attributes.values()))
    largest = np.abs(vectors).max(axis=0)
    return dict(zip(attributes, (vectors / np.where(largest > 0, largest, 1)).tolist()))


def draw_unseen(class_names, count, seed):
    """Names of `count` classes, drawn at random; the order of `class_names` does not matter.

    Raises:
      UserError: fewer than one would be unseen or fewer than two seen.
    """
    if not 1 <= count <= len(class_names) - 2:
        raise UserError(f"--unseen_count={count}: with {len(class_names)} classes it is from 1 to {len(class_names) - 2}")
    return [str(name) for name in np.random.default_rng(seed).permutation(sorted(class_names))[:count]]


def _class_images(data_dir, class_folders):
    """Dict from each class folder's name to the paths of its images, and warnings about other files."""
    folder = os.path.join(data_dir, class_folders)
    if not os.path.isdir(folder):
        raise UserError(f"no folder {folder}; --data_dir/--class_folders holds one folder a class")
    images, others = {entry.name: [] for entry in os.scandir(folder) if entry.is_dir()}, []
    for parts in walk(folder):
        is_image = len(parts) > 1 and parts[-1].lower().endswith(EXTENSIONS) and not parts[-1].startswith(".")
        path = "/".join([class_folders, *parts])
        (images[parts[0]] if is_image else others).append(path)
        strange = next(filter(fault, parts), None) if is_image else None
        if strange is not None:
            raise UserError(f"{path!r}: the name {strange!r} {fault(strange)}; rename it")
    images = {composed(name): paths for name, paths in images.items()}
    if not others:
        return images, []
    return images, [f"{len(others)} files are no {', '.join(EXTENSIONS)} in a class folder and are left out, first {others[0]}"]


def _check_classes(images, attributes, unseen, folder):
    for name in sorted(set(images) - set(attributes)):
        closest = difflib.get_close_matches(name, set(attributes) - set(images), n=1)
        raise UserError(
            f"class folder {name!r} in {folder} has no attributes" + (f"; is it {closest[0]!r} there?" if closest else "; add its row")
        )
    for name in unseen:
        if name not in attributes:
            closest = difflib.get_close_matches(name, attributes, n=3)
            raise UserError(
                f"--unseen: there is no class {name!r}; the closest are {', '.join(closest) or ', '.join(list(attributes)[:3])}"
            )
    seen = [name for name in attributes if images.get(name) and name not in unseen]
    if not 2 <= len(seen) < len(attributes):
        raise UserError(f"--unseen: {len(set(unseen))} of {len(attributes)} classes; at least one is unseen and two are seen")


def _proposed_split(paths, is_unseen):
    """(path, split) of a class's images; which ones test a seen class depends on their names alone."""
    if is_unseen:
        return [(path, "test_unseen") for path in paths]
    tested = set(sorted(paths, key=lot)[: round(TEST_SEEN_SHARE * len(paths))])
    return [(path, "test_seen" if path in tested else "trainval") for path in paths]


def _write(file, header, rows):
    try:
        with files.replacing(file) as part, open(part, "w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}; name a file that can be written") from error


def main():
    values = flags.FLAGS
    if not values.data_dir or not values.attributes:
        raise UserError("--data_dir and --attributes are needed: the folder of the images, and the CSV or .npy of class vectors")
    if bool(values.unseen) == bool(values.unseen_count):
        raise UserError("give either --unseen=NAME,NAME or --unseen_count=NUMBER")
    config.require_names({name: values[name].value for name in ("data_dir", "class_folders", "images_csv", "attributes_csv")})
    names, attributes = read_vectors(values.attributes, values.classes)
    if values.scale_attributes:
        attributes = scaled(attributes)
    with_images = [name for name, paths in _class_images(values.data_dir, values.class_folders)[0].items() if paths and name in attributes]
    unseen = [composed(name) for name in values.unseen] or draw_unseen(with_images, values.unseen_count, values.seed)
    made, warnings = make_tables(values.data_dir, values.class_folders, names, attributes, unseen, values.images_csv, values.attributes_csv)
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"unseen classes: {', '.join(made.class_names[c] for c in made.unseen_classes)}")
    print(f"{len(made.labels)} images: {len(made.train)} trainval, {len(made.test_seen)} test_seen, {len(made.test_unseen)} test_unseen")
    print(f"next: python -m bgsnet_tf.data.check --dataset=csv --data_dir={values.data_dir}")


if __name__ == "__main__":
    flags.DEFINE_string("class_folders", "images", "Folder of one folder a class, relative to --data_dir.")
    flags.DEFINE_string("attributes", "", "CSV (class, then one column an attribute), or .npy of one vector a class.")
    flags.DEFINE_string("classes", "", "With a .npy: text file of the class names, one on each line, in the order of its rows.")
    flags.DEFINE_list("unseen", [], "Names of the classes to train without, separated by commas.")
    flags.DEFINE_integer("unseen_count", 0, "How many classes to train without, drawn at random by --seed.")
    flags.DEFINE_bool("scale_attributes", False, "Divide every attribute by its largest absolute value over all classes.")
    cli.run(main)
