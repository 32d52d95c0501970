"""A server that sends whatever bytes a test likes."""

import base64
import contextlib
import json
import socket
import struct
import threading


def http(body, head=b""):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), head, body)


def classified(count):
    """A right answer to a request to classify `count` images."""
    return http(json.dumps({"result": [[["cat", 0.75], ["dog", 0.5]]] * count}).encode())


NO_ANSWERS = {  # what comes in place of the answer for two images
    "garbage": http(b"\xff\x00hello"),
    "nothing": b"",
    "an empty body": http(b""),
    "null": http(b"null"),
    "other JSON": http(b'{"outputs": []}'),
    "a cut header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a cut body": http(b'{"result": []}')[:-5],
    "a cut chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n{",
    "a chunk of negative size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a line without end": b"HTTP/1.1 200 OK\r\nA: " + b"a" * 100_000,
    "too few results": classified(1),
    "too many results": classified(3),
    "no list": http(b'{"result": 5}'),
    "results of no list": http(b'{"result": [5, 5]}'),
    "an image without classes": http(b'{"result": [[["cat", 1]], []]}'),
    "names that are numbers": http(b'{"result": [[[1, 1]], [[1, 1]]]}'),
    "scores that are text": http(b'{"result": [[["cat", "a"]], [["cat", 1]]]}'),
    "scores that are NaN": http(b'{"result": [[["cat", NaN]], [["cat", 1]]]}'),
    "scores that are infinite": http(b'{"result": [[["cat", 1e999]], [["cat", 1]]]}'),
    "scores beyond floats": http(b'{"result": [[["cat", 1%s]], [["cat", 1]]]}' % (b"0" * 400)),
    "deep JSON": http(b"[" * 100_000),
}


def reset(connection):
    """Breaks a connection, as a process that is killed does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def received(connection):
    """Bytes that came next; raises `ConnectionError` where none will come: a loop that waits for them would spin for ever."""
    part = connection.recv(1 << 16)
    if not part:
        raise ConnectionError
    return part


@contextlib.contextmanager
def serving(reply):
    """Yields the address of a server; `reply(connection, images)` answers a request to classify these files' bytes, in a thread each."""

    def handle(connection):
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                request += received(connection)
            head, _, body = request.partition(b"\r\n\r\n")
            length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
            while len(body) < length:
                body += received(connection)
            examples = json.loads(body or b"{}").get("examples", [])
            reply(connection, [base64.b64decode(example["image/encoded"]["b64"]) for example in examples])

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
