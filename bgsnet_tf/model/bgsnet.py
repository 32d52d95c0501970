"""BGSNet: the fusion of both branches, for inference (§2.4)."""

import tensorflow as tf


class BGSNet(tf.keras.Model):
    """Images (B, H, W, 3) in 0..255 to predicted attributes.

    Args:
      trunk: the shared layers.
      general_tail: GNet's fine-tuned tail; BSNet's instance balance reads its e_g too.
      general_predictor: f_g, or None without the general branch.
      bsnet: BSNet, or None without the special branch.
    """

    def __init__(self, trunk, general_tail, general_predictor=None, bsnet=None, **kwargs):
        super().__init__(**kwargs)
        self.trunk, self.general_tail, self.general_predictor, self.bsnet = trunk, general_tail, general_predictor, bsnet

    def call(self, images):
        """Dict of (B, A): `fused` ā = a_g + a_s, and its parts `general` and `special` where the branch is used."""
        return self.from_features(*self.embed(images))

    def embed(self, images):
        """Trunk features (B, h, w, c) and e_g (B, K) of images."""
        features = self.trunk(images, training=False)
        return features, self.general_tail(features, training=False)

    def from_features(self, features, embeddings):
        """As `call`, from trunk features and e_g."""
        return self.fuse(embeddings, None if self.bsnet is None else self.bsnet((features, embeddings), training=False))

    def fuse(self, embeddings, special):
        """As `call`, from e_g and a_s; a_s is None without the special branch."""
        branches = {}
        if self.general_predictor is not None:
            branches["general"] = self.general_predictor(embeddings)
        if special is not None:
            branches["special"] = special
        return {"fused": self.combined(branches), **branches}

    def combined(self, branches):
        """ā of a dict of the branches in use: a linear map of them, so that parts of branches may be combined too."""
        return tf.add_n(list(branches.values()))
