"""The export as clients of TF Serving see it: a stand-in's REST and gRPC, the real server's where it is installed, and saved_model_cli."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.serving.server_files import MODEL_NAME
from bgsnet_tf.training.machines.local_workers import free_addresses

grpc = pytest.importorskip("grpc", reason="grpcio is not installed")
apis = pytest.importorskip("tensorflow_serving.apis", reason="tensorflow-serving-api is not installed")

from tensorflow_serving.apis import (  # noqa: E402
    classification_pb2,
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
START_SECONDS = 60


@contextlib.contextmanager
def real_server(base_path):
    """tensorflow_model_server on 127.0.0.1; yields its REST and gRPC address."""
    rest, rpc = free_addresses(2)
    ports = [f"--rest_api_port={rest.split(':')[1]}", f"--port={rpc.split(':')[1]}"]
    command = ["tensorflow_model_server", *ports, f"--model_name={MODEL_NAME}"]
    server = subprocess.Popen([*command, f"--model_base_path={base_path}", "--grpc_socket_path="], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            address = f"http://{rest}/v1/models/{MODEL_NAME}"
            with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as response:
                if b"AVAILABLE" in response.read():
                    break
            time.sleep(0.2)
        yield f"http://{rest}", rpc
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="module", params=["stand-in", "tensorflow_model_server"])
def addresses(request, exported):
    """(REST, gRPC) addresses."""
    if request.param == "stand-in":
        yield request.getfixturevalue("served")[1:]
    elif not shutil.which("tensorflow_model_server"):
        pytest.skip("tensorflow_model_server is not on PATH")
    else:
        with real_server(exported.directory) as found:
            yield found


def b64(contents):
    return {"b64": base64.b64encode(contents).decode()}


@pytest.fixture
def rest(addresses):
    """Sends a JSON body (none: GET) below the model's address; returns (HTTP status, answer)."""

    def call(verb, body=None, model=MODEL_NAME):
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(f"{addresses[0]}/v1/models/{model}{verb}", data, timeout=60) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    return call


@pytest.fixture
def stub(addresses):
    with grpc.insecure_channel(addresses[1]) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def assert_rows(predictions, exported):
    scores = exported.expected_scores()
    np.testing.assert_allclose([row["scores"] for row in predictions], scores, **TOLERANCE)
    assert [row["class_name"] for row in predictions] == [exported.benchmark.class_names[c] for c in scores.argmax(axis=1)]
    assert [row["class_index"] for row in predictions] == scores.argmax(axis=1).tolist()


@pytest.mark.parametrize("verb", [":predict", "/versions/1:predict"])
def test_rest_rows_of_one_input_need_no_name(rest, exported, verb):
    status, answer = rest(verb, {"instances": [b64(contents) for contents in exported.image_bytes]})
    assert status == 200
    assert_rows(answer["predictions"], exported)


def test_rest_rows_by_name(rest, exported):
    rows = [{"image_bytes": b64(contents)} for contents in exported.image_bytes]
    assert_rows(rest(":predict", {"signature_name": "serving_default", "instances": rows})[1]["predictions"], exported)


def test_rest_columns(rest, exported):
    status, answer = rest(":predict", {"inputs": {"image_bytes": [b64(contents) for contents in exported.image_bytes]}})
    assert status == 200
    np.testing.assert_allclose(answer["outputs"]["scores"], exported.expected_scores(), **TOLERANCE)


def test_rest_pixels(rest, exported):
    images = [tf.io.decode_image(contents, channels=3).numpy().tolist() for contents in exported.image_bytes]
    assert_rows(rest(":predict", {"signature_name": "images", "instances": images})[1]["predictions"], exported)


@pytest.mark.parametrize("form", ["instances", "inputs"])
def test_rest_explain(rest, exported, form):
    rows = [{"image_bytes": b64(contents), "attribute_indices": [3, i % 3]} for i, contents in enumerate(exported.image_bytes)]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    _, answer = rest(":predict", {"signature_name": "explain", form: rows if form == "instances" else columns})
    names = ("maps_special", "constants_special")
    found = {name: [row[name] for row in answer["predictions"]] if form == "instances" else answer["outputs"][name] for name in names}
    expected = np.take_along_axis(exported.expected()["special"], np.array([row["attribute_indices"] for row in rows]), axis=1)
    np.testing.assert_allclose(np.sum(found["maps_special"], axis=(1, 2)) + found["constants_special"], expected, atol=1e-4)


@pytest.mark.parametrize("form", ["instances", "inputs"])
def test_rest_zero_shot(rest, exported, form):
    unseen = exported.benchmark.unseen_classes
    vectors = exported.benchmark.attributes[unseen].tolist()
    rows = [{"image_bytes": b64(contents), "class_attributes": vectors} for contents in exported.image_bytes]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    _, answer = rest(":predict", {"signature_name": "zero_shot", form: rows if form == "instances" else columns})
    scores = [row["scores"] for row in answer["predictions"]] if form == "instances" else answer["outputs"]["scores"]
    np.testing.assert_allclose(scores, exported.expected_scores()[:, unseen], **TOLERANCE)


