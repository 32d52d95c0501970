"""Many clients for a long time, all signatures in a mix over REST and gRPC: every answer right, none lost, no growth of memory."""

import base64
import concurrent.futures
import json
import os
import random
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.serving.server_files import MODEL_NAME
from tests.serving.test_hard_input import REFUSED

REQUESTS, CLIENTS, MALFORMED = 10_000, 8, 0.05
WARM_UP = 0.3  # share of the requests after which memory may no longer grow
GROWTH = 30  # MB that allocators may move by
TIMEOUT = 600  # seconds of a request, on a machine that may be busy with other things
BAD_FILES = [contents for contents, _ in REFUSED.values()]


class Refused(Exception):
    pass


def rest(address):
    """A function that asks a signature by columns, and returns its outputs by name."""

    def json_value(value):
        if isinstance(value, bytes):
            return {"b64": base64.b64encode(value).decode()}
        return value.tolist() if isinstance(value, np.ndarray) else [json_value(entry) for entry in value]

    def post(verb, body):
        try:
            with urllib.request.urlopen(f"{address}/v1/models/{MODEL_NAME}{verb}", json.dumps(body).encode(), timeout=TIMEOUT) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            assert error.code == 400
            raise Refused(error.read()) from error

    def ask(signature, inputs):
        if signature == "classify":
            examples = [{"image/encoded": json_value(contents)} for contents in inputs["files"]]
            return post(":classify", {"signature_name": signature, "examples": examples})["result"]
        columns = {name: json_value(value) for name, value in inputs.items()}
        outputs = post(":predict", {"signature_name": signature, "inputs": columns})["outputs"]
        return outputs if isinstance(outputs, dict) else {"attributes": outputs}  # one output goes without its name

    return ask


def grpc(address):
    """As `rest`."""
    import grpc
    from tensorflow_serving.apis import classification_pb2, predict_pb2, prediction_service_pb2_grpc

    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(address))

    def call(method, request, signature):
        request.model_spec.name, request.model_spec.signature_name = MODEL_NAME, signature
        try:
            return method(request, timeout=TIMEOUT)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
            raise Refused(error.details()) from error

    def ask(signature, inputs):
        if signature == "classify":
            request = classification_pb2.ClassificationRequest()
            for contents in inputs["files"]:
                request.input.example_list.examples.add().features.feature["image/encoded"].bytes_list.value.append(contents)
            images = call(stub.Classify, request, signature).result.classifications
            return [[(c.label, c.score) for c in image.classes] for image in images]
        request = predict_pb2.PredictRequest()
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        return {name: tf.make_ndarray(value) for name, value in call(stub.Predict, request, signature).outputs.items()}

    return ask


class Talk:
    """What a client may ask, and what it must be answered."""

    def __init__(self, exported):
        self.files, self.names = exported.image_bytes, np.array(exported.benchmark.class_names)
        self.pixels = np.stack([tf.io.decode_image(contents, channels=3).numpy() for contents in self.files])
        self.attributes, self.scores = exported.expected(), exported.expected_scores()
        self.vectors = np.random.default_rng(0).uniform(0.1, 1, (200, 4)).astype(np.float32)

    def once(self, ask, rng):
        """Asks one signature; returns whether the request was malformed. Asserts on the answer."""
        signature = rng.choice(["serving_default", "images", "zero_shot", "attributes", "classify", "explain"])
        rows, bad = rng.choices(range(len(self.files)), k=rng.randint(1, 4)), rng.random() < MALFORMED
        classes = self.vectors[rng.sample(range(len(self.vectors)), rng.randint(1, 50))]
        inputs = self.inputs(signature, rows, classes)
        try:
            outputs = ask(signature, self.spoilt(inputs, rng) if bad else inputs)
            assert not bad, "a malformed request got an answer"
            self.check(signature, outputs, rows, classes)
        except Refused as refusal:
            assert bad, f"a good request was refused: {refusal}"
        return bad

    def inputs(self, signature, rows, classes):
        files = [self.files[row] for row in rows]
        if signature == "images":
            return {"images": self.pixels[rows]}
        if signature == "classify":
            return {"files": files}
        more = {
            "zero_shot": {"class_attributes": np.stack([classes] * len(rows))},
            "explain": {"attribute_indices": np.tile(np.arange(4, dtype=np.int32), [len(rows), 1])},
        }
        return {"image_bytes": files, **more.get(signature, {})}

    def spoilt(self, inputs, rng):
        """The inputs with one of the mistakes that they can hold."""
        name = rng.choice(list(inputs))
        value = inputs[name]
        if name == "images":
            value = np.zeros((len(value), 500, 1, 3), np.uint8)
        elif name == "class_attributes":
            value = rng.choice([value * np.nan, value * 0, value[:, :, :3], value[:, :0]])
        elif name == "attribute_indices":
            value = rng.choice([value - 1, value + 1, value[1:]])
        else:
            value = [*value]
            value[rng.randrange(len(value))] = rng.choice(BAD_FILES)
        return {**inputs, name: value}

    def check(self, signature, outputs, rows, classes):
        close = {"rtol": 1e-4, "atol": 1e-5}
        scores = self.scores[rows]
        if signature == "classify":
            order = np.argsort(-scores, axis=1)
            assert [[label for label, _ in row] for row in outputs] == self.names[order].tolist()
            np.testing.assert_allclose([[score for _, score in row] for row in outputs], np.take_along_axis(scores, order, 1), **close)
            return
        if signature == "zero_shot":
            scores = self.attributes["fused"][rows] @ (classes / np.linalg.norm(classes, axis=1, keepdims=True)).T
        if signature in ("attributes", "explain"):
            for name, branch in (("attributes", "fused"), ("attributes_general", "general"), ("attributes_special", "special")):
                np.testing.assert_allclose(outputs[name], self.attributes[branch][rows], **{**close, "atol": 1e-4})
        else:
            np.testing.assert_allclose(outputs["scores"], scores, **close)
            np.testing.assert_array_equal(outputs["class_index"], scores.argmax(axis=1))
        if "class_name" in outputs:
            names = [name.decode() if isinstance(name, bytes) else name for name in outputs["class_name"]]
            assert names == self.names[scores.argmax(axis=1)].tolist()


def resident_megabytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc on this system")
def test_ten_thousand_requests(served, exported, capsys):
    talk, done, start = Talk(exported), [], time.monotonic()

    def client(number):
        ask, rng = grpc(served[2]) if number % 2 else rest(served[1]), random.Random(number)
        for _ in range(REQUESTS // CLIENTS):
            asked = time.monotonic()
            bad = talk.once(ask, rng)
            done.append((time.monotonic() - asked, resident_megabytes(), bad))

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        for result in [pool.submit(client, number) for number in range(CLIENTS)]:
            result.result()
    seconds, memory, malformed = np.array(done).T
    growth = memory[-100:].mean() - memory[int(WARM_UP * REQUESTS) :][:100].mean()
    with capsys.disabled():
        print(
            f"\n{REQUESTS} requests, {malformed.sum():.0f} malformed, {time.monotonic() - start:.0f} s, "
            f"median {1e3 * np.median(seconds):.0f} ms, 99 % {1e3 * np.quantile(seconds, 0.99):.0f} ms, "
            f"memory {memory[-1]:.0f} MB, growth after warm-up {growth:.1f} MB"
        )
    assert len(done) == REQUESTS and 0.03 * REQUESTS < malformed.sum() < 0.07 * REQUESTS
    assert growth < GROWTH
