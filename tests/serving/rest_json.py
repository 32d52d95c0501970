"""TF Serving's JSON rules (tensorflow_serving/g3doc/api_rest.md). Part of the harness."""

import base64
import json

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2

from tests.serving.served_models import ModelError, classify


def predict_json(models, name, version, body):
    """The answer to a REST predict request, in the form of the request: rows or columns."""
    if ("instances" in body) == ("inputs" in body):
        raise ModelError("INVALID_ARGUMENT", "JSON Value: must have exactly one of 'instances' and 'inputs'")
    by_row = "instances" in body

    def inputs_of(specs):
        columns = _columns_of_rows(body["instances"], specs) if by_row else _columns(body["inputs"], specs)
        return {key: _array(value, specs[key]) for key, value in columns.items() if key in specs}

    outputs = models.run(name, version, body.get("signature_name", ""), inputs_of)
    columns = {key: _json_value(key, value) for key, value in outputs.items()}
    if len(columns) == 1:
        return {"predictions" if by_row else "outputs": next(iter(columns.values()))}
    if not by_row:
        return {"outputs": columns}
    return {"predictions": [dict(zip(columns, row)) for row in zip(*columns.values())]}


def _is_binary(value):
    return isinstance(value, dict) and set(value) == {"b64"}


def _columns_of_rows(rows, specs):
    if not isinstance(rows, list) or not rows:
        raise ModelError("INVALID_ARGUMENT", "'instances' must be a list with at least one value")
    named = [isinstance(row, dict) and not _is_binary(row) for row in rows]
    if not any(named) and len(specs) == 1:
        return {next(iter(specs)): rows}
    if not all(named) or any(set(row) != set(specs) for row in rows):
        raise ModelError("INVALID_ARGUMENT", f"every instance must be an object of exactly these inputs: {sorted(specs)}")
    return {key: [row[key] for row in rows] for key in specs}


def _columns(inputs, specs):
    if isinstance(inputs, dict) and not _is_binary(inputs):
        return inputs
    if len(specs) != 1:
        raise ModelError("INVALID_ARGUMENT", f"'inputs' must be an object of these inputs: {sorted(specs)}")
    return {next(iter(specs)): inputs}


def _array(value, spec):
    def plain(value):
        if isinstance(value, list):
            return [plain(entry) for entry in value]
        return base64.b64decode(value["b64"], validate=True) if _is_binary(value) else value

    try:
        array = np.array(plain(value), object if spec.dtype == tf.string else spec.dtype.as_numpy_dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise ModelError("INVALID_ARGUMENT", f"JSON Value: {error}") from error
    if array.ndim != len(spec.shape):
        raise ModelError("INVALID_ARGUMENT", f"JSON Value: {spec.name} has {array.ndim} dimensions, not {len(spec.shape)}")
    return array


def _json_value(key, array):
    if array.dtype != object:
        return array.tolist()
    return [{"b64": base64.b64encode(v).decode()} if key.endswith("_bytes") else v.decode() for v in array]


def classify_json(models, name, version, body):
    """The answer to a REST classify request."""
    examples = []
    for features in body.get("examples", []):
        example = tf.train.Example()
        for key, value in {**body.get("context", {}), **features}.items():
            for entry in value if isinstance(value, list) else [value]:
                feature = example.features.feature[key]
                if _is_binary(entry):
                    feature.bytes_list.value.append(base64.b64decode(entry["b64"]))
                elif isinstance(entry, str):
                    feature.bytes_list.value.append(entry.encode())
                else:
                    feature.float_list.value.append(entry)
        examples.append(example.SerializeToString())
    return {"result": classify(models, (name, version, body.get("signature_name", "")), examples)}


def metadata_json(models, name, version):
    number, _, signature_defs = models.find(name, version)
    signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=dict(signature_defs))
    as_dict = json_format.MessageToDict(signatures, preserving_proto_field_name=True)
    return {"model_spec": {"name": name, "signature_name": "", "version": str(number)}, "metadata": {"signature_def": as_dict}}


def status_json(models, name, version):
    number = models.find(name, version)[0]
    status = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": str(number), "state": "AVAILABLE", "status": status}]}


def parse(content):
    try:
        body = json.loads(content)
    except ValueError as error:
        raise ModelError("INVALID_ARGUMENT", f"JSON Parse error: {error}") from error
    if not isinstance(body, dict):
        raise ModelError("INVALID_ARGUMENT", "JSON Value: the body must be an object")
    return body
