"""TF Serving's gRPC PredictionService. Loads neither TensorFlow nor gRPC before it is asked for gRPC."""

import numpy as np

from bgsnet_tf.errors import UserError
from bgsnet_tf.exported.refusals import Refused
from bgsnet_tf.serving.client.checked import MAX_ANSWER, ranked, require_zero_shot, scores
from bgsnet_tf.serving.client.failures import Garbled, Overloaded


class GrpcTransport:
    """TF Serving's gRPC PredictionService; methods and errors as `RestTransport`."""

    def __init__(self, host, port, model, timeout):
        try:
            import grpc
            import tensorflow as tf
            from google.protobuf.message import DecodeError
            from tensorflow_serving.apis import classification_pb2, get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc
        except ImportError as error:
            raise UserError(f"gRPC needs tensorflow-serving-api ({error}): pip install it, or give --server=http://…") from error
        self.grpc, self.tf, self.model, self.timeout = grpc, tf, model, timeout
        self.DecodeError, self.address = DecodeError, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        limits = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", MAX_ANSWER)]
        self.channel = grpc.insecure_channel(self.address, limits)
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
        try:
            response.metadata["signature_def"].Unpack(signatures)
            require_zero_shot(signatures.signature_def)
            return signatures.signature_def["zero_shot"].inputs["class_attributes"].tensor_shape.dim[-1].size
        except (LookupError, self.DecodeError) as error:
            raise Garbled("its metadata give no number of attributes") from error

    def classify(self, files):
        request = self.messages[0].ClassificationRequest()
        for contents in files:
            feature = request.input.example_list.examples.add().features.feature["image/encoded"]
            feature.bytes_list.value.append(contents)
        response = self._call(self.stub.Classify, request, "classify")
        return ranked([[(c.label, c.score) for c in image.classes] for image in response.result.classifications], len(files))

    def zero_shot(self, files, class_attributes):
        request = self.messages[2].PredictRequest()
        repeated = np.tile(class_attributes.astype(np.float32), (len(files), 1, 1))
        request.inputs["image_bytes"].CopyFrom(self.tf.make_tensor_proto(files, self.tf.string))
        request.inputs["class_attributes"].CopyFrom(self.tf.make_tensor_proto(repeated))
        outputs = self._call(self.stub.Predict, request, "zero_shot").outputs
        try:
            found = self.tf.make_ndarray(outputs["scores"])
        except (ValueError, TypeError) as error:
            raise Garbled(f"its scores are no tensor: {error}") from error
        return scores(found, len(files), len(class_attributes))

    def close(self):
        self.channel.close()

    def _call(self, method, request, signature):
        request.model_spec.name, request.model_spec.signature_name = self.model, signature
        try:
            return method(request, timeout=self.timeout)
        except self.grpc.RpcError as error:
            code = error.code()
            if "larger than max" in (error.details() or ""):  # of what is received: what is sent has no limit
                raise Garbled(f"its answer is longer than {MAX_ANSWER} bytes") from error
            if code in (self.grpc.StatusCode.UNAVAILABLE, self.grpc.StatusCode.RESOURCE_EXHAUSTED):
                raise Overloaded(code.name) from error
            if code == self.grpc.StatusCode.DEADLINE_EXCEEDED:
                raise UserError(f"{self.address} gave no answer within --timeout={self.timeout:g} seconds") from error
            raise Refused(error.details() or code.name) from error
