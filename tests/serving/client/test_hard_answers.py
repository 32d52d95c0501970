"""Servers that answer wrongly, slowly, without end or not at all: an image is marked, or the command ends with one line."""

import itertools
import socket
import threading
import time

import numpy as np
import pytest

from bgsnet_tf.errors import UserError
from bgsnet_tf.serving.client import checked, rest
from bgsnet_tf.serving.client.asking import answers
from bgsnet_tf.serving.client.failures import Garbled, Lost
from bgsnet_tf.serving.client.transports import connect
from tests.serving.client.raw_server import NO_ANSWERS, classified, http, reset, serving


@pytest.fixture
def images(tmp_path):
    for i in range(6):
        (tmp_path / f"{i}.jpg").write_bytes(b"image")
    return [str(tmp_path / f"{i}.jpg") for i in range(6)]


def replying(*contents):
    """A `reply` that sends these bytes, one for each request, and right answers afterwards."""
    left = iter(contents)
    return lambda connection, images: connection.sendall(next(left, None) or classified(len(images)))


def ask(server, images, retries=0, timeout=20.0):
    transport = connect(server, "bgsnet", timeout)
    return list(answers(images, transport.classify, 2, 1, retries, transport.close))


@pytest.mark.parametrize("name", NO_ANSWERS)
def test_what_is_no_answer_marks_its_images_and_the_rest_goes_on(images, name):
    sent = itertools.count()
    with serving(lambda connection, images: connection.sendall(NO_ANSWERS[name] if next(sent) == 1 else classified(len(images)))) as server:
        entries = ask(server, images)
    assert [path for path, _, _ in entries] == images and next(sent) == 3
    for i, (_, answer, problem) in enumerate(entries):
        assert (answer, problem)[i not in (2, 3)] is None
        if problem:
            assert "\n" not in problem and len(problem) < 300
        else:
            assert answer == [("cat", 0.75), ("dog", 0.5)]


@pytest.mark.parametrize("body", [b"{", b"null", b'{"metadata": []}', b'{"metadata": {"signature_def": {"signature_def": 5}}}'])
def test_metadata_that_are_none(body):
    with serving(lambda connection, _: connection.sendall(http(body))) as server, pytest.raises(Garbled):
        connect(server, "bgsnet", 20.0).attributes()


@pytest.mark.parametrize("size", [b'"a"', b"null", b"[]"])
def test_metadata_of_no_number_of_attributes(size):
    body = b'{"metadata": {"signature_def": {"signature_def": {"zero_shot": {"inputs": {"class_attributes": %s}}}}}}'
    dimension = b'{"tensor_shape": {"dim": [{"size": %s}]}}' % size
    with serving(lambda connection, _: connection.sendall(http(body % dimension))) as server, pytest.raises(Garbled):
        connect(server, "bgsnet", 20.0).attributes()


@pytest.mark.parametrize(
    "scores", [b"5", b"[[1, 2]]", b"[[1], [1, 2]]", b'[["a", 1], [1, 1]]', b"[[1, NaN], [1, 1]]", b"[[1, 1], [1, null]]"]
)
def test_scores_that_are_none(scores):
    body = http(b'{"outputs": {"scores": %s}}' % scores)
    with serving(lambda connection, _: connection.sendall(body)) as server, pytest.raises(Garbled):
        connect(server, "bgsnet", 20.0).zero_shot([b"a", b"b"], np.ones((2, 3)))


@pytest.mark.parametrize("slow", [b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000, http(b" " * 10_000)])
def test_the_timeout_is_of_the_whole_request(images, slow):
    def drip(connection, _):
        for i in range(len(slow)):
            connection.sendall(slow[i : i + 1])
            time.sleep(0.02)

    with serving(drip) as server:
        start = time.monotonic()
        with pytest.raises(UserError, match="gave no answer within --timeout=0.5 seconds"):
            ask(server, images, timeout=0.5)
        assert time.monotonic() - start < 3


def test_an_answer_without_end_is_not_read_to_its_end(images, monkeypatch):
    for module in (rest, checked):
        monkeypatch.setattr(module, "MAX_ANSWER", 1_000_000)
    sent = []

    def send(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b" " * 100_000)
            sent.append(100_000)

    with serving(send) as server:
        entries = ask(server, images[:2])
    assert all("longer than 1000000 bytes" in problem for _, _, problem in entries) and sum(sent) < 20_000_000


def test_a_broken_connection_is_made_again(images):
    requests = itertools.count()

    def reply(connection, images):
        if next(requests) in (1, 2):
            return reset(connection)
        connection.sendall(classified(len(images)))

    with serving(reply) as server:
        entries = ask(server, images, retries=2)
    assert all(problem is None for _, _, problem in entries) and next(requests) == 5


def test_the_stand_in_leaves_a_connection_that_asks_nothing():
    with serving(lambda connection, images: None) as server:
        address = server.removeprefix("http://").split(":")
        with socket.create_connection(address, timeout=5) as client:
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""


def test_an_image_that_breaks_every_connection_is_marked(images):
    requests = itertools.count()
    with serving(
        lambda connection, images: reset(connection) if next(requests) in (2, 3) else connection.sendall(classified(len(images)))
    ) as server:
        entries = ask(server, images, retries=1)
    assert [problem is not None for _, _, problem in entries] == [False] * 4 + [True] * 2
    assert "broke 2 times" in entries[-1][2]


def test_requests_under_way_end_when_nobody_waits_for_them(images):
    hanging = threading.Event()

    def hang(connection, _):
        hanging.set()
        connection.recv(1)

    with serving(hang) as server:
        transport = connect(server, "bgsnet", 60.0)
        entries = answers(images, transport.classify, 1, 3, 5, transport.close)
        closer = threading.Thread(target=lambda: hanging.wait() and transport.close())
        closer.start()
        start = time.monotonic()
        with pytest.raises((Lost, UserError)):
            next(entries)
        assert time.monotonic() - start < 5
        closer.join()


@pytest.mark.parametrize(
    "server",
    [
        "localhost",
        "http://localhost",
        "http://:8501",
        "http://a:b",
        "http://a:99999",
        "http://[::1",
        "http://a..b:1",
        "ftp://a:1",
        "http://a:1/path",
    ]
    + ["http://a:1?b", "http://a@b:1", "http://a\n:1", "http://\udce9:1"],
)
def test_what_is_no_address(server):
    with pytest.raises(UserError, match="is no address"):
        connect(server, "bgsnet", 1.0)


def test_a_models_name_that_is_no_utf_8():
    with pytest.raises(UserError, match="is no UTF-8"):
        connect("http://localhost:8501", "\udce9", 1.0)
