"""Where a network saw the attributes that decided, as small pictures for a report and for TensorBoard."""

import numpy as np

from bgsnet_tf.evaluation import analysis
from bgsnet_tf.evaluation.heat_maps import overlay

DECISIVE_MAPS = 3
LEGEND = "Maps: where the first of those attributes were seen, in the same colours, on one scale a photo."


def decisive(evidence, wanted):
    """For each of k images: it (H, W, 3) uint8, and under the maps of its first attributes (up to `DECISIVE_MAPS`, H, W, 3), on one scale.

    Args:
      evidence: `run_page.Evidence`, with maps.
      wanted: for each, its position, the two classes whose scores' difference the maps are of, and indices of attributes, the most
        decisive one first.
    """
    positions = tuple(image for image, *_ in wanted)
    if not positions:
        return []
    found = []
    loaded = zip(wanted, evidence.load_images(np.array(positions)), evidence.load_maps(positions))
    for (_, chosen, rival, attributes), pixels, of_image in loaded:
        weights = evidence.class_attributes[chosen] - evidence.class_attributes[rival]
        maps = (of_image * weights)[..., attributes[:DECISIVE_MAPS]]
        found.append((pixels, np.stack([overlay(pixels, heat, np.abs(maps).max()) for heat in np.moveaxis(maps, -1, 0)])))
    return found


def of_examples(decisions):
    """What `decisive` wants for `analysis.examples` of some decisions."""
    return [(d.image, d.chosen, d.rival, d.attributes) for _, d in analysis.examples(decisions)]


def strips(evidence):
    """Dict from a name to (a description, (H, 4 W, 3) uint8: image and maps side by side) of the example predictions of an `Evidence`.

    Without maps there are none.
    """
    if evidence.load_maps is None:
        return {}
    found = {}
    shown = zip(analysis.examples(evidence.decisions), decisive(evidence, of_examples(evidence.decisions)))
    for number, ((verdict, d), (image, maps)) in enumerate(shown):
        chosen, rival = (evidence.class_names[c] for c in (d.chosen, d.rival))
        names = ", ".join(evidence.attribute_names[a] for a in d.attributes[: len(maps)])
        found[f"heat_maps/{number}_{verdict}"] = f"read as {chosen}, next {rival}; maps: {names}", np.concatenate([image, *maps], axis=1)
    return found
