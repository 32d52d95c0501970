"""Version folders, the files of the server, and warm-up records."""

import concurrent.futures
import os
import pathlib
import shutil
import signal
import threading
import time

import pytest
import tensorflow as tf

from bgsnet_tf import files
from bgsnet_tf.errors import UserError
from bgsnet_tf.serving import server_files, versions, warmup
from tests.programs import Program


def write_next(exported, directory, delta=None, **options):
    delta = exported.delta if delta is None else delta
    return versions.write_next(exported.bgsnet, exported.benchmark, exported.views, delta, str(directory), **options)


def files_of(version):
    return {os.path.relpath(os.path.join(root, name), version) for root, _, names in os.walk(version) for name in names}


def test_the_next_number_follows_the_highest(exported, tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "_save", lambda served, path, fingerprint: os.mkdir(path))
    for name in ("2", "9", "10", "notes"):
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
    monkeypatch.setattr(versions, "_save", lambda served, path, fingerprint: os.mkdir(path) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_next(exported, tmp_path)
    assert versions.existing(tmp_path) == [] and not [name for name in os.listdir(tmp_path) if name.endswith(files.UNFINISHED)]


KILLED = """
import pathlib, sys
from bgsnet_tf.data.reading import tables
from bgsnet_tf.data.images import Views
from bgsnet_tf.serving import versions
from tests.exports import untrained_bgsnet

benchmark = tables.load(sys.argv[1])
versions.write_next(untrained_bgsnet(benchmark, 32), benchmark, Views(32, 36), 0.0, sys.argv[2])
"""


def test_an_export_killed_half_way_leaves_no_version_and_the_next_one_cleans_up(exported, tmp_path):
    data = pathlib.Path(exported.benchmark.paths[0]).parents[1]
    killed = Program("-c", KILLED, data, tmp_path)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(f"*{files.UNFINISHED}/model/variables/*")):
        assert killed.status is None and time.monotonic() < deadline, "the export was not caught half-way"
        time.sleep(0.001)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert versions.existing(tmp_path) == [] and list(tmp_path.glob(f"*{files.UNFINISHED}"))
    assert write_next(exported, tmp_path) == str(tmp_path / "1")
    assert not list(tmp_path.glob(f"*{files.UNFINISHED}"))


def test_exports_take_turns_and_leave_each_other_alone(exported, tmp_path, monkeypatch):
    def slow_save(served, path, fingerprint):
        os.mkdir(path)
        time.sleep(0.3)
        assert os.path.isdir(path)

    monkeypatch.setattr(versions, "_save", slow_save)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        paths = list(pool.map(lambda _: write_next(exported, tmp_path), range(3)))
    assert sorted(paths) == [str(tmp_path / str(number)) for number in (1, 2, 3)]


def test_the_newest_version_is_reused_only_where_nothing_changed(exported, tmp_path, monkeypatch):
    def save_fingerprint(served, path, fingerprint):
        """All of a version that decides; the first one is whole."""
        os.makedirs(os.path.join(path, os.path.dirname(versions.FINGERPRINT)))
        pathlib.Path(path, versions.FINGERPRINT).write_text(fingerprint)

    monkeypatch.setattr(versions, "_save", save_fingerprint)
    shutil.copytree(os.path.join(exported.directory, "1"), tmp_path / "1")
    assert write_next(exported, tmp_path, reuse=True) == str(tmp_path / "1")
    assert write_next(exported, tmp_path, delta=0.8, reuse=True) == str(tmp_path / "2")
    assert write_next(exported, tmp_path, reuse=True) == str(tmp_path / "3")  # the newest has another δ
    weights = exported.bgsnet.bsnet.gate.w
    before = weights.numpy()
    weights.assign_add([0, 0, 1e-6])
    try:
        assert write_next(exported, tmp_path, reuse=True) == str(tmp_path / "4")
    finally:
        weights.assign(before)
    os.remove(tmp_path / "4" / versions.FINGERPRINT)  # as versions of older releases are
    assert write_next(exported, tmp_path, reuse=True) == str(tmp_path / "5")
    assert write_next(exported, tmp_path) == str(tmp_path / "6")


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
    assert answered == {"serving_default", "images", "zero_shot", "attributes", "classify", "explain"}


def test_a_full_disk_gives_one_line_and_leaves_no_version(exported, tmp_path, file_size_limit):
    with pytest.raises(UserError, match="cannot be written: the disk is full"), file_size_limit(20_000):
        write_next(exported, tmp_path)
    assert not [name for name in os.listdir(tmp_path) if name.isdigit() or name.endswith(files.UNFINISHED)]


def test_a_folder_that_cannot_be_made_gives_one_line(exported, tmp_path):
    (tmp_path / "file").write_text("mine")
    for directory in (tmp_path / "file", tmp_path / "file" / "export"):
        with pytest.raises(UserError, match="cannot be written"):
            write_next(exported, directory)
    assert (tmp_path / "file").read_text() == "mine"


def test_what_else_lies_there_is_no_version(exported, tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "_save", lambda served, path, fingerprint: os.mkdir(path))
    (tmp_path / "²").mkdir()
    (tmp_path / "7").write_text("no folder")
    assert write_next(exported, tmp_path, reuse=True) == str(tmp_path / "8")
