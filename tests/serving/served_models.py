"""The versions of a model as TF Serving's APIs see them: run a signature, or fail with a status. Part of the harness."""

import os
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

CLASSIFY_METHOD = "tensorflow/serving/classify"


class ModelError(Exception):
    """A request's failure: the name of a gRPC status, and a message."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Models:
    """The versions of one model.

    Attributes:
      failures: errors that the next requests get instead of an answer, first to last; tests put them in.
      join_seconds: how long a request waits for others of the same signature and inner shape, to be computed with them, as
        with --enable_batching; 0 for not at all.
    """

    def __init__(self, base_path, name):
        self.base_path, self.name = base_path, name
        self.loaded, self.lock, self.failures = {}, threading.Lock(), []
        self.join_seconds, self.waiting = 0.0, {}

    def find(self, name, version=None):
        """(version number, SavedModel, its signature_defs); the highest version where none is given."""
        versions = [int(entry) for entry in os.listdir(self.base_path) if entry.isdigit()]
        number = int(version) if version else max(versions)
        if name != self.name or number not in versions:
            wanted = f"Specific({name}, {version})" if version else f"Latest({name})"
            raise ModelError("NOT_FOUND", f"Servable not found for request: {wanted}")
        with self.lock:
            if number not in self.loaded:
                path = os.path.join(self.base_path, str(number))
                saved = saved_model_pb2.SavedModel()
                with open(os.path.join(path, "saved_model.pb"), "rb") as file:
                    saved.ParseFromString(file.read())
                self.loaded[number] = tf.saved_model.load(path), saved.meta_graphs[0].signature_def
        return (number, *self.loaded[number])

    def run(self, name, version, signature, inputs_of, method=None):
        """Outputs of a signature by name, as NumPy arrays.

        Args:
          name, version: of the model.
          signature: its name; "" for the default one.
          inputs_of: function from the signature's dict of input specs to a dict of arrays.
          method: the method name that the signature must have; None for any.
        """
        if self.failures:
            raise self.failures.pop(0)
        _, model, signature_defs = self.find(name, version)
        signature = signature or "serving_default"
        if signature not in model.signatures:
            raise ModelError("INVALID_ARGUMENT", f'Serving signature name: "{signature}" not found in signature def')
        found = signature_defs[signature].method_name
        if method and found != method:
            raise ModelError("INVALID_ARGUMENT", f"Expected classification signature method_name to be {method}. Was: {found}")
        function = model.signatures[signature]
        specs = function.structured_input_signature[1]
        inputs = inputs_of(specs)
        if set(inputs) != set(specs):
            raise ModelError("INVALID_ARGUMENT", f"inputs {sorted(inputs)} do not match the signature's {sorted(specs)}")
        try:
            tensors = {key: tf.constant(value, specs[key].dtype) for key, value in inputs.items()}
            return self._joined(signature, function, tensors) if self.join_seconds else _compute(function, tensors)
        except tf.errors.OpError as error:
            raise ModelError(grpc_status(error), error.message) from error
        except (TypeError, ValueError) as error:  # Python's own check of shapes
            raise ModelError("INVALID_ARGUMENT", str(error)) from error

    def _joined(self, signature, function, tensors):
        """As `_compute`, together with the requests that come within `join_seconds`; all of them fail where one does."""
        kind = signature, *(tuple(tensors[key].shape[1:]) for key in sorted(tensors))
        with self.lock:
            requests, outputs = self.waiting.setdefault(kind, ([], futures.Future()))
            number = len(requests)
            requests.append(tensors)
        if number == 0:
            time.sleep(self.join_seconds)
            with self.lock:
                del self.waiting[kind]
            try:
                outputs.set_result(_compute(function, {key: tf.concat([r[key] for r in requests], 0) for key in tensors}))
            except tf.errors.OpError as error:
                outputs.set_exception(error)
        found = outputs.result()  # from here on no request joins
        ends = np.cumsum([len(next(iter(request.values()))) for request in requests])
        return {key: np.split(output, ends[:-1])[number] for key, output in found.items()}


def _compute(function, tensors):
    return {key: output.numpy() for key, output in function(**tensors).items()}


def grpc_status(error):
    return next(status.name for status in grpc.StatusCode if status.value[0] == error.error_code)


def classify(models, spec, examples):
    """A list of (label, score) for each of the serialized tf.Examples."""
    if not examples:
        raise ModelError("INVALID_ARGUMENT", "Input is empty.")
    outputs = models.run(*spec, lambda _: {"inputs": np.array(examples, object)}, CLASSIFY_METHOD)
    return [
        [(label.decode(), float(score)) for label, score in zip(labels, scores)]
        for labels, scores in zip(outputs["classes"], outputs["scores"])
    ]
