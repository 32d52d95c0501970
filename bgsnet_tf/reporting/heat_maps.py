"""Where a network saw the attributes that decided, as small pictures for a report and for TensorBoard."""

import numpy as np

from bgsnet_tf.evaluation import analysis
from bgsnet_tf.evaluation.heat_maps import overlay

DECISIVE_MAPS = 3
LEGEND = "Maps: where the first of those attributes were seen, in the same colours, on one scale a photo."


def decisive(evidence, image, chosen, rival, attributes):
    """An image (H, W, 3) uint8, and under the maps of its first attributes (up to `DECISIVE_MAPS`, H, W, 3), on one scale.

    Args:
      evidence: `run_page.Evidence`, with maps.
      image: its position.
      chosen, rival: the classes whose scores' difference the maps are of.
      attributes: indices, the most decisive one first.
    """
    (pixels,) = evidence.load_images(np.array([image]))
    weights = evidence.class_attributes[chosen] - evidence.class_attributes[rival]
    maps = (evidence.load_maps(image) * weights)[..., attributes[:DECISIVE_MAPS]]
    return pixels, np.stack([overlay(pixels, heat, np.abs(maps).max()) for heat in np.moveaxis(maps, -1, 0)])


def strips(evidence):
    """Dict from a name to (a description, (H, 4 W, 3) uint8: image and maps side by side) of the example predictions of an `Evidence`.

    Without maps there are none.
    """
    found = {}
    for number, (verdict, d) in enumerate(analysis.examples(evidence.decisions) if evidence.load_maps else []):
        image, maps = decisive(evidence, d.image, d.chosen, d.rival, d.attributes)
        chosen, rival = (evidence.class_names[c] for c in (d.chosen, d.rival))
        names = ", ".join(evidence.attribute_names[a] for a in d.attributes[: len(maps)])
        found[f"heat_maps/{number}_{verdict}"] = f"read as {chosen}, next {rival}; maps: {names}", np.concatenate([image, *maps], axis=1)
    return found
