"""A process beside this one, for work that needs no TensorFlow: reading data while it is loaded, drawing while networks compute."""

import contextlib
import multiprocessing
import signal

FAILED = False, None


class Aside:
    """A process of its own that calls functions one after another. It ends with this process, however that ends.

    Make it before this process has threads: it is forked.
    """

    def __init__(self):
        fork = multiprocessing.get_context("fork")
        self._pipe, theirs = fork.Pipe()
        fork.Process(target=_serve, args=(theirs, self._pipe), daemon=True).start()
        theirs.close()
        self._begun, self._outcomes = 0, []

    def begin(self, function, *args):
        """Begins a call. It may return much only where that is waited for before other calls begin: both sides would wait otherwise.

        Returns:
          A function without arguments that waits for the call, returns what it returns and raises what it raises. Where the other
          process failed or was killed, it makes the call in this one.
        """
        number, self._begun = self._begun, self._begun + 1
        with contextlib.suppress(OSError):  # it was killed
            self._pipe.send((function, args))

        def finish():
            while len(self._outcomes) <= number:
                self._outcomes.append(self._received())
            (done, returned), self._outcomes[number] = self._outcomes[number], FAILED
            return returned if done else function(*args)

        return finish

    def _received(self):
        try:
            return self._pipe.recv()
        except (EOFError, OSError):
            return FAILED


def at_once(function, *args):
    """As `Aside.begin`, in this process and without delay."""
    returned = function(*args)
    return lambda: returned


def _serve(pipe, others):
    others.close()  # so that the end of its parent is the end of the pipe
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(EOFError, OSError):
        while True:
            function, args = pipe.recv()
            try:
                outcome = True, function(*args)
            except Exception:  # the parent makes the call again, and meets what is wrong
                outcome = FAILED
            pipe.send(outcome)
