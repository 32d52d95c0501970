"""Version folders, the files of the server, and warm-up records."""

import os
import shutil
import threading

import pytest
import tensorflow as tf

from bgsnet_tf.serving import server_files, versions, warmup


def write_next(exported, directory):
    return versions.write_next(exported.bgsnet, exported.benchmark, exported.views, exported.delta, str(directory))


def files_of(version):
    return {os.path.relpath(os.path.join(root, name), version) for root, _, names in os.walk(version) for name in names}


def test_the_next_number_follows_the_highest(exported, tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "_save", lambda _, path: os.mkdir(path))
    for name in ("2", "9", "10", "notes", ".part-x"):
        (tmp_path / name).mkdir()
    assert write_next(exported, tmp_path) == str(tmp_path / "11")


def test_a_polling_server_never_sees_half_a_version(exported, tmp_path):
    seen, done = [], threading.Event()

    def poll():
        while not done.wait(0.002):
            if os.path.exists(tmp_path / "1"):
                seen.append(files_of(tmp_path / "1"))

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        write_next(exported, tmp_path)
        while not seen and thread.is_alive():
            done.wait(0.01)
    finally:
        done.set()
        thread.join()
    whole = files_of(os.path.join(exported.directory, "1"))
    assert all(files == whole for files in seen) and {warmup.FILE, "saved_model.pb"} <= whole
    assert sorted(os.listdir(tmp_path)) == ["1", "batching.config", "compose.yaml", "models.config"]


def test_an_export_that_fails_leaves_no_version(exported, tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "_save", lambda _, path: os.mkdir(path) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_next(exported, tmp_path)
    assert versions.existing(tmp_path) == [] and not [name for name in os.listdir(tmp_path) if name.startswith(".part")]


def test_two_exports_at_a_time_take_two_numbers(tmp_path, monkeypatch):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_text(name)
    shutil.copytree(tmp_path / "one", tmp_path / "1")
    found = iter([[], [1]])
    monkeypatch.setattr(versions, "existing", lambda _: next(found))  # the other export took 1 in between
    assert versions._take_number(str(tmp_path / "other"), str(tmp_path)) == str(tmp_path / "2")
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "one"


def test_an_edited_server_file_stays(tmp_path):
    (tmp_path / "batching.config").write_text("max_batch_size { value: 8 }")
    server_files.write_missing(tmp_path)
    assert (tmp_path / "batching.config").read_text() == "max_batch_size { value: 8 }"
    assert f'name: "{server_files.MODEL_NAME}"' in (tmp_path / "models.config").read_text()


def test_every_signature_has_a_warmup_record_that_it_answers(exported):
    log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason="tensorflow-serving-api is not installed")
    version = os.path.join(exported.directory, "1")
    signatures = tf.saved_model.load(version).signatures
    answered = set()
    for record in tf.data.TFRecordDataset(os.path.join(version, warmup.FILE)).as_numpy_iterator():
        entry = log.PredictionLog.FromString(record)
        if entry.WhichOneof("log_type") == "classify_log":
            request = entry.classify_log.request
            inputs = {"inputs": tf.constant([example.SerializeToString() for example in request.input.example_list.examples])}
        else:
            request = entry.predict_log.request
            inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        assert request.model_spec.name == server_files.MODEL_NAME
        assert (request.model_spec.signature_name == "classify") == (entry.WhichOneof("log_type") == "classify_log")
        outputs = signatures[request.model_spec.signature_name](**inputs)
        assert all(output.shape[0] == 1 for output in outputs.values())
        answered.add(request.model_spec.signature_name)
    assert answered == {"serving_default", "images", "zero_shot", "attributes", "classify"}
