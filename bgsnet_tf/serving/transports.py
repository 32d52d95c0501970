"""How the client speaks to TF Serving: REST, or gRPC. Loads neither TensorFlow nor gRPC before it is asked for gRPC.

Letters: B images, C' classes of a request, A attributes.
"""

import base64
import http.client
import json
import socket
import urllib.parse

import numpy as np

from bgsnet_tf.errors import UserError
from bgsnet_tf.exported.refusals import Refused

OVERLOADED_HTTP = (429, 503)  # TF Serving: RESOURCE_EXHAUSTED, UNAVAILABLE


class Overloaded(Exception):
    """The server has no room for the request now; the same request may pass later."""


def connect(server, model, timeout):
    """A transport to `server`: http://HOST:PORT for REST, grpc://HOST:PORT for gRPC.

    Args:
      server: the address.
      model: name that the server serves the model as.
      timeout: seconds that a request may take.

    Raises:
      UserError: for another kind of address, or without the packages that gRPC needs.
    """
    address = urllib.parse.urlsplit(server)
    kinds = {"http": RestTransport, "grpc": GrpcTransport}
    if address.scheme not in kinds or not address.hostname or not address.port:
        raise UserError(f"--server={server} is no address; give http://HOST:8501 for REST or grpc://HOST:8500 for gRPC")
    return kinds[address.scheme](address.hostname, address.port, model, timeout)


class RestTransport:
    """TF Serving's REST API; a connection for each request, so that threads may share it.

    Every method raises `Overloaded` or `Refused`, or a `UserError` where no server answers in time.
    """

    def __init__(self, host, port, model, timeout):
        self.host, self.port, self.timeout = host, port, timeout
        self.path = f"/v1/models/{urllib.parse.quote(model, safe='')}"

    def attributes(self):
        """A: how many attributes a class of `zero_shot` needs."""
        signatures = self._request("GET", "/metadata")["metadata"]["signature_def"]["signature_def"]
        _require_zero_shot(signatures)
        return int(signatures["zero_shot"]["inputs"]["class_attributes"]["tensor_shape"]["dim"][-1]["size"])

    def classify(self, files):
        """For each of the files' bytes (B,), a list of (class name, score), best first."""
        examples = [{"image/encoded": _base64(contents)} for contents in files]
        return self._request("POST", ":classify", {"signature_name": "classify", "examples": examples})["result"]

    def zero_shot(self, files, class_attributes):
        """Scores (B, C') of files (B,) for classes (C', A)."""
        repeated = [class_attributes.tolist()] * len(files)
        inputs = {"image_bytes": [_base64(contents) for contents in files], "class_attributes": repeated}
        return np.array(self._request("POST", ":predict", {"signature_name": "zero_shot", "inputs": inputs})["outputs"]["scores"])

    def _request(self, method, verb, body=None):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        try:
            connection.request(method, self.path + verb, None if body is None else json.dumps(body))
            response = connection.getresponse()
            content = response.read()
        except socket.timeout as error:
            raise UserError(f"{self.host}:{self.port} gave no answer within --timeout={self.timeout:g} seconds") from error
        except (OSError, http.client.HTTPException) as error:
            raise UserError(f"no REST server of TF Serving answers at {self.host}:{self.port}: {error}") from error
        finally:
            connection.close()
        if response.status == 200:
            return json.loads(content)
        if response.status in OVERLOADED_HTTP:
            raise Overloaded(f"HTTP {response.status}")
        raise Refused(_message(content, response.status))


class GrpcTransport:
    """TF Serving's gRPC PredictionService; methods and errors as `RestTransport`."""

    def __init__(self, host, port, model, timeout):
        try:
            import grpc
            import tensorflow as tf
            from tensorflow_serving.apis import classification_pb2, get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc
        except ImportError as error:
            raise UserError(f"gRPC needs tensorflow-serving-api ({error}): pip install it, or give --server=http://…") from error
        self.grpc, self.tf, self.model, self.timeout = grpc, tf, model, timeout
        self.address = f"{host}:{port}"
        unlimited = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        self.channel = grpc.insecure_channel(self.address, unlimited)
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.messages = classification_pb2, get_model_metadata_pb2, predict_pb2
        try:
            grpc.channel_ready_future(self.channel).result(timeout)
        except grpc.FutureTimeoutError as error:
            raise UserError(f"no gRPC server of TF Serving answers at {self.address}") from error

    def attributes(self):
        metadata = self.messages[1]
        request = metadata.GetModelMetadataRequest(metadata_field=["signature_def"])
        response = self._call(self.stub.GetModelMetadata, request, "")
        signatures = metadata.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        _require_zero_shot(signatures.signature_def)
        return signatures.signature_def["zero_shot"].inputs["class_attributes"].tensor_shape.dim[-1].size

    def classify(self, files):
        request = self.messages[0].ClassificationRequest()
        for contents in files:
            feature = request.input.example_list.examples.add().features.feature["image/encoded"]
            feature.bytes_list.value.append(contents)
        response = self._call(self.stub.Classify, request, "classify")
        return [[(c.label, c.score) for c in image.classes] for image in response.result.classifications]

    def zero_shot(self, files, class_attributes):
        request = self.messages[2].PredictRequest()
        repeated = np.tile(class_attributes.astype(np.float32), (len(files), 1, 1))
        request.inputs["image_bytes"].CopyFrom(self.tf.make_tensor_proto(files, self.tf.string))
        request.inputs["class_attributes"].CopyFrom(self.tf.make_tensor_proto(repeated))
        return self.tf.make_ndarray(self._call(self.stub.Predict, request, "zero_shot").outputs["scores"])

    def _call(self, method, request, signature):
        request.model_spec.name, request.model_spec.signature_name = self.model, signature
        try:
            return method(request, timeout=self.timeout)
        except self.grpc.RpcError as error:
            code = error.code()
            if code in (self.grpc.StatusCode.UNAVAILABLE, self.grpc.StatusCode.RESOURCE_EXHAUSTED):
                raise Overloaded(code.name) from error
            if code == self.grpc.StatusCode.DEADLINE_EXCEEDED:
                raise UserError(f"{self.address} gave no answer within --timeout={self.timeout:g} seconds") from error
            raise Refused(error.details()) from error


def _require_zero_shot(signatures):
    if "zero_shot" not in signatures:
        raise Refused(f"the model has the signatures {', '.join(sorted(signatures))}, but not zero_shot")


def _base64(contents):
    return {"b64": base64.b64encode(contents).decode()}


def _message(content, status):
    try:
        return json.loads(content)["error"]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {status}"
