"""The playground's WSGI application: the page, the model's description, the examples, and the answer to a photo.

It keeps nothing between requests and writes nothing to disk. A photo is the plain body of a POST, of a content type that no
other site's page may send without asking first, and no site is ever allowed (no CORS header). Host names that are not this
server's are refused, so that no foreign name can be bound to it (DNS rebinding).
"""

import ipaddress
import json
import logging
import mimetypes
import os
import re
import socket

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from bgsnet_tf.errors import UserError
from bgsnet_tf.playground.answers import MAX_BYTES

STATIC = os.path.join(os.path.dirname(__file__), "static")
BINARY = "application/octet-stream"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
HOST = re.compile(r"(?:\[(?P<ipv6>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9.-]+))(?::\d+)?")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Playground:
    """The WSGI application.

    Args:
      answers: an `Answers`.
      examples: image files to offer.
      host: that the server listens on; its names are accepted, and where it is not loopback any address of numbers, which no
        DNS can bind.
    """

    def __init__(self, answers, examples=(), host="127.0.0.1"):
        self.answers, self.examples = answers, list(examples)
        self.is_open = host not in LOOPBACK
        self.names = LOOPBACK | {host.lower(), socket.gethostname().lower()} if self.is_open else LOOPBACK
        names = [re.sub(r"^\d+ ", "", os.path.splitext(os.path.basename(path))[0]) for path in self.examples]
        self.fixed = {
            **_static_files(),
            "/model": (json.dumps(answers.description(names), allow_nan=False).encode(), "application/json"),
            "/class-attributes": (answers.class_attributes(), BINARY),
        }

    def __call__(self, environ, start_response):
        try:
            response = self._answer(Request(environ))
        except _Refusal as refusal:
            response = _problem(refusal.status, str(refusal))
        except HTTPException as error:
            response = _problem(error.code, "The request is damaged.")
        except Exception:  # the last door: the user gets a sentence, the terminal the traceback
            logging.getLogger(__name__).exception("%s %r failed", environ.get("REQUEST_METHOD"), environ.get("PATH_INFO"))
            response = _problem(500, "The server failed at this request; its terminal says why.")
        response.headers.update(HEADERS)
        return response(environ, start_response)

    def _answer(self, request):
        if not self._is_ours(request.environ.get("HTTP_HOST", "")) or not request.environ.get("RAW_URI", "/").startswith("/"):
            raise _Refusal(403, "This server is asked for by a name that is not its own.")
        if request.path == "/photo":
            return self._photo(request)
        if request.method not in ("GET", "HEAD"):
            raise _Refusal(405, f"{request.path} only takes GET.")
        if request.path in self.fixed:
            content, kind = self.fixed[request.path]
            return Response(content, content_type=kind)
        example = re.fullmatch(r"/examples/([0-9]{1,6})", request.path)
        if example and int(example[1]) < len(self.examples):
            return self._example(self.examples[int(example[1])])
        raise _Refusal(404, "There is no such page.")

    def _photo(self, request):
        if request.method != "POST":
            raise _Refusal(405, "/photo only takes POST.")
        if request.mimetype != BINARY:
            raise _Refusal(415, f"A photo is sent as the body itself, as {BINARY}.")
        if request.content_length is None:
            raise _Refusal(411, "The request does not say how long its body is.")
        if request.content_length > MAX_BYTES:
            raise _Refusal(413, f"A photo may have up to {MAX_BYTES >> 20} MB.")
        contents = request.get_data(cache=False)
        try:
            answer = self.answers.see(contents)
        except UserError as error:
            raise _Refusal(422, str(error)) from error
        return Response(json.dumps(answer, allow_nan=False), content_type="application/json")

    def _example(self, path):
        try:
            with open(path, "rb") as file:
                contents = file.read()
        except OSError as error:
            raise _Refusal(404, f"The example cannot be read: {error.strerror}.") from error
        return Response(contents, content_type=mimetypes.guess_type(path)[0] or BINARY)

    def _is_ours(self, host):
        match = HOST.fullmatch(host)
        name = match and (match["ipv6"] or match["name"]).lower()
        return bool(match) and (name in self.names or (self.is_open and _is_address(name)))


class _Refusal(Exception):
    """A request that gets a sentence instead of an answer."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def _problem(status, message):
    return Response(json.dumps({"error": message}), status=status, content_type="application/json")


def _is_address(name):
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _static_files():
    """Path in the address to (content, content type) of all files of the page, so that no request names a file."""
    files = {}
    for folder, _, names in os.walk(STATIC):
        for name in names:
            path = os.path.join(folder, name)
            kind = {".js": "text/javascript", ".svg": "image/svg+xml"}.get(os.path.splitext(name)[1]) or mimetypes.guess_type(name)[0]
            with open(path, "rb") as file:
                address = "/static/" + os.path.relpath(path, STATIC).replace(os.sep, "/")
                files[address] = file.read(), f"{kind}; charset=utf-8"
    files["/"] = files.pop("/static/index.html")
    return files
