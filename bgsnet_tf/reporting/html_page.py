"""Web pages from the templates in `templates/`, each one file that needs no network and no script."""

import base64
import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import jinja2
import numpy as np

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


def render(template: str, title: str, sections: Mapping[str, Section]) -> str:
    """The whole page of a template, with its sections by name, in order."""
    return TEMPLATES.get_template(template).render(title=title, sections=sections)


def svg(contents: bytes, description: str, caption: str = "") -> Picture:
    """The picture of an SVG file. As an image it cannot clash with another figure's names."""
    return Picture(f"data:image/svg+xml;base64,{base64.b64encode(contents).decode()}", description, caption)


def photo(pixels: np.ndarray, description: str, caption: str = "") -> Picture:
    """The picture of an image (H, W, 3) uint8."""
    import matplotlib.image

    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, pixels, format="jpg", pil_kwargs={"quality": IMAGE_QUALITY})
    return Picture(f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}", description, caption)
