"""SIGINT and SIGTERM: at once by default, after the current training step inside `deferred`."""

import contextlib
import signal
import sys

from bgsnet_tf.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Request:
    """Whether the process has been asked to end: `signal` is the signal's number, or None."""

    signal = None

    def fulfil(self):
        """Raises `Interrupted` where there was a request."""
        if self.signal is not None:
            raise Interrupted(self.signal)


@contextlib.contextmanager
def deferred():
    """Yields a `Request` that the first signal only marks, for the body to fulfil when it suits; a second one ends the body at once."""
    request = Request()

    def mark(number, frame):
        if request.signal is not None:
            raise Interrupted(number)
        request.signal = number
        print(f"\n{signal.Signals(number).name}: finishing the step and saving a checkpoint; once more to stop at once", file=sys.stderr)

    before = {number: signal.signal(number, mark) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    request.fulfil()


def raise_on_signals():
    """Makes both signals raise `Interrupted` wherever the process is."""

    def interrupt(number, frame):
        raise Interrupted(number)

    for number in SIGNALS:
        signal.signal(number, interrupt)
