"""What the page gets to know: the model's description once, and for each photo its attributes and heat maps.

Letters: C classes, A attributes, h and w the heat map's height and width.
"""

import base64
import threading

import numpy as np

from bgsnet_tf.errors import UserError

MAX_BYTES = 32 * 2**20  # of an upload: above a camera's JPEG, and with the server's limit of connections at most a gigabyte


class Answers:
    """The answers of one export; several threads may ask.

    Args:
      model: an `ExportedModel`.
    """

    def __init__(self, model):
        self.model = model
        self.turn = threading.Lock()  # one photo is decoded and computed at a time, which bounds the memory

    def description(self, examples):
        """All but the numbers of the classes, for JSON; `examples` are the names of the example photos."""
        known = self.model.description
        return {
            "name": known.dataset,
            "classNames": list(known.class_names),
            "seen": known.seen.tolist(),
            "attributeNames": list(known.attribute_names),
            "attributeOrigin": known.attribute_origin.tolist(),
            "delta": known.delta,
            "branches": list(self.model.branches([])),
            "view": {"size": known.image_size, "resize": known.resize},
            "exifRotation": known.exif_rotation,
            "noMaps": known.no_heat_maps or "",
            "examples": list(examples),
            "maxBytes": MAX_BYTES,
        }

    def class_attributes(self):
        """(C, A) float32 as little-endian bytes."""
        return self.model.class_attributes.astype("<f4").tobytes()

    def see(self, contents):
        """What the branches see in a photo: `attributes` (A,), and where the export has them `maps` (h, w, A) and `constants` (A,).

        Each is a dict from a branch to base64 of little-endian float32; `mapShape` is h and w.

        Args:
          contents: bytes of a JPEG or PNG file; its size in pixels is checked before it is decoded.

        Raises:
          UserError: where it is none, or too large.
        """
        try:
            with self.turn:
                if self.model.description.no_heat_maps:
                    found = {branch: values[0] for branch, values in self.model.branches(contents).items()}
                    return {"attributes": _packed(found), "maps": {}, "constants": {}, "mapShape": []}
                found = self.model.explanations(contents)
        except UserError as error:
            raise UserError(str(error).replace("image 0: ", "", 1)) from error
        parts = {name: {branch: getattr(one, name) for branch, one in found.items()} for name in ("values", "maps", "constant")}
        shape = list(parts["maps"]["fused"].shape[:2])
        return {
            "attributes": _packed(parts["values"]),
            "maps": _packed(parts["maps"]),
            "constants": _packed(parts["constant"]),
            "mapShape": shape,
        }


def _packed(arrays):
    return {name: base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode() for name, array in arrays.items()}
