"""What the client has asked is kept, whatever ends it, and the same command goes on; names of files are one line of UTF-8."""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from bgsnet_tf.errors import UserError
from bgsnet_tf.files import unfinished
from bgsnet_tf.serving.client.asking import find_images
from bgsnet_tf.serving.client.kept import continued
from tests.conftest import ROOT
from tests.serving.client.raw_server import classified, serving


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(20):
        (folder / f"{i:02d}.jpg").write_bytes(b"image %d" % i)
    return folder


def start(*arguments):
    program = [sys.executable, "-m", "bgsnet_tf.serving.client", "--batch_size=2", "--concurrency=2", *arguments]
    return subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(*arguments):
    process = start(*arguments)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err and sum(line.startswith("error:") for line in err.splitlines()) == (process.returncode == 1)
    return process.returncode, out, err


class Server:
    """Classifies; hangs at photos from number `limit` on."""

    def __init__(self):
        self.limit, self.images, self.hanging = 8, 0, threading.Event()

    def __call__(self, connection, images):
        if any(int(contents.split()[1]) >= self.limit for contents in images):
            self.hanging.set()
            connection.recv(1)
            return
        self.images += len(images)
        connection.sendall(classified(len(images)))


def until(holds):
    """Waits for the rows of the answers before: a busy machine takes its time."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_interrupted_command_ends_at_once_and_goes_on_where_it_was(photos, tmp_path, form):
    output, server = tmp_path / f"answers.{form}", Server()
    with serving(server) as address:
        arguments = [f"--server={address}", f"--images={photos}", f"--output={output}"]
        process = start(*arguments)
        assert server.hanging.wait(60)
        until(lambda: os.path.exists(unfinished(output)) and pathlib.Path(unfinished(output)).read_text().count("\n") >= 7)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert "interrupted" in process.communicate(timeout=60)[1] and process.returncode == 130
        assert time.monotonic() - begin < 5
        kept = pathlib.Path(unfinished(output)).read_text()
        assert kept.count("\n") >= 7 and not output.exists()
        server.limit = 1000
        before = server.images
        assert run(*arguments)[0] == 0
    assert server.images - before <= 20 - (kept.count("\n") - (form == "csv"))
    lines = output.read_text().splitlines()
    assert output.read_text().startswith(kept) and sorted(os.listdir(tmp_path)) == [f"answers.{form}", "photos"]
    found = [row["image"] for row in (csv.DictReader(lines) if form == "csv" else map(json.loads, lines))]
    assert found == [str(photos / f"{i:02d}.jpg") for i in range(20)]


def test_a_server_that_is_lost_leaves_its_answers(photos, tmp_path):
    output, server = tmp_path / "answers.csv", Server()
    with serving(server) as address:
        arguments = [f"--server={address}", f"--images={photos}", f"--output={output}"]
        code, _, err = run(*arguments, "--timeout=4")
        assert code == 1 and "gave no answer within --timeout=4 seconds; the answers so far are kept in" in err
        server.limit = 1000
        assert run(*arguments)[0] == 0
    assert len(output.read_text().splitlines()) == 21


def test_problems_of_before_still_count(photos, tmp_path):
    output, server = tmp_path / "answers.csv", Server()
    (photos / "00.jpg").unlink()
    (photos / "00.jpg").symlink_to("/proc/self/mem")  # a file that cannot be read
    with serving(server) as address:
        arguments = [f"--server={address}", f"--images={photos}", f"--output={output}"]
        assert run(*arguments, "--timeout=4")[0] == 1
        server.limit = 1000
        code, _, err = run(*arguments)
    assert code == 1 and "1 of 20 images have no answer" in err


def test_a_line_that_is_not_whole_is_written_again(tmp_path):
    output = str(tmp_path / "answers.csv")
    with pytest.raises(UserError, match="the same command continues"), continued(output, {"a": 1}) as (stream, lines):
        assert lines == []
        stream.write("one\ntwo")
        raise UserError("lost")
    with continued(output, {"a": 1}) as (stream, lines):
        assert lines == ["one"]
        stream.write("two\n")
    assert pathlib.Path(output).read_text() == "one\ntwo\n" and os.listdir(tmp_path) == ["answers.csv"]


def test_what_is_not_of_this_command_is_left_alone(tmp_path):
    output = str(tmp_path / "answers.csv")
    with pytest.raises(UserError), continued(output, {"a": 1}) as (stream, _):
        stream.write("one\n")
        raise UserError("lost")
    pathlib.Path(unfinished(tmp_path / "other.csv")).write_text("mine")
    for path, command in ((output, {"a": 2}), (str(tmp_path / "other.csv"), {"a": 1})):
        with pytest.raises(UserError, match="is not of this command"), continued(path, command):
            pass
    assert (
        pathlib.Path(unfinished(output)).read_text() == "one\n" and pathlib.Path(unfinished(tmp_path / "other.csv")).read_text() == "mine"
    )


def test_nothing_is_left_where_nothing_was_answered(tmp_path):
    with pytest.raises(UserError, match="^lost$"), continued(str(tmp_path / "answers.csv"), {}):
        raise UserError("lost")
    assert os.listdir(tmp_path) == []


def test_two_commands_do_not_write_one_file(tmp_path):
    output = str(tmp_path / "answers.csv")
    with continued(output, {}) as (stream, _):
        stream.write("one\n")
        with pytest.raises(UserError, match="by another process"), continued(output, {}):
            pass
    assert pathlib.Path(output).read_text() == "one\n"


@pytest.mark.parametrize("output", ["", "missing/answers.csv", "/dev/null", "/proc/answers.csv"])
def test_an_output_that_cannot_be(tmp_path, output):
    path = str(tmp_path / output)
    with pytest.raises(UserError, match="--output=.* (is no file|cannot be written)"), continued(path, {}):
        pass
    assert os.listdir(tmp_path) == [] and pathlib.Path("/dev/null").is_char_device()


def test_a_full_disk_keeps_what_is_whole(tmp_path, file_size_limit):
    output = str(tmp_path / "answers.csv")
    with pytest.raises(UserError, match="cannot be written: File too large"), file_size_limit(100), continued(output, {}) as (stream, _):
        for _ in range(100):
            stream.write("a line\n")
    with continued(output, {}) as (_, lines):
        assert lines == ["a line"] * 14


NAMES = ["a\nb.jpg", "a\u2028b.jpg", "a\x1b[31mb.jpg", "a [1].jpg", "caf\udce9.jpg", "café.jpg", '"a",b.jpg', "$x$.jpg"]
PRINTED = ["a\\nb.jpg", "a\\u2028b.jpg", "a\\x1b[31mb.jpg", "a [1].jpg", "caf\\xe9.jpg", "café.jpg", '"a",b.jpg', "$x$.jpg"]


@pytest.mark.parametrize("form", ["csv", "jsonl", "stdout"])
def test_any_name_of_a_file_is_one_line(tmp_path, form):
    (tmp_path / "photos").mkdir()
    for name in NAMES:
        (tmp_path / "photos" / name).write_bytes(b"image")
    output = f"--output={tmp_path}/answers.{form}" if form != "stdout" else "--output="
    with serving(lambda connection, images: connection.sendall(classified(len(images)))) as address:
        code, out, _ = run(f"--server={address}", f"--images={tmp_path}/photos", output)
    assert code == 0
    lines = (out if form == "stdout" else (tmp_path / f"answers.{form}").read_text(encoding="utf-8")).split("\n")[:-1]
    rows = [json.loads(line) for line in lines] if form == "jsonl" else list(csv.DictReader(lines))
    assert len(lines) == len(NAMES) + (form != "jsonl")
    assert sorted(row["image"] for row in rows) == sorted(f"{tmp_path}/photos/{name}" for name in PRINTED)


def test_class_names_that_a_server_makes_up_are_one_line(tmp_path):
    (tmp_path / "0.jpg").write_bytes(b"image")
    body = b'{"result": [[["a\\nb\\ud800", 1]]]}'
    with serving(lambda connection, _: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + body)) as address:
        assert run(f"--server={address}", f"--images={tmp_path}", f"--output={tmp_path}/answers.csv")[0] == 0
    assert (tmp_path / "answers.csv").read_text().splitlines()[1] == f"{tmp_path}/0.jpg,a\\nb\\ud800,1.0,"


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_named_is_found_before_it_is_a_pattern(tmp_path, name):
    path = str(tmp_path / name)
    pathlib.Path(path).write_bytes(b"image")
    assert find_images(path) == [path]


def test_a_folder_that_links_to_itself_is_searched_once(tmp_path):
    (tmp_path / "0.jpg").write_bytes(b"image")
    (tmp_path / ".hidden.jpg").write_bytes(b"image")
    (tmp_path / "again").symlink_to(tmp_path)
    assert find_images(str(tmp_path)) == [str(tmp_path / "0.jpg")]


@pytest.mark.parametrize(
    "flag", ["--timeout=nan", "--timeout=inf", "--top_k=1000000000", "--batch_size=1000000000", "--concurrency=1000000"]
)
def test_flags_without_bound_are_refused(tmp_path, flag):
    process = start(flag, f"--images={tmp_path}")
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and flag.split("=")[0].strip("-") in err and "Traceback" not in err
