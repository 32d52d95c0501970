"""Requests that mean harm: whatever comes, an answer or a closed connection, no word of the inside, and the server lives on."""

import concurrent.futures
import contextlib
import gc
import json
import socket

import numpy as np
import psutil
import pytest

from bgsnet_tf.playground import connections
from bgsnet_tf.playground.answers import MAX_BYTES, Answers
from bgsnet_tf.playground.server import BINARY, Playground
from tests.playground.conftest import serve
from tests.playground.test_server import post

CLIENTS = 8
MOST_GROWTH = 64 * 2**20  # bytes that may stay: TensorFlow keeps buffers, some per thread


def request(method, path, headers, body=b""):
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


def photo(body, **headers):
    return request("POST", "/photo", {"Host": "localhost", "Content-Type": BINARY, "Content-Length": len(body), **headers}, body)


def fuzzed(rng, good):
    """(bytes to send, whether to close at once) of a random attack."""
    noise = rng.bytes(rng.integers(0, 5000))
    broken = bytearray(good)
    for place in rng.integers(2, len(good), size=rng.integers(1, 30)):
        broken[place] = rng.integers(256)
    boundary = b'--x\r\nContent-Disposition: form-data; name="file"; filename="../../etc/passwd"\r\n\r\n'
    size = int(rng.integers(1, 2**31 - 1))
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + size.to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + noise
    attacks = [
        photo(bytes(broken)),
        photo(good[: rng.integers(len(good))]),
        photo(noise),
        photo(bomb),
        photo(b"\xff\xd8\xff" + noise),
        photo(b"\x89PNG\r\n\x1a\n" + noise),
        photo(boundary + noise, **{"Content-Type": "multipart/form-data; boundary=x"}),
        photo(boundary + noise, **{"Content-Type": f"multipart/form-data; boundary={'y' * 3000}"}),
        photo(noise, **{"Content-Length": size}),
        photo(noise, **{"Content-Length": -1}),
        photo(noise, **{"Content-Length": "many"}),
        photo(good, **{"Content-Length": MAX_BYTES + 1}),
        photo(b"ffffffff\r\n" + noise, **{"Transfer-Encoding": "chunked"}),
        photo(good, Host="evil.example"),
        photo(good, **{"Content-Encoding": "gzip", "X-Forwarded-Host": "evil.example"}),
        photo(good, Expect="100-continue", Range="bytes=0-1"),
        request("GET", "/" + "../" * int(rng.integers(1, 30)) + "etc/passwd", {"Host": "localhost"}),
        request("GET", "/examples/" + "9" * int(rng.integers(1, 5000)), {"Host": "localhost"}),
        request("GET", "/static/%00%ff" + "a" * int(rng.integers(70_000)), {"Host": "localhost"}),
        request("GET", "/model", {"Host": "localhost", **{f"X-{i}": "y" * 500 for i in range(rng.integers(200))}}),
        request("G" * int(rng.integers(1, 50)), "/photo", {"Host": "localhost"}),
        request("GET", "http://evil.example/model", {"Host": "localhost"}),
        request("GET", "/model", {"Host": "localhost\r\nHost: evil.example"}),
        b"\r\n" * int(rng.integers(1, 100)) + noise,
    ]
    return attacks[rng.integers(len(attacks))], rng.random() < 0.2


def attack(port, seed, count, good):
    """Statuses and bodies of what came back; 0 for a connection that was closed without an answer."""
    rng, answers = np.random.default_rng(seed), []
    for _ in range(count):
        sent, closes = fuzzed(rng, good)
        received = b""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(sent)
                if not closes:
                    with contextlib.suppress(OSError):  # closed by the server already, which may have answered
                        connection.shutdown(socket.SHUT_WR)
                    while piece := connection.recv(65536):
                        received += piece
        except (ConnectionError, socket.timeout):
            pass
        head, _, body = received.partition(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head, _, body = body.partition(b"\r\n\r\n")
        answers.append((int(head.split()[1]) if head.startswith(b"HTTP/") else 0, body))
    return answers


@pytest.mark.parametrize("count", [160, pytest.param(2000, marks=pytest.mark.slow)])
def test_hostile_requests_harm_nobody(monkeypatch, exported, model, count):
    monkeypatch.setattr(connections, "SECONDS", 3.0)
    good = exported.image_bytes[0]
    with serve(Playground(Answers(model))) as port:
        before = json.loads(post(port, good)[2])
        attack(port, 0, 40, good)
        gc.collect()
        memory = psutil.Process().memory_info().rss
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            found = list(pool.map(lambda seed: attack(port, seed, count // CLIENTS, good), range(1, CLIENTS + 1)))
        answers = [answer for of_client in found for answer in of_client]
        assert len(answers) == count
        assert {status for status, _ in answers} <= {0, 200, 400, 403, 404, 405, 411, 413, 414, 415, 422, 431, 501}
        assert not [body for _, body in answers if b"Traceback" in body or b".py" in body or b"root:" in body]
        assert json.loads(post(port, good)[2]) == before
        gc.collect()
        assert psutil.Process().memory_info().rss - memory < MOST_GROWTH
