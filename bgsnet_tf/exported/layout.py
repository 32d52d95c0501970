"""What an export holds beside its graph, so that a client needs no data set, and how its outputs are named.

| asset | content |
|---|---|
| `class_names.txt`, `attribute_names.txt` | a name a line |
| `classes.csv` | a class a line: name, 1 where it is seen, its attributes as the data set gives them |
| `model.json` | the other fields of `Description`; `attribute_origin` is null where it is 0 |

Letters: C classes, A attributes.
"""

import csv
import dataclasses
import io
import json
import os
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf

from bgsnet_tf.errors import UserError

CLASS_NAMES, ATTRIBUTE_NAMES, CLASSES, MODEL = "class_names.txt", "attribute_names.txt", "classes.csv", "model.json"
FIXED_COLUMNS = ("class", "seen")  # of classes.csv, before those of the attributes
BRANCHES = ("fused", "general", "special")


def output_name(what, branch):
    """Name of an output that signatures give for every branch; the fused one's goes without."""
    return what if branch == "fused" else f"{what}_{branch}"


class Origin(NamedTuple):
    """Where an export came from; None is not on record, as in exports of before November 2026.

    Attributes:
      delta_source: who chose δ, as the end of a sentence.
      weights: hex digest of the trained network's weights, by which its results are known.
      submodules: how many it has, after pruning.
    """

    delta_source: Optional[str] = None
    weights: Optional[str] = None
    submodules: Optional[int] = None


@dataclasses.dataclass(frozen=True)
class Description:
    """What `read` finds.

    Attributes:
      class_names, attribute_names: C and A names.
      seen: (C,) bool.
      class_attributes: (C, A) float32, as the data set gives them.
      dataset: its name.
      delta: taken off the scores of seen classes.
      image_size: height and width of what the network sees, in pixels: the middle of the image.
      resize: length of the image's shorter side before that is cut out of it.
      attribute_origin: (A,) that is taken off attributes before φ is their L2-normalised row: the seen classes' mean where the
        model was trained with --center_attributes, else 0.
      no_heat_maps: why there is no signature `explain`; None where there is one.
      exif_rotation: whether the graph turns JPEG files as their EXIF metadata say; it never turns pixels (signature `images`).
      origin: the `Origin`.
    """

    class_names: tuple
    attribute_names: tuple
    seen: np.ndarray
    class_attributes: np.ndarray
    dataset: str
    delta: float
    image_size: int
    resize: int
    attribute_origin: np.ndarray
    no_heat_maps: Optional[str] = None
    exif_rotation: bool = False
    origin: Origin = Origin()


def write(directory, benchmark, views, delta, no_heat_maps=None, origin=None):
    """Writes the files into `directory` and returns their paths. The arguments are those of `ServedBGSNet`."""
    seen = np.isin(np.arange(len(benchmark.class_names)), benchmark.seen_classes)
    model = {
        "dataset": benchmark.name,
        "delta": delta,
        "image_size": views.size,
        "resize": views.resize,
        "attribute_origin": benchmark.attribute_origin.tolist() if benchmark.center_attributes else None,
        "no_heat_maps": no_heat_maps,
        "exif_rotation": benchmark.upright,
        "origin": (origin or Origin())._asdict(),
    }
    paths = [os.path.join(directory, name) for name in (CLASS_NAMES, ATTRIBUTE_NAMES, CLASSES, MODEL)]
    for path, names in zip(paths, (benchmark.class_names, benchmark.attribute_names)):
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(names) + "\n")
    with open(paths[2], "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*FIXED_COLUMNS, *benchmark.attribute_names])
        for name, is_seen, values in zip(benchmark.class_names, seen, benchmark.attributes.astype(np.float32)):
            table.writerow([name, int(is_seen), *map(str, values)])
    with open(paths[3], "w", encoding="utf-8") as file:
        json.dump(model, file)
    return paths


def read_names(version):
    """C class names of an export, also of one from before the other files. Raises `OpError` where there are none."""
    return tuple(_text(version, CLASS_NAMES).split("\n")[:-1])


def read(version):
    """The `Description` of an export.

    Args:
      version: its folder.

    Raises:
      UserError: where it holds none, as exports of before these files do.
    """
    try:
        header, *rows = csv.reader(io.StringIO(_text(version, CLASSES), newline=""), strict=True)
        model = json.loads(_text(version, MODEL))
        names, seen, *columns = zip(*rows)
        attribute_names = tuple(header[2:])
        origin = np.array(model.pop("attribute_origin", None) or np.zeros(len(attribute_names)))
        model["origin"] = Origin(**model.get("origin", {}))
        return Description(names, attribute_names, np.array(seen) == "1", np.array(columns, np.float32).T, attribute_origin=origin, **model)
    except (tf.errors.OpError, ValueError, TypeError, csv.Error) as error:
        raise UserError(
            f"{version} does not say which classes and attributes it knows ({error}); "
            "write the export again: python -m bgsnet_tf.export --run_dir=RUN"
        ) from error


def _text(version, name):
    """The content of an asset, on whatever file system TensorFlow reads."""
    with tf.io.gfile.GFile(os.path.join(version, "assets", name), "rb") as file:
        return file.read().decode()
