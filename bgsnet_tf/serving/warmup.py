"""Warm-up requests that TF Serving plays to a version before it takes traffic.

The file is a TFRecord of tensorflow.serving.PredictionLog messages. They are put together here from their field
numbers, of which all are length-delimited: an export at the end of every training must not need the optional package
tensorflow-serving-api. The tests read the file with that package.
"""

import os

import numpy as np
import tensorflow as tf

FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
LENGTH_DELIMITED = 2  # the wire type


def write(version, signatures, image_size, attributes, model_name):
    """Writes one record for each of `signatures` into the folder of a version.

    Args:
      version: folder of the SavedModel.
      signatures: names out of `ServedBGSNet.signatures`.
      image_size: height and width of the image that is sent, in pixels.
      attributes: A.
      model_name: that the server serves the model as.
    """
    pixels = np.full((1, image_size, image_size, 3), 128, np.uint8)
    encoded = tf.io.encode_jpeg(pixels[0]).numpy()
    inputs = {
        "serving_default": {"image_bytes": [encoded]},
        "images": {"images": pixels},
        "zero_shot": {"image_bytes": [encoded], "class_attributes": np.ones((1, 1, attributes), np.float32)},
        "attributes": {"image_bytes": [encoded]},
        "explain": {"image_bytes": [encoded], "attribute_indices": np.zeros((1, 1), np.int32)},
    }
    path = os.path.join(version, FILE)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tf.io.TFRecordWriter(path) as writer:
        for name in signatures:
            model = _field(1, _field(1, model_name.encode()) + _field(3, name.encode()))  # ModelSpec: name, signature_name
            writer.write(_classify_log(model, encoded) if name == "classify" else _predict_log(model, inputs[name]))


def _predict_log(model, inputs):
    tensors = {name: tf.make_tensor_proto(value).SerializeToString() for name, value in inputs.items()}
    request = model + b"".join(_field(2, _field(1, name.encode()) + _field(2, tensor)) for name, tensor in tensors.items())
    return _field(6, _field(1, request))  # PredictionLog.predict_log.request


def _classify_log(model, encoded):
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))
    example = tf.train.Example(features=tf.train.Features(feature={"image/encoded": feature}))
    examples = _field(1, _field(1, example.SerializeToString()))  # Input.example_list.examples
    return _field(2, _field(1, model + _field(2, examples)))  # PredictionLog.classify_log.request


def _field(number, payload):
    return _varint(number << 3 | LENGTH_DELIMITED) + _varint(len(payload)) + payload


def _varint(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
