"""The one description of a data set: rows, classes, attributes and splits. It reads no file and decodes no image.

Letters: R rows (an image, or an object in one), C classes, A attributes.
"""

import dataclasses
import functools
import hashlib
import os
from typing import Optional

import numpy as np

from bgsnet_tf.data import checksums
from bgsnet_tf.errors import UserError
from bgsnet_tf.names import composed, lot

BOX_SLACK = 1  # Pixels that a box may stick out: annotations count from 0 or from 1.
VALIDATION_SEEN_SHARE = 0.2  # Assumption: close to the share of test_seen in the Proposed Splits.


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Rows with labels, classes with attributes, and who is trained and tested on what.

    Exactly one of `paths`, `pixels` and `features` says what the network sees of a row.

    Attributes:
      name: short name of the data set, e.g. "cub".
      class_names: C names.
      attribute_names: A names.
      attributes: (C, A) float32, the class attributes as given; see `phi`.
      labels: (R,) int32, index into `class_names`.
      train: indices of the rows of seen classes to train on.
      test_seen: indices of the rows of seen classes to test on.
      test_unseen: indices of the rows of unseen classes.
      validation_classes: indices of the seen classes that `validation()` treats as unseen.
      paths: (R,) absolute file names.
      boxes: (R, 4) float32 xmin, ymin, xmax, ymax in pixels; a row of NaN means the whole image.
      pixels: (R, H, W, 3) uint8 images in memory.
      features: (R, K) float32 features that somebody computed, in place of images.
      center_attributes: whether `phi` is that of attributes less the mean over the seen classes.
      upright: whether images are turned as their EXIF metadata say; boxes then count in the turned image.

    Raises:
      UserError: where the parts contradict each other.
    """

    name: str
    class_names: tuple
    attribute_names: tuple
    attributes: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    test_seen: np.ndarray
    test_unseen: np.ndarray
    validation_classes: np.ndarray
    paths: Optional[np.ndarray] = None
    boxes: Optional[np.ndarray] = None
    pixels: Optional[np.ndarray] = None
    features: Optional[np.ndarray] = None
    center_attributes: bool = False
    upright: bool = False

    def __post_init__(self):
        if sum(source is not None for source in (self.paths, self.pixels, self.features)) != 1:
            raise ValueError("a benchmark has either paths, pixels or features")
        self._check_attributes()
        self._check_splits()
        self._check_directions()

    @property
    def seen_classes(self):
        """Sorted indices of the classes that have training rows."""
        return np.unique(self.labels[self.train])

    @property
    def unseen_classes(self):
        """Sorted indices of all other classes, with or without images."""
        return np.setdiff1d(np.arange(len(self.class_names)), self.seen_classes)

    @property
    def phi(self):
        """(C, A) float32 class embeddings φ(y): attributes, less `attribute_origin`, with L2-normalised rows (Eq. 1)."""
        attributes = self.attributes.astype(np.float64) - self.attribute_origin
        return (attributes / np.linalg.norm(attributes, axis=1, keepdims=True)).astype(np.float32)

    @property
    def attribute_origin(self):
        """(A,) float64: the mean attributes of the seen classes where attributes are centred, else 0."""
        if not self.center_attributes:
            return np.zeros(self.attributes.shape[1])
        return self.attributes[self.seen_classes].mean(axis=0, dtype=np.float64)

    def validation(self):
        """The same kind of benchmark, made of training rows only: nothing of either test split is in it.

        The validation classes play the unseen ones; of each other class a fixed share of the rows,
        those whose hash comes first and so the same in every run, plays `test_seen`.

        Raises:
          UserError: as `require_validation`.
        """
        self.require_validation()
        return self._part(f"{self.name}_validation", self.seen_classes, self.validation_rows(), np.array([], dtype=np.int32))

    def with_seen_classes(self, count):
        """The same benchmark with `count` of its seen classes alone, drawn once: those of a smaller count are among those of a larger.

        Raises:
          UserError: where it has fewer seen classes.
        """
        if count > len(self.seen_classes):
            raise UserError(f"{self.name} has {len(self.seen_classes)} seen classes, not --seen_classes={count}; 0 takes all")
        kept = np.union1d(np.random.default_rng(0).permutation(self.seen_classes)[:count], self.unseen_classes)
        parts = [rows[np.isin(self.labels[rows], kept)] for rows in (self.train, self.test_seen, self.test_unseen)]
        validation_classes = np.flatnonzero(np.isin(kept, self.validation_classes)).astype(np.int32)
        return self._part(f"{self.name}_{count}_seen", kept, parts, validation_classes)

    def _part(self, name, classes, parts, validation_classes):
        """A benchmark of some classes (indices) and rows: train, test_seen and test_unseen; `validation_classes` count within `classes`."""
        rows, ends = np.concatenate(parts), np.cumsum([len(part) for part in parts])
        return Benchmark(
            name=name,
            class_names=tuple(self.class_names[c] for c in classes),
            attribute_names=self.attribute_names,
            attributes=self.attributes[classes],
            labels=np.searchsorted(classes, self.labels[rows]).astype(np.int32),
            train=np.arange(0, ends[0]),
            test_seen=np.arange(ends[0], ends[1]),
            test_unseen=np.arange(ends[1], ends[2]),
            validation_classes=validation_classes,
            paths=None if self.paths is None else self.paths[rows],
            boxes=None if self.boxes is None else self.boxes[rows],
            pixels=None if self.pixels is None else self.pixels[rows],
            features=None if self.features is None else self.features[rows],
            center_attributes=self.center_attributes,
            upright=self.upright,
        )

    def require_validation(self):
        """Raises a `UserError` where `validation()` would leave too little to train on or to score."""
        fault = self.calibration_fault()
        if fault:
            raise UserError(f"{self.name} has no validation split: {fault}; give more, or do without --calibrate and --split=validation")

    def validation_rows(self):
        """The rows of this benchmark that `validation()` is made of, in its order: those of its train, test_seen and test_unseen."""
        validation_rows = self.train[np.isin(self.labels[self.train], self.validation_classes)]
        other_rows = np.setdiff1d(self.train, validation_rows)
        held_out = self._held_out(other_rows)
        return other_rows[~held_out], other_rows[held_out], validation_rows

    def on_features(self, features):
        """The same benchmark with features (R, K) in place of images."""
        return dataclasses.replace(self, paths=None, boxes=None, pixels=None, features=features)

    def calibration_fault(self):
        """Why no δ can be chosen on `validation()`; "" where it can."""
        others = np.setdiff1d(self.seen_classes, self.validation_classes)
        if len(others) < 2 or len(others) == len(self.seen_classes):
            return f"{len(self.seen_classes)} seen classes leave none to play the unseen ones in validation; it takes at least 3"
        most, needed = np.bincount(self.labels[self.train])[others].max(), round(1 / VALIDATION_SEEN_SHARE)
        if most < needed:
            return f"no class has {needed} training images, of which one could be held out for validation; the most are {most}"
        return ""

    @functools.cached_property
    def fingerprint(self):
        """Hex digest of everything that training reads, but for the bytes of image files, which `image_digest` is of."""
        digest = hashlib.sha256(repr((self.name, self.class_names)).encode())
        for array in (self.phi, self.labels, self.train, self.test_seen, self.test_unseen, self.boxes, self.pixels, self.features):
            if array is not None:
                digest.update(np.ascontiguousarray(array))
        if self.paths is not None:  # below their common folder, so that the data set may move
            root = os.path.commonpath({os.path.dirname(path) for path in self.paths})
            names = "\n".join(path[len(root) :].lstrip("/") for path in self.paths.tolist())
            digest.update(composed(names).encode("utf-8", "surrogateescape") + b" upright" * self.upright)
        return digest.hexdigest()

    def image_digest(self, rows):
        """Hex digest of the bytes of the image files of `rows`, in order; "" where a row is no file."""
        return "" if self.paths is None else hashlib.sha256(self._image_checksums[rows]).hexdigest()

    def box_fault(self, row, size):
        """What is wrong with a row's box in its image of `size` (width, height), "" for nothing; and whether it lies wholly outside."""
        outside = self.boxes is not None and bool(np.any(self.boxes[row, :2] >= size))  # none for a row without a box, one of NaN
        if not outside and (self.boxes is None or not np.any(self.boxes[row, 2:] > np.add(size, BOX_SLACK))):
            return "", False
        how, box = "lies outside" if outside else "sticks out of", " ".join(map(str, self.boxes[row]))
        return f"the box {box} {how} its image of {size[0]} x {size[1]} pixels; mend the box", outside

    def row_name(self, row):
        """Name of a row for messages and hashes: its file, or its number where it has none."""
        return f"row {row}" if self.paths is None else str(self.paths[row])

    @functools.cached_property
    def _image_checksums(self):
        return np.array(checksums.of_files(self.paths.tolist()), dtype=np.int64)

    def _held_out(self, rows):
        order = np.array([self._row_lot(row) for row in rows])
        held_out = np.zeros(len(rows), dtype=bool)
        by_class = np.argsort(self.labels[rows], kind="stable")
        for of_class in np.split(by_class, np.cumsum(np.bincount(self.labels[rows]))[:-1]):
            count = int(VALIDATION_SEEN_SHARE * len(of_class))
            held_out[of_class[np.argsort(order[of_class])[:count]]] = True
        return held_out

    def _row_lot(self, row):
        path = f"{row}" if self.paths is None else "/".join(str(self.paths[row]).split("/")[-2:])
        box = "" if self.boxes is None else np.nan_to_num(self.boxes[row], nan=-1).tolist()
        return lot(f"{path} {box}")

    def _check_attributes(self):
        bad = np.argwhere(~np.isfinite(self.attributes))
        if len(bad):
            c, a = bad[0]
            raise UserError(
                f"{self.name}: attribute '{self.attribute_names[a]}' of class '{self.class_names[c]}' is "
                f"{self.attributes[c, a]} ({len(bad)} such values); give every class a finite value"
            )
        zero = np.flatnonzero(~self.attributes.any(axis=1))
        if len(zero):
            raise UserError(f"{self.name}: all attributes of class '{self.class_names[zero[0]]}' are 0, so it has no direction")

    def _check_directions(self):
        apart = np.abs(self.attributes - self.attribute_origin).max(axis=1)
        middle = np.flatnonzero(apart <= 1e-6 * np.abs(self.attributes).max(axis=1))
        if len(middle):
            raise UserError(
                f"{self.name}: class '{self.class_names[middle[0]]}' has the mean attributes of the seen classes, so it has no direction "
                "once they are centred; drop --center_attributes"
            )

    def _check_splits(self):
        if not len(self.train):
            raise UserError(f"{self.name}: no training rows")
        for rows, what in ((self.test_seen, "test_seen"), (self.test_unseen, "test_unseen")):
            both = np.intersect1d(rows, self.train)
            if len(both):
                raise UserError(f"{self.name}: {self.row_name(both[0])} is in the training split and in {what}")
        both = np.intersect1d(self.labels[self.train], self.labels[self.test_unseen])
        if len(both):
            raise UserError(f"{self.name}: class '{self.class_names[both[0]]}' is both seen (training rows) and unseen (test_unseen rows)")
        alone = np.setdiff1d(self.labels[self.test_seen], self.labels[self.train])
        if len(alone):
            raise UserError(f"{self.name}: class '{self.class_names[alone[0]]}' has test_seen rows but no training row")
