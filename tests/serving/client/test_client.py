"""The client against the stand-in server, through both of its transports."""

import csv
import json
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from bgsnet_tf.errors import UserError
from bgsnet_tf.exported import refusals
from bgsnet_tf.serving.client import asking, checked, transports
from bgsnet_tf.serving.server_files import MODEL_NAME
from tests.conftest import ROOT


@pytest.fixture(params=["REST", "gRPC"])
def server(request, served):
    """An address as --server takes it."""
    return served[1] if request.param == "REST" else f"grpc://{served[2]}"


@pytest.fixture
def transport(server):
    return transports.connect(server, MODEL_NAME, 60.0)


@pytest.fixture
def models(served):
    """The stand-in's `Models`, whose list of failures a test may fill."""
    yield served[0]
    served[0].failures.clear()
    served[0].join_seconds = 0.0


@pytest.fixture
def folder(exported, tmp_path):
    """Eight images, one of them broken, in a folder with a folder in it."""
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for i, contents in enumerate(exported.image_bytes):
        (tmp_path / "photos" / ("more" if i > 5 else "") / f"{i}.jpg").write_bytes(contents)
    (tmp_path / "photos" / "3.jpg").write_bytes(b"not an image")
    (tmp_path / "photos" / "notes.txt").write_text("no image either")
    return tmp_path / "photos"


def run(*arguments):
    program = [sys.executable, "-m", "bgsnet_tf.serving.client", *arguments]
    return subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=120)


def overload(code):
    from tests.serving.served_models import ModelError

    return ModelError(code, "queue is full")


def test_classes_of_the_export(transport, exported):
    found = transport.classify(exported.image_bytes)
    for ranked, scores in zip(found, exported.expected_scores()):
        assert [name for name, _ in ranked] == [exported.benchmark.class_names[c] for c in np.argsort(-scores)]
        np.testing.assert_allclose([score for _, score in ranked], -np.sort(-scores), rtol=1e-5, atol=1e-5)


def test_classes_of_the_request(transport, exported):
    unseen = exported.benchmark.unseen_classes
    scores = transport.zero_shot(exported.image_bytes, exported.benchmark.attributes[unseen])
    np.testing.assert_allclose(scores, exported.expected_scores()[:, unseen], rtol=1e-5, atol=1e-5)
    assert transport.attributes() == 4


def test_a_model_without_zero_shot_is_named():
    with pytest.raises(refusals.Refused, match="has the signatures serving_default, but not zero_shot"):
        checked.require_zero_shot({"serving_default": None})


def test_only_the_bad_image_of_a_batch_has_no_answer(transport, exported, folder):
    paths = asking.find_images(str(folder))
    entries = list(asking.answers(paths, transport.classify, batch_size=5, concurrency=3, retries=0))
    assert [path for path, _, _ in entries] == paths and len(paths) == 8
    assert [path.endswith("3.jpg") for path in paths] == [problem is not None for _, _, problem in entries]
    assert "neither a JPEG nor a PNG" in next(problem for _, _, problem in entries if problem)


def test_a_bad_image_costs_only_itself_where_the_server_joins_requests(transport, models, exported, folder):
    models.join_seconds = 0.05
    joined = []

    def ask(files):
        try:
            return transport.classify(files)
        except refusals.Refused:
            joined.append(len(files))
            raise

    paths = [str(folder / name) for name in ("0.jpg", "3.jpg", "1.jpg")] * 6
    entries = list(asking.answers(paths, ask, batch_size=1, concurrency=4, retries=0))
    assert [problem for path, _, problem in entries if problem and not path.endswith("3.jpg")] == []
    assert [path.endswith("3.jpg") for path in paths] == [problem is not None for _, _, problem in entries]
    assert len(joined) > 2 * 6  # good images were refused with a bad one, and asked again


