"""What the playground's server answers, and to whom."""

import base64
import dataclasses
import glob
import http.client
import json
import os
import pathlib
import socket
import sys
import time

import numpy as np
import pytest
from werkzeug.test import Client

import bgsnet_tf
from bgsnet_tf.errors import UserError
from bgsnet_tf.playground import connections
from bgsnet_tf.playground.answers import MAX_BYTES, Answers
from bgsnet_tf.playground.server import BINARY, Playground
from tests.playground.conftest import serve

STATIC = pathlib.Path(bgsnet_tf.__file__).parent / "playground" / "static"


def ask(port, method, path, body=None, **headers):
    """(status, headers, body) of a request whose headers are given with _ for -."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response.headers, content


def post(port, contents, **headers):
    return ask(port, "POST", "/photo", contents, **{"Content_Type": BINARY, **headers})


def floats(text):
    return np.frombuffer(base64.b64decode(text), "<f4")


def test_a_photo_gets_attributes_and_maps_of_all_branches(exported, model, port):
    status, _, content = post(port, exported.image_bytes[0])
    answer = json.loads(content)
    assert status == 200
    for branch, attributes in exported.expected(exported.image_bytes[:1]).items():
        np.testing.assert_allclose(floats(answer["attributes"][branch]), attributes[0], atol=1e-4)
        maps = floats(answer["maps"][branch]).reshape(*answer["mapShape"], -1)
        np.testing.assert_allclose(maps.sum((0, 1)) + floats(answer["constants"][branch]), attributes[0], atol=1e-4)


def test_the_model_describes_itself(exported, port):
    benchmark = exported.benchmark
    answer = json.loads(ask(port, "GET", "/model")[2])
    assert answer["classNames"] == list(benchmark.class_names) and answer["attributeNames"] == list(benchmark.attribute_names)
    assert np.flatnonzero(answer["seen"]).tolist() == benchmark.seen_classes.tolist()
    assert (answer["delta"], answer["branches"]) == (exported.delta, ["fused", "general", "special"])
    values = np.frombuffer(ask(port, "GET", "/class-attributes")[2], "<f4").reshape(benchmark.attributes.shape)
    np.testing.assert_array_equal(values, benchmark.attributes)


def test_examples_are_the_files(exported, port):
    status, headers, content = ask(port, "GET", "/examples/1")
    path = exported.benchmark.paths[exported.benchmark.test_unseen[1]]
    assert (status, headers["Content-Type"], content) == (200, "image/jpeg", pathlib.Path(path).read_bytes())
    assert ask(port, "GET", "/examples/2")[0] == 404


def test_every_answer_forbids_what_the_page_does_not_need(port):
    for path in ("/", "/static/js/main.js", "/model", "/nothing", "/examples/0"):
        _, headers, _ = ask(port, "GET", path, Origin="http://evil.example")
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src 'self'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert not [name for name in headers if name.lower().startswith("access-control")]
        assert "Python" not in headers["Server"] and "Werkzeug" not in headers["Server"]


def test_the_page_holds_no_script_or_style_of_its_own_and_names_no_other_host():
    page = (STATIC / "index.html").read_text()
    assert "<script>" not in page and "<style" not in page and " style=" not in page and " on" + "click" not in page
    for path in glob.glob(str(STATIC / "**" / "*.*"), recursive=True):
        text = pathlib.Path(path).read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text and "https:" not in text, path


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "a@localhost", "localhost:1:2", "192.168.0.1"]
)
def test_a_name_that_is_not_its_own_is_refused(port, host):
    assert ask(port, "GET", "/model", Host=host)[0] == 403
    assert post(port, b"", Host=host)[0] == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:80", "LOCALHOST:80"])
def test_its_own_names_are_taken(port, host):
    assert ask(port, "GET", "/model", Host=host)[0] == 200


def test_an_open_server_takes_addresses_but_no_foreign_name(model):
    client = Client(Playground(Answers(model), host="0.0.0.0"))
    assert client.get("/model", headers={"Host": "192.168.0.1:8600"}).status_code == 200
    assert client.get("/model", headers={"Host": f"{socket.gethostname()}:8600"}).status_code == 200
    assert client.get("/model", headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "image/jpeg"])
def test_what_another_site_could_send_is_refused(exported, port, kind):
    assert post(port, exported.image_bytes[0], Content_Type=kind)[0] == 415


@pytest.mark.parametrize(
    "path",
    [
        "/../server.py",
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/examples/../../etc/passwd",
        "//etc/passwd",
        "/static/",
        "/examples/-1",
        "/examples/999999999",
    ],
)
def test_no_path_leads_out(port, path):
    status, _, content = ask(port, "GET", path)
    assert status == 404 and json.loads(content) == {"error": "There is no such page."}


def test_other_methods_are_refused(port):
    assert [
        ask(port, method, path)[0] for method, path in (("GET", "/photo"), ("POST", "/model"), ("OPTIONS", "/photo"), ("PUT", "/"))
    ] == [405] * 4


@pytest.mark.parametrize(
    "contents, reason", [(b"", "is neither"), (b"GIF89a", "is neither"), (b"\xff\xd8\xff" + b"x" * 99, "Invalid JPEG")]
)
def test_what_is_no_photo_gets_a_reason(port, contents, reason):
    status, _, content = post(port, contents)
    assert status == 422 and reason in json.loads(content)["error"]


def test_a_photo_is_refused_for_its_size_before_it_is_decoded(port):
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + b"\0" * 8
    status, _, content = post(port, header)
    assert status == 422 and "60000×60000" in json.loads(content)["error"]


def test_too_many_bytes_are_refused_unread(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        head = f"POST /photo HTTP/1.1\r\nHost: localhost\r\nContent-Type: {BINARY}\r\nContent-Length: {MAX_BYTES + 1}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


def test_a_slow_client_is_cut_off_while_others_are_served(monkeypatch, exported, model):
    monkeypatch.setattr(connections, "SECONDS", 1.0)
    with serve(Playground(Answers(model))) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as slow:
        slow.sendall(f"POST /photo HTTP/1.1\r\nHost: localhost\r\nContent-Type: {BINARY}\r\nContent-Length: 1000\r\n\r\n".encode())
        started, received = time.monotonic(), b""
        assert post(port, exported.image_bytes[0])[0] == 200
        while time.monotonic() - started < 8 and not received:
            slow.sendall(b"x")  # a byte now and then, each of which an idle limit would forgive
            slow.settimeout(0.2)
            try:
                received = slow.recv(4096) or b"closed"
            except socket.timeout:
                continue
        assert received.startswith(b"HTTP/1.1 400") or received == b"closed"
        assert time.monotonic() - started < 4


def test_more_clients_than_places_wait_their_turn(monkeypatch, exported, model):
    monkeypatch.setattr(connections, "SECONDS", 1.0)
    monkeypatch.setattr(connections, "CONNECTIONS", 2)
    with serve(Playground(Answers(model))) as port:
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
        assert post(port, exported.image_bytes[0])[0] == 200
        for connection in idle:
            connection.close()


def test_a_fault_of_the_server_says_nothing_of_its_inside(exported, model, caplog):
    class Broken(Answers):
        def see(self, contents):
            raise RuntimeError("secret path")

    answer = Client(Playground(Broken(model))).post("/photo", data=b"x", content_type=BINARY, headers={"Host": "localhost"})
    assert answer.status_code == 500 and "secret" not in answer.text and "secret path" in caplog.text


def test_nothing_is_written(exported, port):
    opened = []
    sys.addaudithook(lambda event, arguments: opened.append(arguments) if event == "open" else None)
    for contents in [*exported.image_bytes, b"no image", b"x" * 2**21]:
        post(port, contents)
    ask(port, "POST", "/photo", b"--x\r\n" + b"y" * 2**21, Content_Type="multipart/form-data; boundary=x")
    assert not [arguments for arguments in opened if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)]


def test_a_taken_port_is_a_users_error(port, model):
    with pytest.raises(UserError, match=f"--port={port}"):
        connections.Server("127.0.0.1", port, Playground(Answers(model)))


def test_a_backbone_without_maps_still_ranks(exported, model, monkeypatch):
    described = dataclasses.replace(model.description, no_heat_maps="there are no heat maps of this backbone")
    monkeypatch.setitem(model.__dict__, "description", described)
    answer = Answers(model).see(exported.image_bytes[0])
    np.testing.assert_allclose(floats(answer["attributes"]["fused"]), exported.expected(exported.image_bytes[:1])["fused"][0], atol=1e-4)
    assert answer["maps"] == {} and Answers(model).description([])["noMaps"] == described.no_heat_maps


def test_packages_hold_the_pages_files():
    tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    settings = tomllib.loads((STATIC.parents[2] / "pyproject.toml").read_text())["tool"]["setuptools"]
    packed = {path for pattern in settings["package-data"]["bgsnet_tf.playground"] for path in STATIC.parent.glob(pattern)}
    assert {path for path in STATIC.rglob("*") if path.is_file()} == packed
