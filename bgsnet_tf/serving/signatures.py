"""What TF Serving can be asked: BGSNet's signatures, preprocessing inside the graph.

Letters: B images, C classes of the training data set, C' classes of a request, A attributes, k of them.
"""

import functools

import tensorflow as tf

from bgsnet_tf.errors import UserError
from bgsnet_tf.exported import layout
from bgsnet_tf.exported.layout import output_name
from bgsnet_tf.model.attribution import Attribution
from bgsnet_tf.model.folding import folded
from bgsnet_tf.serving import inputs

_traced = functools.partial(tf.function, autograph=False)  # which takes longer than tracing
IMAGE_BYTES = tf.TensorSpec([None], tf.string, "image_bytes")
CLASSIFY_METHOD = "tensorflow/serving/classify"


class ServedBGSNet(tf.Module):
    """BGSNet with its preprocessing, its classes and its calibration.

    Args:
      bgsnet: the trained network.
      benchmark: names and attributes of the classes, and which are seen.
      views: how an image becomes the network's input.
      delta: calibration constant of the seen classes' scores.
      directory: where the files of `layout` are written, to be saved from there.
      origin: `layout.Origin`, where that is known.

    Attributes:
      no_heat_maps: why there is no signature `explain`; None where there is one.
    """

    def __init__(self, bgsnet, benchmark, views, delta, directory, origin=None):
        super().__init__()
        self.views, self.upright, self.no_heat_maps = views, benchmark.upright, None
        small = folded(bgsnet)
        try:
            attribution = Attribution(small)
        except UserError as error:
            self.no_heat_maps = str(error)
        described = layout.write(directory, benchmark, views, delta, self.no_heat_maps, origin)
        self.assets = [tf.saved_model.Asset(path) for path in described]
        self.class_names = tf.constant(benchmark.class_names)
        self.class_embeddings = tf.constant(benchmark.phi)
        self.attribute_origin = tf.constant(benchmark.attribute_origin, tf.float32)
        is_seen = tf.scatter_nd(benchmark.seen_classes[:, None], tf.ones(len(benchmark.seen_classes)), [len(benchmark.class_names)])
        self.offsets = delta * is_seen
        pixels = tf.TensorSpec([None, views.size, views.size, 3], tf.float32)
        self.network = _traced(_for_any_batch(small.call), input_signature=[pixels])  # one graph that all signatures call
        if self.no_heat_maps is None:
            self.attribution = _traced(_for_any_batch(_branches(attribution)), input_signature=[pixels])
        self.decoded = _traced(self._decoded, input_signature=[IMAGE_BYTES])  # another one
        self.view = _traced(self._view, input_signature=[IMAGE_BYTES])  # no signature: for those who load the SavedModel
        self.network_variables = self.network.get_concrete_function().variables  # saved; optimizers and metrics are not

    def signatures(self):
        """Signature name to its `tf.function`."""
        images = tf.TensorSpec([None, None, None, 3], tf.uint8, "images")
        class_attributes = tf.TensorSpec([None, None, self.class_embeddings.shape[1]], tf.float32, "class_attributes")
        examples = tf.TensorSpec([None], tf.string, "inputs")
        indices = tf.TensorSpec([None, None], tf.int32, "attribute_indices")
        explain = {"explain": _traced(self.explain, input_signature=[IMAGE_BYTES, indices])} if self.no_heat_maps is None else {}
        return {
            "serving_default": _traced(self.serving_default, input_signature=[IMAGE_BYTES]),
            "images": _traced(self.images, input_signature=[images]),
            "zero_shot": _traced(self.zero_shot, input_signature=[IMAGE_BYTES, class_attributes]),
            "attributes": _traced(self.attributes, input_signature=[IMAGE_BYTES]),
            "classify": _traced(self.classify, input_signature=[examples]),
            **explain,
        }

    def serving_default(self, image_bytes):
        """JPEG or PNG files (B,) to calibrated `scores` (B, C), `class_index` (B,), `class_name` (B,), `attributes` (B, A)."""
        return self._classified(self.decoded(image_bytes))

    def images(self, images):
        """Pixels (B, H, W, 3) uint8 of any size to what `serving_default` gives."""
        return self._classified(inputs.view_images(images, self.views))

    def zero_shot(self, image_bytes, class_attributes):
        """Files (B,), and the attributes (B, C', A) of the classes to choose from, to `scores` (B, C') and `class_index` (B,).

        The classes come with the request and are all alike: none is seen, so δ plays no part.
        """
        embeddings = inputs.class_embeddings(class_attributes, image_bytes, self.attribute_origin)
        attributes = self.network(self.decoded(image_bytes))["fused"]
        scores = tf.einsum("ba,bca->bc", attributes, embeddings)
        return {"scores": scores, "class_index": tf.argmax(scores, axis=1, output_type=tf.int32)}

    def attributes(self, image_bytes):
        """Files (B,) to `attributes` (B, A) ā, and of the branches in use `attributes_general` a_g, `attributes_special` a_s."""
        branches = self.network(self.decoded(image_bytes))
        return {output_name("attributes", branch): output for branch, output in branches.items()}

    def explain(self, image_bytes, attribute_indices):
        """Files (B,), and k attributes of each by their numbers (B, k), to those `attributes`, their `maps` and `constants`.

        The attributes (B, k) are the maps (B, h, w, k) summed over h and w, plus the constants (B, k). Those of the branches in
        use follow as in `attributes`. The maps are float32: TF Serving's REST knows no narrower number.
        """
        indices = inputs.attribute_indices(attribute_indices, image_bytes, self.class_embeddings.shape[1])
        outputs = {}
        for branch, (maps, constants) in self.attribution(self.decoded(image_bytes)).items():
            maps, constants = (tf.gather(part, indices, axis=-1, batch_dims=1) for part in (maps, constants))
            values = tf.reduce_sum(maps, [1, 2]) + constants
            outputs.update({output_name(what, branch): x for what, x in (("attributes", values), ("maps", maps), ("constants", constants))})
        return outputs

    def classify(self, examples):
        """Serialized tf.Examples (B,) with `image/encoded` to `classes` (B, C) names and `scores` (B, C), best first."""
        parsed = tf.io.parse_example(examples, {"image/encoded": tf.io.FixedLenFeature([], tf.string)})
        scores = self.serving_default(parsed["image/encoded"])["scores"]
        scores, order = tf.math.top_k(scores, k=self.class_names.shape[0])
        return {"classes": tf.gather(self.class_names, order), "scores": scores}

    def _classified(self, images):
        attributes = self.network(images)["fused"]
        scores = tf.matmul(attributes, self.class_embeddings, transpose_b=True) - self.offsets
        class_index = tf.argmax(scores, axis=1, output_type=tf.int32)
        return {
            "scores": scores,
            "class_index": class_index,
            "class_name": tf.gather(self.class_names, class_index),
            "attributes": attributes,
        }

    def _decoded(self, image_bytes):
        """Files (B,) to what the network takes of them: pixels (B, size, size, 3) float32."""
        return inputs.decode_images(image_bytes, self.views, self.upright)

    def _view(self, image_bytes):
        """What the network sees of files (B,): pixels (B, size, size, 3) uint8."""
        return tf.saturate_cast(tf.round(self.decoded(image_bytes)), tf.uint8)


def _branches(attribution):
    """An `Attribution` without the sub-modules, from pixels to (maps, constants) by branch."""
    return lambda images: {branch: tuple(parts) for branch, parts in attribution(images).items() if branch != "submodules"}


def _for_any_batch(call):
    """`call` on images (B, H, W, 3), also where B = 0: TensorFlow's convolution fused with a batch norm fails there."""

    def on_any_batch(images):
        count = tf.shape(images)[0]
        some = tf.cond(count > 0, lambda: images, lambda: tf.zeros([1, *images.shape[1:]]))
        outputs = call(tf.ensure_shape(some, images.shape))
        return tf.nest.map_structure(lambda output: output[:count], outputs)

    return on_any_batch
