"""Werkzeug's server, made patient with nobody: so many connections, so many seconds for a request, no word of its software.

A slow or silent client keeps a thread no longer than `SECONDS`, and the others wait their turn meanwhile.
"""

import io
import socket
import threading
import time

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from bgsnet_tf.errors import UserError

CONNECTIONS = 32  # at a time; a browser opens six
SECONDS = 20.0  # for a whole request to come in, and for each piece of the answer to go out


class Server(ThreadedWSGIServer):
    """Serves a WSGI application from threads until `shutdown`.

    Attributes:
      port: that is listened on; a free one where 0 was asked for.

    Raises:
      UserError: where the port is taken or the address is not this machine's.
    """

    def __init__(self, host, port, application):
        self.places = threading.BoundedSemaphore(CONNECTIONS)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listening = socket.create_server((host, port), family=family, backlog=128)
        except OSError as error:
            raise UserError(f"--host={host} --port={port} cannot be listened on ({error.strerror}); give another, or --port=0") from error
        with listening:
            super().__init__(host, port, application, handler=Handler, fd=listening.fileno())

    def process_request(self, request, client_address):
        self.places.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.release()

    def handle_error(self, request, client_address):
        """Says nothing: a client that goes away is no error, and the application reports its own."""


class Handler(WSGIRequestHandler):
    timeout = SECONDS

    def setup(self):
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Deadline(self.connection))

    def version_string(self):
        return "playground"

    def log(self, *_):
        """Keeps the terminal for what matters."""


class _Deadline(io.RawIOBase):
    """What a connection sends, until its time is over; then `socket.timeout`."""

    def __init__(self, connection):
        self.connection, self.end = connection, time.monotonic() + SECONDS

    def readable(self):
        return True

    def readinto(self, buffer):
        left = self.end - time.monotonic()
        if left <= 0:
            raise socket.timeout("the request took too long to come in")
        self.connection.settimeout(left)
        try:
            return self.connection.recv_into(buffer)
        finally:
            self.connection.settimeout(SECONDS)
