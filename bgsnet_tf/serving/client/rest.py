"""TF Serving's REST API, with the standard library alone.

Letters: B images, C' classes of a request, A attributes.
"""

import base64
import contextlib
import http.client
import json
import socket
import time
import urllib.parse

from bgsnet_tf.errors import UserError
from bgsnet_tf.exported.refusals import Refused
from bgsnet_tf.serving.client.checked import MAX_ANSWER, at, parsed, ranked, require_zero_shot, scores
from bgsnet_tf.serving.client.failures import Garbled, Lost, Overloaded

OVERLOADED_HTTP = (429, 503)  # TF Serving: RESOURCE_EXHAUSTED, UNAVAILABLE


class RestTransport:
    """TF Serving's REST API; a connection for each request, so that threads may share it.

    Every method raises `Overloaded`, `Lost`, `Garbled` or `Refused`, or a `UserError` where no server answers in time.
    """

    def __init__(self, host, port, model, timeout):
        self.host, self.port, self.timeout = host, port, timeout
        self.path = f"/v1/models/{urllib.parse.quote(model, safe='')}"
        self.sockets = set()  # of requests under way

    def attributes(self):
        """A: how many attributes a class of `zero_shot` needs."""
        signatures = at(self._request("GET", "/metadata"), "metadata", "signature_def", "signature_def")
        try:
            require_zero_shot(signatures)
            dimensions = at(signatures, "zero_shot", "inputs", "class_attributes", "tensor_shape", "dim")
            return int(at(dimensions[-1], "size"))
        except (ValueError, TypeError, LookupError) as error:
            raise Garbled("its metadata give no number of attributes") from error

    def classify(self, files):
        """For each of the files' bytes (B,), a list of (class name, score), best first."""
        examples = [{"image/encoded": _base64(contents)} for contents in files]
        answer = self._request("POST", ":classify", {"signature_name": "classify", "examples": examples})
        return ranked(at(answer, "result"), len(files))

    def zero_shot(self, files, class_attributes):
        """Scores (B, C') of files (B,) for classes (C', A)."""
        repeated = [class_attributes.tolist()] * len(files)
        inputs = {"image_bytes": [_base64(contents) for contents in files], "class_attributes": repeated}
        answer = self._request("POST", ":predict", {"signature_name": "zero_shot", "inputs": inputs})
        return scores(at(answer, "outputs", "scores"), len(files), len(class_attributes))

    def close(self):
        """Ends the requests under way, and lets no other begin."""
        self.timeout = 0.0
        for connected in list(self.sockets):
            connected.end = 0.0
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def _request(self, method, verb, body=None):
        connection = http.client.HTTPConnection(self.host, self.port)
        end = time.monotonic() + self.timeout
        try:
            connection.sock = self._connected(end)
        except socket.timeout as error:
            raise self._too_late() from error
        except OSError as error:
            raise UserError(f"no REST server of TF Serving answers at {self.host}:{self.port}: {error}") from error
        with connection.sock as connected:
            try:
                connection.request(method, self.path + verb, None if body is None else json.dumps(body))
                response = connection.getresponse()
                content = response.read(MAX_ANSWER + 1)
            except socket.timeout as error:
                raise self._too_late() from error
            except (OSError, http.client.IncompleteRead) as error:
                raise Lost(str(error)) from error
            except (http.client.HTTPException, ValueError) as error:
                raise Garbled(f"the server does not speak HTTP: {error!r}") from error
            finally:
                self.sockets.discard(connected)
        if response.length and len(content) <= MAX_ANSWER:
            raise Lost(f"{response.length} bytes of the answer are missing")
        if response.status in OVERLOADED_HTTP:
            raise Overloaded(f"HTTP {response.status}")
        if response.status != 200:
            raise Refused(_message(content, response.status))
        return parsed(content)

    def _connected(self, end):
        """A `_Socket` to the first of the host's addresses that answers."""
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            connected = _Socket(family, kind, protocol)
            connected.end = end
            self.sockets.add(connected)
            try:
                connected.wait_no_longer()
                connected.connect(address)
                return connected
            except OSError as error:
                self.sockets.discard(connected)
                connected.close()
                problem = error
        raise problem

    def _too_late(self):
        return UserError(f"{self.host}:{self.port} gave no answer within --timeout={self.timeout:g} seconds")


class _Socket(socket.socket):
    """A socket whose reads, all together, end at the time `end`; a plain one's timeout begins anew with every byte that drips in."""

    def wait_no_longer(self):
        remaining = self.end - time.monotonic()
        if remaining <= 0:
            raise socket.timeout("timed out")
        self.settimeout(remaining)

    def recv_into(self, *arguments):
        self.wait_no_longer()
        return super().recv_into(*arguments)


def _base64(contents):
    return {"b64": base64.b64encode(contents).decode()}


def _message(content, status):
    """What the server says about a request that it refuses."""
    with contextlib.suppress(Garbled):
        error = at(parsed(content), "error")
        if isinstance(error, str):
            return error
    return f"HTTP {status}"
