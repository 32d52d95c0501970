"""Programs as a user starts them, but forked from a process that has loaded TensorFlow once and has done nothing else.

What runs is a process of its own: with arguments, two outputs, an exit status, and death by a signal. Only the seconds of loading
are shared; a test of those, or of what is loaded, starts a Python of its own.
"""

import contextlib
import multiprocessing
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile
import types

ROOT = pathlib.Path(__file__).resolve().parents[1]
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["bgsnet_tf.commands", "bgsnet_tf.exported.model"])


class Program:
    """A running `python ARGUMENTS`: a file of the folder `cwd`, or -m and a module, or -c and a text."""

    def __init__(self, *arguments, cwd=ROOT, **environment):
        self.arguments = [str(argument) for argument in arguments]
        self._folder = tempfile.TemporaryDirectory()
        self._outputs = [os.path.join(self._folder.name, name) for name in ("stdout", "stderr")]
        environment = {**os.environ, **environment}
        self._process = FORKED.Process(target=_run, args=(self.arguments, str(cwd), environment, self._outputs))
        self._process.start()
        self.pid = self._process.pid

    @property
    def outputs(self):
        """The texts of standard output and standard error so far."""
        return tuple(pathlib.Path(path).read_text(errors="replace") if os.path.exists(path) else "" for path in self._outputs)

    @property
    def status(self):
        """The exit status, -N after signal N; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number):
        """Sends it a signal; nothing where it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, timeout=300):
        """The `subprocess.CompletedProcess`; raises `subprocess.TimeoutExpired`, and kills, where it does not end in `timeout` seconds."""
        self._process.join(timeout)
        if self.status is None:
            self._process.kill()
            self._process.join()
            raise subprocess.TimeoutExpired(self.arguments, timeout, *self.outputs)
        return subprocess.CompletedProcess(self.arguments, self.status, *self.outputs)


def run(*arguments, **options):
    """The `subprocess.CompletedProcess` of a `Program`, whose outputs are texts."""
    return Program(*arguments, **options).wait()


def run_example(language, text, cwd):
    """As `run`, of an example in a page of the documentation: "python" or "bash"."""
    if language == "python":
        return run("-c", text, cwd=cwd)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", text]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


def _run(arguments, cwd, environment, outputs):
    for number, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    kind, *rest = arguments
    if kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv, sys.modules["__main__"] = ["-c", *rest[1:]], types.ModuleType("__main__")
        exec(rest[0], vars(sys.modules["__main__"]))
    else:
        sys.argv = arguments
        runpy.run_path(kind, run_name="__main__")
