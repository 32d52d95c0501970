"""Writes small JPEG files, so that the readers of the data can be tested without anybody's photos."""

import base64
import os
import pathlib
import re

import scipy.io

SHARED_DATA = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data"

# A grey 16 x 16 JPEG.
JPEG = base64.b64decode(
    b"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBkeFxlZ2P/wAALCAAQAB"
    b"ABAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AAP/Z"
)


def write_images(folder, names, contents=JPEG):
    """Creates an image at each relative name below `folder`: one file, many hard links."""
    first = pathlib.Path(folder, ".one.jpg")
    first.parent.mkdir(parents=True, exist_ok=True)
    first.write_bytes(contents)
    for parent in {os.path.dirname(name) for name in names}:
        pathlib.Path(folder, parent).mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys(names):
        os.link(first, os.path.join(folder, name))
    first.unlink()


def real_names(benchmark):
    """The image names in the authors' own spelling, row by row, of 'sun', 'cub', 'apy' or 'awa2'."""
    fields = scipy.io.loadmat(SHARED_DATA / "xlsa17" / "data" / benchmark.upper() / "res101.mat", variable_names=["image_files"])
    return [str(cell.item()) for cell in fields["image_files"].ravel()]


def after_marker(name):
    """The part of an author's path after `images/`, `JPEGImages/` or `ayahoo_test_images/`."""
    return re.split(r"/(?:images|JPEGImages|ayahoo_test_images)/", name)[-1]