def test_what_is_refused_is_asked_again_in_halves():
    asked = []

    def ask(files):
        asked.append(list(files))
        if "bad" in files:
            raise refusals.Refused("Graph execution error: <stack traces unavailable>\nthis is bad\n\t [[{{node x}}]]")
        return [file.upper() for file in files]

    found = refusals.answer_apart(["a", "b", "bad", "c"], ask)
    assert found == [("A", None), ("B", None), (None, "this is bad"), ("C", None)]
    assert asked == [["a", "b", "bad", "c"], ["a", "b"], ["bad", "c"], ["bad"], ["c"]]


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_an_overloaded_server_is_asked_again_after_longer_waits(transport, models, exported, code):
    waits = []
    models.failures += [overload(code)] * 3
    found = asking.patiently(lambda: transport.classify(exported.image_bytes[:1]), 3, waits.append)
    assert len(found) == 1 and len(waits) == 3
    assert all(0.5 * asking.FIRST_WAIT * 2**i <= wait <= asking.FIRST_WAIT * 2**i for i, wait in enumerate(waits))


def test_a_server_that_stays_overloaded_is_given_up(transport, models, exported):
    models.failures += [overload("UNAVAILABLE")] * 3
    with pytest.raises(UserError, match="still overloaded after 2 retries"):
        asking.patiently(lambda: transport.classify(exported.image_bytes[:1]), 2, lambda seconds: None)


def test_a_bad_request_is_not_sent_again(transport, models):
    waits = []
    models.failures += [overload("INVALID_ARGUMENT")]
    with pytest.raises(refusals.Refused, match="queue is full"):
        asking.patiently(lambda: transport.classify([b"a"]), 5, waits.append)
    assert not waits and not models.failures


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_the_program_writes_the_best_classes_of_a_table(server, exported, folder, tmp_path, form):
    output = tmp_path / f"answers.{form}"
    table = pathlib.Path(exported.benchmark.paths[0]).parents[1] / "attributes.csv"
    result = run(f"--server={server}", f"--images={folder}/*.jpg", f"--attributes={table}", "--top_k=2", f"--output={output}")
    assert result.returncode == 1 and "1 of 6 images have no answer" in result.stderr and "Traceback" not in result.stderr
    if form == "csv":
        rows = list(csv.DictReader(output.open()))
        best, problems = [row["class_1"] for row in rows], [row["problem"] for row in rows]
    else:
        rows = [json.loads(line) for line in output.read_text().splitlines()]
        best, problems = [row["classes"][0]["class"] if "classes" in row else "" for row in rows], [row.get("problem", "") for row in rows]
    # each row of the table is a class of the request, so δ plays no part
    scores = exported.expected(exported.image_bytes[:6])["fused"] @ exported.benchmark.phi.T
    expected = [exported.benchmark.class_names[c] for c in scores.argmax(axis=1)]
    expected[3] = ""
    assert best == expected and [bool(problem) for problem in problems] == [i == 3 for i in range(6)]
    assert not (tmp_path / f"answers.{form}.part").exists()


def test_the_program_writes_to_standard_output(served, exported, folder):
    (folder / "3.jpg").unlink()
    result = run(f"--server={served[1]}", f"--images={folder}")
    assert result.returncode == 0
    rows = list(csv.DictReader(result.stdout.splitlines()))
    expected = [exported.benchmark.class_names[c] for c in exported.expected_scores().argmax(axis=1)]
    assert [row["class_1"] for row in rows] == expected[:3] + expected[4:]


def test_mistakes_give_one_line(served, folder, tmp_path):
    (tmp_path / "narrow.csv").write_text("class,a\ncat,1\n")
    for arguments, message in [
        ([], "--images is missing"),
        ([f"--images={tmp_path}/nowhere"], "names no image"),
        ([f"--images={folder}", "--server=localhost"], "is no address"),
        (
            [f"--images={folder}", f"--server={served[1]}", f"--attributes={tmp_path}/narrow.csv"],
            "1 attributes a class, the served model 4",
        ),
        ([f"--images={folder}", f"--server={served[1]}", "--model=other", f"--attributes={tmp_path}/narrow.csv"], "--model=other"),
    ]:
        result = run(*arguments)
        assert result.returncode == 1 and message in result.stderr and "Traceback" not in result.stderr
        assert sum(line.startswith("error:") for line in result.stderr.splitlines()) == 1


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_no_server(kind):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"{kind}://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(UserError, match="answers at 127.0.0.1"):
        transports.connect(address, MODEL_NAME, 1.0).classify([b"a"])


def test_a_silent_server_is_not_waited_for():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        transport = transports.connect(f"http://127.0.0.1:{silent.getsockname()[1]}", MODEL_NAME, 0.2)
        with pytest.raises(UserError, match="no answer within --timeout=0.2"):
            transport.classify([b"a"])
