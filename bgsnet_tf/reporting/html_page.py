"""Web pages from the templates in `templates/`, each one file that needs no network and no script."""

import base64
import functools
import io
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jinja2
import numpy as np
import PIL.Image

IMAGE_QUALITY = 92  # JPEG

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("bgsnet_tf.reporting"),
    autoescape=jinja2.select_autoescape(),  # of pages; the card is Markdown
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


class Section(NamedTuple):
    """A part of a page: its heading, and what its template gets."""

    heading: str
    contents: Mapping[str, Any]


class Picture(NamedTuple):
    """An image inside the page: an address that holds all of it, and what it shows."""

    address: str
    description: str
    caption: str = ""


class Drawing:
    """As `Picture`, of a figure that may still be drawn.

    Args:
      finish: function that waits for the path of its SVG file.
    """

    def __init__(self, finish: Callable[[], pathlib.Path], description: str, caption: str = "") -> None:
        self._finish, self.description, self.caption = finish, description, caption

    @functools.cached_property
    def address(self) -> str:
        return svg(self._finish().read_bytes(), self.description).address


def render(template: str, title: str, sections: Mapping[str, Section]) -> str:
    """The whole page of a template, with its sections by name, in order."""
    return TEMPLATES.get_template(template).render(title=title, sections=sections)


def svg(contents: bytes, description: str, caption: str = "") -> Picture:
    """The picture of an SVG file. As an image it cannot clash with another figure's names."""
    return Picture(f"data:image/svg+xml;base64,{base64.b64encode(contents).decode()}", description, caption)


def photo(pixels: np.ndarray, description: str, caption: str = "") -> Picture:
    """The picture of an image (H, W, 3) uint8."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "JPEG", quality=IMAGE_QUALITY)
    return Picture(f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}", description, caption)
