"""The flags of the rendered benchmarks: which draw of classes, and the dials of --dataset=demo_dials."""

import dataclasses

from bgsnet_tf.config.options import at_least, between, option
from bgsnet_tf.errors import UserError

DATA_SEED = 20  # Pinned: the choice of classes alone moves accuracy more than any method does.
SEEN_CLASSES = 48


@dataclasses.dataclass(frozen=True)
class Dials:
    """Every dial at 0 gives independent attributes and classes far apart, in one light.

    Raises:
      UserError: where dials contradict each other.
    """

    data_seed: int = option(
        DATA_SEED, "demo, demo_fine, demo_dials: seed of the choice of classes and of all images.", between(0, 2**31 - 1)
    )
    seen_classes: int = option(
        0,
        "Use this many of the data set's seen classes alone, for a learning curve; the unseen ones stay. 0: all. demo_dials draws "
        "this many, 8 to 240, which share 1920 images; 0: 48.",
        at_least(0),
    )
    correlation: float = option(
        0.0,
        "demo_dials: ρ, the probability that the texture of a seen class follows from its shape; of validation and unseen classes it never "
        "does.",
        between(0, 1),
    )
    fine_share: float = option(
        0.0,
        "demo_dials: share of the classes that come in families of three which differ in the badge alone; needs --detail.",
        between(0, 1),
    )
    detail: float = option(
        0.0, "demo_dials: diameter in pixels of the badge on every object (no, white or black); 0: there is none.", between(0, 12)
    )
    cues: int = option(
        0,
        "demo_dials: m, the number of objects in separate places, whose fills, textures and outlines are the attributes; 0: one kind of "
        "object with all attributes.",
        between(0, 6),
    )
    light_shift: float = option(
        0.0, "demo_dials: how much darker, warmer and noisier the images of validation and unseen classes are; at most 1.", between(0, 1)
    )

    def __post_init__(self):
        if self.fine_share and not self.detail:
            raise UserError(f"--fine_share={self.fine_share} makes families that differ in the badge alone; give its size, e.g. --detail=5")
        if self.cues and (self.correlation or self.detail):
            raise UserError(f"--cues={self.cues} draws other objects than --correlation and --detail change; set one or the other to 0")
        if self.cues == 1 and self.seen_classes > SEEN_CLASSES:
            raise UserError(f"--seen_classes={self.seen_classes}: one cue has 72 kinds, of which 24 are for the others; give at most 48")

    @property
    def turned(self):
        """Names of the dials that are not at 0, but for those that other data sets have too."""
        others = "data_seed", "seen_classes"
        return [f"--{field.name}" for field in dataclasses.fields(Dials) if field.name not in others and getattr(self, field.name)]

    @property
    def drawn_classes(self):
        """How many seen classes --dataset=demo_dials has."""
        return self.seen_classes or SEEN_CLASSES
