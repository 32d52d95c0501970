"""A benchmark of eight rows in the published form of xlsa17, to damage in tests."""

import numpy as np
import scipy.io

from tests.data import generated_images

CLASSES = ["cat", "dog", "horse", "whale"]
FOLDERS = ["cat", "cat", "dog", "dog", "horse", "horse", "whale", "whale"]


def cells(strings):
    """A MATLAB cell array of strings, as a column."""
    array = np.empty((len(strings), 1), dtype=object)
    for i, string in enumerate(strings):
        array[i, 0] = np.array([string])
    return array


def fields():
    """The fields of att_splits.mat and res101.mat and the text of the class lists, by file."""
    images = [f"/BS/xian//JPEGImages/{folder}/{folder}_{i}.jpg" for i, folder in enumerate(FOLDERS)]
    return {
        "att_splits": {
            "att": np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8], [0.3, 0.2, 0.1, 0.9]]),
            "allclasses_names": cells(CLASSES),
            "trainval_loc": np.array([[1], [3], [5]], dtype=np.uint16),
            "test_seen_loc": np.array([[2], [4], [6]], dtype=np.uint16),
            "test_unseen_loc": np.array([[7], [8]], dtype=np.uint16),
        },
        "res101": {"image_files": cells(images), "labels": np.array([[CLASSES.index(folder) + 1.0] for folder in FOLDERS])},
        "lists": {"trainclasses1": "cat\ndog\n", "valclasses1": "horse\n", "trainvalclasses": "horse\ncat\ndog", "testclasses": "whale\n"},
    }


def save(folder, content):
    """Writes what `fields` returned, and a JPEG for each row; returns the folder."""
    folder.mkdir(exist_ok=True)
    for name in ("att_splits", "res101"):
        scipy.io.savemat(folder / f"{name}.mat", content[name], do_compression=True)  # As the published files are.
    for name, text in content["lists"].items():
        (folder / f"{name}.txt").write_text(text)
    if not (folder / "cat").exists():
        generated_images.write_images(folder, [f"{name}/{name}_{i}.jpg" for i, name in enumerate(FOLDERS)])
    return folder
