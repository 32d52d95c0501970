"""An export in Python: what it predicts, which attributes it reads, and where it saw them. No server is needed.

Letters: B images, C exported classes, A attributes, k of them, h and w the heat maps' height and width.
"""

import difflib
import functools
import os
from collections.abc import Sequence
from typing import Any, Optional, Union

import numpy as np
import pandas as pd
import tensorflow as tf

from bgsnet_tf.errors import UserError
from bgsnet_tf.exported import choices, layout, pictures
from bgsnet_tf.exported.explanation import Explanation
from bgsnet_tf.exported.layout import BRANCHES, output_name
from bgsnet_tf.exported.refusals import Refused, answer_apart

BATCH_SIZE = 32  # images computed at a time
RANKING = ("image", "rank", "class", "score")  # columns of `ExportedModel.predict`


class ExportedModel:
    """A version folder of an export, such as `runs/demo/export/1`; `bgsnet_tf.load` opens one.

    Images may be paths, bytes of JPEG or PNG files, uint8 arrays (H, W, 3), PIL images, or a list of any of them. A `UserError`
    names the image that cannot be read.

    >>> model.predict(photo, top_k=2).columns.tolist()
    ['image', 'rank', 'class', 'score']
    >>> model.predict([photo, photo], {"a": [1, 0, 0, 0.5], "b": {"g": 1, "b": 1}}, top_k=1)["rank"].tolist()
    [1, 1]
    >>> found = model.explain(photo, ["r", "g"], branch="general")
    >>> np.allclose(found.maps.sum((0, 1)) + found.constant, found.values)
    True
    >>> np.allclose(found.values, model.attributes(photo, "general")[0, :2], atol=1e-4)
    True

    Attributes:
      class_names: C names.

    Raises:
      UserError: where the folder holds no export of this project.
    """

    def __init__(self, version: Union[str, os.PathLike]) -> None:
        self.version = os.fspath(version)
        try:
            self._model = tf.saved_model.load(self.version)
            self._signatures = self._model.signatures
            outputs = self._signatures["attributes"].structured_outputs
            self._count = outputs["attributes"].shape[1]
            self._branches = [branch for branch in BRANCHES if output_name("attributes", branch) in outputs]
            self.class_names = layout.read_names(self.version)
        except (OSError, KeyError, tf.errors.OpError) as error:
            raise UserError(f"--export_dir={version} holds no export of this project; name a version folder such as export/1") from error

    @functools.cached_property
    def description(self) -> layout.Description:
        """All that the export says about itself."""
        return layout.read(self.version)

    @property
    def attribute_names(self) -> tuple:
        """A names."""
        return self.description.attribute_names

    @property
    def class_attributes(self) -> np.ndarray:
        """(C, A) attributes of the exported classes, as the data set gives them."""
        return self.description.class_attributes

    @property
    def seen(self) -> np.ndarray:
        """(C,) bool: classes that had training images."""
        return self.description.seen

    @property
    def delta(self) -> float:
        """δ, by which the scores of seen classes are lowered."""
        return self.description.delta

    def predict(self, images: Any, classes: Any = None, top_k: int = 5, delta: Optional[float] = None) -> pd.DataFrame:
        """The best classes of each image: a DataFrame with the columns image (path or number), rank (from 1), class and score.

        Args:
          images: one or many.
          classes: to choose from: None for the exported ones, else what `choices.read` takes.
          top_k: how many an image gets.
          delta: by which the scores of seen classes are lowered; None for the exported δ.
        """
        if top_k < 1:
            raise UserError(f"top_k={top_k} asks for no class; give 1 or more")
        choice = self.choice(classes, delta)
        ask, rows = functools.partial(self.ask, choice=choice), []
        for batch in pictures.batches(images, BATCH_SIZE):
            for (image, _), answer in zip(batch, _answers(batch, ask)):
                rows += self.ranking(image, answer, top_k, choice)
        return pd.DataFrame(rows, columns=RANKING)

    def ranking(self, image: Any, answer: dict, top_k: int, choice: Optional[choices.Choice] = None) -> list[tuple]:
        """The rows of `predict` for one image and its answer of `ask`."""
        names = self.class_names if choice is None else choice.names
        best = np.argsort(-answer["scores"], kind="stable")[:top_k]
        return [(image, rank, names[c], float(answer["scores"][c])) for rank, c in enumerate(best, 1)]

    def attributes(self, images: Any, branch: str = "fused") -> np.ndarray:
        """(B, A) what a branch reads: "fused", "general" or "special"."""
        return self._of(branch, self.branches(images))

    def branches(self, images: Any) -> dict[str, np.ndarray]:
        """The `attributes` of all branches in use, by name, in one pass."""
        ask = functools.partial(self._run, "attributes")
        answers = [answer for batch in pictures.batches(images, BATCH_SIZE) for answer in _answers(batch, ask)]
        outputs = {branch: [answer[output_name("attributes", branch)] for answer in answers] for branch in self._branches}
        return {branch: np.reshape(of_branch, [len(answers), self._count]) for branch, of_branch in outputs.items()}

    def explain(self, image: Any, attributes: Optional[Sequence[Union[str, int]]] = None, branch: str = "fused") -> Explanation:
        """Where a branch saw the attributes of one image.

        Args:
          image: a single one.
          attributes: k names or numbers; None for all.
          branch: "fused", "general" or "special".

        Raises:
          UserError: where the export has no heat maps, and why; for another attribute or branch.
        """
        return self._of(branch, self.explanations(image, attributes))

    def explanations(self, image: Any, attributes: Optional[Sequence[Union[str, int]]] = None) -> dict[str, Explanation]:
        """As `explain`, of all branches in use, by name, in one pass."""
        if "explain" not in self._signatures:
            raise UserError(f"{self.version}: {self.description.no_heat_maps}")
        numbers = range(len(self.attribute_names)) if attributes is None else [self._number(attribute) for attribute in attributes]
        names = tuple(self.attribute_names[i] for i in numbers)
        batch = next(pictures.batches(image, 2), [])
        if len(batch) != 1:
            raise UserError("heat maps are of a single image; call this for one after another")
        (picture,) = batch
        ask = functools.partial(self._run, "explain", attribute_indices=np.array([numbers], np.int32))
        (answer,) = _answers([picture], ask)
        view = self._model.view(tf.constant([picture[1]]))[0].numpy()
        parts = {branch: [answer[output_name(what, branch)] for what in ("attributes", "maps", "constants")] for branch in self._branches}
        return {branch: Explanation(names, *of_branch, view) for branch, of_branch in parts.items()}

    def compare(self, image: Any, chosen: str, rival: str, branch: str = "fused", classes: Any = None) -> Explanation:
        """What each attribute gives to the score of one class over another, δ aside, and where it was seen.

        Args:
          image: a single one.
          chosen, rival: names of classes.
          branch: "fused", "general" or "special".
          classes: the two are of, as for `predict`.

        Returns:
          an `Explanation` whose `total()` is the difference of the scores and its map.
        """
        choice = self.choice(classes, delta=0.0)
        weights = [choice.embeddings[_index(name, choice.names, "class")] for name in (chosen, rival)]
        return self.explain(image, None, branch).weighted(weights[0] - weights[1])

    def choice(self, classes: Any = None, delta: Optional[float] = None) -> Optional[choices.Choice]:
        """What `ask` chooses from, see `predict`; None where that is what the export does by itself."""
        if classes is None and delta is None:
            return None
        delta = self.delta if delta is None else delta
        exported = self.class_names, self.class_attributes, self.seen
        chosen = exported if classes is None else choices.read(classes, self.attribute_names)
        return choices.choice(*chosen, delta, self.description.attribute_origin)

    def ask(self, files: Sequence[bytes], choice: Optional[choices.Choice] = None) -> list[dict]:
        """A dict of `scores`, `class_index`, `class_name` and `attributes` for each image file; raises `Refused` for a bad one."""
        answers = self._run("serving_default", files)
        for answer in answers if choice else []:
            scores = choice.scores(answer["attributes"])
            index = np.argmax(scores)
            answer.update(scores=scores, class_index=index, class_name=choice.names[index].encode())
        return answers

    def _of(self, branch, by_branch):
        if branch not in by_branch:
            raise UserError(f"branch={branch!r} is not in {self.version}, which has {', '.join(by_branch)}")
        return by_branch[branch]

    def _number(self, attribute):
        if isinstance(attribute, str):
            return _index(attribute, self.attribute_names, "attribute")
        if not 0 <= attribute < len(self.attribute_names):
            raise UserError(f"there is no attribute {attribute}; they count from 0 to {len(self.attribute_names) - 1}")
        return attribute

    def _run(self, signature, files, **more):
        """A dict of outputs for each file."""
        try:
            inputs = {"image_bytes": tf.constant(files, tf.string), **{name: tf.constant(value) for name, value in more.items()}}
            outputs = {name: output.numpy() for name, output in self._signatures[signature](**inputs).items()}
        except tf.errors.InvalidArgumentError as error:
            raise Refused(error.message) from error
        return [{name: output[i] for name, output in outputs.items()} for i in range(len(files))]


def _answers(batch, ask):
    """The answers of `ask` to a batch of pictures; raises a `UserError` that names the first one that is refused."""
    files = [contents for _, contents in batch]
    try:
        return ask(files)
    except Refused:
        for (name, _), (_, problem) in zip(batch, answer_apart(files, ask)):
            if problem:
                raise UserError(f"image {name}: {problem.removeprefix('image 0 ')}") from None
        raise


def _index(name, names, what):
    if name not in names:
        close = difflib.get_close_matches(str(name), names, n=1)
        raise UserError(f"there is no {what} {name!r}" + (f"; is it {close[0]!r}?" if close else ""))
    return names.index(name)
