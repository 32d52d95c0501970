"""A stand-in for tensorflow_model_server: TF Serving's REST and gRPC rules over the real SavedModel.

It follows tensorflow_serving/g3doc/api_rest.md and the protos of tensorflow_serving/apis, as far as the project's
signatures reach; it neither batches nor manages versions, but takes the highest number it finds.
"""

import contextlib
import http.server
import json
import re
import threading
from concurrent import futures

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.serving import rest_json
from tests.serving.served_models import ModelError, Models, classify

HTTP_STATUS = {"INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "UNAVAILABLE": 503, "RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 412}
PATH = re.compile(r"/v1/models/(?P<model>[^/:]+)(/versions/(?P<version>\d+))?(?P<verb>:predict|:classify|/metadata)?")


class Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    """gRPC's PredictionService."""

    def __init__(self, models):
        self.models = models

    def Predict(self, request, context):
        def inputs_of(_):
            return {key: tf.make_ndarray(tensor) for key, tensor in request.inputs.items()}

        with _as_status(context):
            outputs = self.models.run(*_spec(request), inputs_of)
            wanted = request.output_filter or outputs
            return predict_pb2.PredictResponse(
                model_spec=request.model_spec, outputs={key: tf.make_tensor_proto(outputs[key]) for key in wanted}
            )

    def Classify(self, request, context):
        with _as_status(context):
            examples = [example.SerializeToString() for example in request.input.example_list.examples]
            response = classification_pb2.ClassificationResponse(model_spec=request.model_spec)
            for pairs in classify(self.models, _spec(request), examples):
                classes = response.result.classifications.add().classes
                for label, score in pairs:
                    classes.add(label=label, score=score)
            return response

    def GetModelMetadata(self, request, context):
        with _as_status(context):
            number, _, signature_defs = self.models.find(*_spec(request)[:2])
            signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=dict(signature_defs))
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            response.model_spec.name, response.model_spec.version.value = request.model_spec.name, number
            response.metadata["signature_def"].Pack(signatures)
            return response


def _spec(request):
    spec = request.model_spec
    return spec.name, spec.version.value if spec.HasField("version") else None, spec.signature_name


@contextlib.contextmanager
def _as_status(context):
    try:
        yield
    except ModelError as error:
        context.abort(grpc.StatusCode[error.code], str(error))


class Rest(http.server.BaseHTTPRequestHandler):
    """REST API; the server it belongs to has `models`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._answer({None: rest_json.status_json, "/metadata": rest_json.metadata_json})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({":predict": rest_json.predict_json, ":classify": rest_json.classify_json}, body)

    def _answer(self, verbs, *body):
        try:
            path = PATH.fullmatch(self.path)
            if not path or path["verb"] not in verbs:
                raise ModelError("INVALID_ARGUMENT", f"Malformed request: {self.command} {self.path}")
            parsed = [rest_json.parse(content) for content in body]
            status, answer = 200, verbs[path["verb"]](self.server.models, path["model"], path["version"], *parsed)
        except ModelError as error:
            status, answer = HTTP_STATUS.get(error.code, 500), {"error": str(error)}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextlib.contextmanager
def serve(base_path, name, rest_port=0, grpc_port=0):
    """Serves a model's versions on 127.0.0.1; yields (`Models`, REST address, gRPC address)."""
    models = Models(base_path, name)
    rest = http.server.ThreadingHTTPServer(("127.0.0.1", rest_port), Rest)
    rest.models, rest.daemon_threads = models, True
    rpc = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", -1)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Predictions(models), rpc)
    rpc_port = rpc.add_insecure_port(f"127.0.0.1:{grpc_port}")
    thread = threading.Thread(target=rest.serve_forever, daemon=True)
    thread.start()
    rpc.start()
    try:
        yield models, f"http://127.0.0.1:{rest.server_address[1]}", f"127.0.0.1:{rpc_port}"
    finally:
        rest.shutdown()
        rest.server_close()
        rpc.stop(grace=1).wait()
        thread.join()