def test_rest_classify(rest, exported):
    examples = [{"image/encoded": b64(contents)} for contents in exported.image_bytes]
    status, answer = rest(":classify", {"signature_name": "classify", "examples": examples})
    assert status == 200
    for row, scores in zip(answer["result"], exported.expected_scores()):
        assert [label for label, _ in row] == [exported.benchmark.class_names[c] for c in np.argsort(-scores)]
        np.testing.assert_allclose([score for _, score in row], -np.sort(-scores), **TOLERANCE)


def test_rest_status_and_metadata(rest):
    assert rest("")[1]["model_version_status"][0]["state"] == "AVAILABLE"
    status, metadata = rest("/metadata")
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert status == 200 and metadata["model_spec"]["version"] == "1"
    assert {name for name in signatures if not name.startswith("__")} == {
        "serving_default",
        "images",
        "zero_shot",
        "attributes",
        "classify",
        "explain",
    }
    assert signatures["classify"]["method_name"] == "tensorflow/serving/classify"


BAD_REQUESTS = {
    "no JSON": (":predict", b"{", 400),
    "rows and columns": (":predict", {"instances": ["a"], "inputs": ["a"]}, 400),
    "no rows": (":predict", {"instances": []}, 400),
    "text for an image": (":predict", {"instances": ["a cat"]}, 400),
    "another input": (":predict", {"instances": [{"picture": "a"}]}, 400),
    "another signature": (":predict", {"signature_name": "regress", "instances": ["a"]}, 400),
    "NaN": (":predict", {"signature_name": "zero_shot", "instances": [{"image_bytes": "a", "class_attributes": [[1, 2, 3, np.nan]]}]}, 400),
    "no example": (":classify", {"signature_name": "classify", "examples": []}, 400),
    "example without image": (":classify", {"signature_name": "classify", "examples": [{"image": "a"}]}, 400),
    "classify without its method": (":classify", {"examples": [{"image/encoded": "a"}]}, 400),
    "another version": ("/versions/7:predict", {"instances": ["a"]}, 404),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_rest_errors_are_json_and_the_server_lives_on(rest, exported, name):
    verb, body, expected = BAD_REQUESTS[name]
    status, answer = rest(verb, body)
    assert status == expected and answer["error"]
    assert rest(":predict", {"instances": [b64(exported.image_bytes[0])]})[0] == 200


def test_rest_another_model(rest):
    assert rest(":predict", {"instances": ["a"]}, model="other")[0] == 404


def predict_request(signature, **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = MODEL_NAME, signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def test_grpc_predict(stub, exported):
    request = predict_request("serving_default", image_bytes=exported.image_bytes)
    request.model_spec.version.value = 1
    outputs = stub.Predict(request, timeout=60).outputs
    np.testing.assert_allclose(tf.make_ndarray(outputs["scores"]), exported.expected_scores(), **TOLERANCE)
    request.output_filter.append("class_name")
    assert set(stub.Predict(request, timeout=60).outputs) == {"class_name"}


def test_grpc_zero_shot_recognises_classes_of_the_request(stub, exported):
    unseen = exported.benchmark.unseen_classes
    vectors = np.tile(exported.benchmark.attributes[unseen], (8, 1, 1))
    outputs = stub.Predict(predict_request("zero_shot", image_bytes=exported.image_bytes, class_attributes=vectors), timeout=60).outputs
    np.testing.assert_allclose(tf.make_ndarray(outputs["scores"]), exported.expected_scores()[:, unseen], **TOLERANCE)


def test_grpc_classify(stub, exported):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = MODEL_NAME, "classify"
    for contents in exported.image_bytes:
        request.input.example_list.examples.add().features.feature["image/encoded"].bytes_list.value.append(contents)
    classifications = stub.Classify(request, timeout=60).result.classifications
    best = [exported.benchmark.class_names[c] for c in exported.expected_scores().argmax(axis=1)]
    assert [image.classes[0].label for image in classifications] == best


def test_grpc_metadata(stub):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = MODEL_NAME
    response = stub.GetModelMetadata(request, timeout=60)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["zero_shot"].inputs["class_attributes"].tensor_shape.dim[2].size == 4


@pytest.mark.parametrize(
    "request_, code",
    [
        (predict_request("serving_default", image_bytes=[b"no image"]), grpc.StatusCode.INVALID_ARGUMENT),
        (
            predict_request("zero_shot", image_bytes=[b"a"], class_attributes=np.ones((1, 2, 9), np.float32)),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (predict_request("serving_default"), grpc.StatusCode.INVALID_ARGUMENT),
    ],
    ids=["no image", "wide attributes", "no input"],
)
def test_grpc_errors(stub, request_, code):
    with pytest.raises(grpc.RpcError) as error:
        stub.Predict(request_, timeout=60)
    assert error.value.code() == code


def saved_model_cli(*arguments):
    program = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", *arguments]
    return subprocess.run(program, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.long
def test_saved_model_cli_shows_and_runs(exported, tmp_path):
    version = os.path.join(exported.directory, "1")
    shown = saved_model_cli("show", "--dir", version, "--all")
    assert "tensorflow/serving/classify" in shown and "signature_def['zero_shot']" in shown
    np.save(tmp_path / "images.npy", np.full((2, 40, 50, 3), 128, np.uint8))
    arguments = ["--dir", version, "--tag_set", "serve", "--signature_def", "images", "--inputs", f"images={tmp_path}/images.npy"]
    assert "Result for output key class_name" in saved_model_cli("run", *arguments)
