"""The classes that a prediction chooses from, as users define them.

Letters: C' classes to choose from, A attributes.
"""

import dataclasses
import difflib
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bgsnet_tf.data.reading.paths import raise_problem
from bgsnet_tf.data.reading.tables import read_attributes
from bgsnet_tf.errors import UserError

SEEN = "seen"  # a column of `classes.csv`, no attribute


@dataclasses.dataclass(frozen=True)
class Choice:
    """Classes by name, φ and calibration.

    Attributes:
      names: C' names.
      embeddings: (C', A) φ: attributes, less the export's origin, with L2-normalised rows (Eq. 1).
      offsets: (C',) what is taken off each one's score: δ where it is seen.
    """

    names: tuple
    embeddings: np.ndarray
    offsets: np.ndarray

    def scores(self, attributes: np.ndarray) -> np.ndarray:
        """(B, C') calibrated scores of attributes (B, A)."""
        return attributes @ self.embeddings.T - self.offsets

    def fingerprint(self) -> str:
        """Hex digest of all of it."""
        digest = hashlib.sha256(repr(self.names).encode())
        digest.update(self.embeddings.tobytes())
        digest.update(self.offsets.tobytes())
        return digest.hexdigest()


def choice(names: Sequence[str], attributes: np.ndarray, seen: np.ndarray, delta: float, origin: np.ndarray) -> Choice:
    """The `Choice` among classes with attributes (C', A), those of them `seen` (C',) lowered by δ.

    Args:
      origin: (A,) what φ is measured from, see `layout.Description`.

    Raises:
      UserError: for a class whose attributes are not finite, or all at the origin.
    """
    attributes = np.asarray(attributes, np.float64)
    if not len(names):
        raise UserError("there is no class to choose from; give one at least")
    for name, values in zip(names, attributes):
        if not np.isfinite(values).all():
            raise UserError(f"class {name!r} has an attribute that is no finite number")
        if np.array_equal(values, origin):
            where = "the mean of the seen classes" if np.any(origin) else "0"
            raise UserError(f"all attributes of class {name!r} are {where}, so it has no direction; give one another value")
    attributes = attributes - origin
    embeddings = attributes / np.linalg.norm(attributes, axis=1, keepdims=True)
    return Choice(tuple(names), embeddings.astype(np.float32), (delta * np.asarray(seen)).astype(np.float32))


def read(classes: Any, attribute_names: Sequence[str]) -> tuple[tuple, np.ndarray, np.ndarray]:
    """Names, attributes (C', A) and whether they are seen (C',) of classes that a user defines.

    Args:
      classes: a dict from a name to A values in the model's order, or to a dict of {attribute: value}, others 0; a DataFrame
        with a row a class, named by its index or a column `class`, and a column an attribute, in any order; or the path of a
        CSV like that. A column `seen` says which ones δ lowers (1) and which not (0), as in an export's `classes.csv`; without
        it, none.
      attribute_names: those of the model.

    Raises:
      UserError: where the attributes are not those of the model.
    """
    if isinstance(classes, Mapping):
        attributes = [_vector(name, values, attribute_names) for name, values in classes.items()]
        return tuple(classes), np.reshape(np.array(attributes, np.float32), [-1, len(attribute_names)]), np.zeros(len(classes), bool)
    if isinstance(classes, pd.DataFrame):
        table, source = (classes.set_index("class") if "class" in classes.columns else classes), "the table of classes"
    elif isinstance(classes, (str, os.PathLike)):
        source = os.fspath(classes)
        columns, vectors = read_attributes(source, raise_problem)
        table = pd.DataFrame.from_dict(vectors, orient="index", columns=columns)
    else:
        raise UserError(f"classes are given as {type(classes).__name__}; give a dict, a DataFrame or the path of a CSV file")
    seen = np.zeros(len(table), bool)
    if SEEN in table.columns and SEEN not in attribute_names:
        seen = table[SEEN].to_numpy(float) != 0
        table = table.drop(columns=SEEN)
    _require(table.columns, attribute_names, source)
    missing = [name for name in attribute_names if name not in table.columns]
    if missing:
        raise UserError(f"{source} has no column {missing[0]!r}, an attribute of the model ({len(missing)} such); give it one")
    return tuple(map(str, table.index)), table[list(attribute_names)].to_numpy(np.float32), seen


def _vector(name: str, values: Any, attribute_names: Sequence[str]) -> list:
    if isinstance(values, Mapping):
        _require(values, attribute_names, f"class {name!r}")
        return [values.get(attribute, 0.0) for attribute in attribute_names]
    if np.shape(values) != (len(attribute_names),):
        raise UserError(f"class {name!r} has attributes of shape {np.shape(values)}; the model has {len(attribute_names)} attributes")
    return list(values)


def _require(names, attribute_names, source):
    unknown = [name for name in names if name not in attribute_names]
    if unknown:
        close = difflib.get_close_matches(str(unknown[0]), attribute_names, n=1)
        hint = f"is it {close[0]!r}?" if close else f"its attributes are {', '.join(attribute_names[:8])} …"
        raise UserError(f"{source} has {unknown[0]!r}, which is no attribute of the model; {hint}")
