"""The client's file of answers: a line each, so that a stopped command goes on after the last whole one."""

import contextlib
import io
import os

from bgsnet_tf import files
from bgsnet_tf.errors import UserError


@contextlib.contextmanager
def continued(output, command):
    """Yields (stream, lines): a text stream for more lines, and those that the same command wrote before it was stopped.

    They lie in `files.unfinished(output)`, and beside it what command they are of; the file takes its name when the body ends.

    Args:
      output: path of the file.
      command: dict of all that the lines depend on.

    Raises:
      UserError: where the file cannot be written or is another command's, or the body raises one; it then says what is kept.
    """
    part, claim = files.unfinished(output), files.unfinished(f"{output}.command")
    if os.path.exists(output) and not os.path.isfile(output):
        raise UserError(f"--output={output} is no file; give the name of one")
    try:
        if not os.path.exists(part):
            files.write_json(claim, command)
        elif files.read_json(claim) != command:
            raise UserError(f"{part} is not of this command; remove it, or give another --output")
        with open(part, "a+b") as file:
            if not files.held(file):
                raise UserError(f"{part} is being written by another process; wait for it, or give another --output")
            lines = _whole_lines(file)
            try:
                with io.TextIOWrapper(file, "utf-8", newline="", line_buffering=True) as stream:
                    yield stream, lines
            except BaseException as error:
                if not os.path.getsize(part):
                    os.remove(part)
                    os.remove(claim)
                elif isinstance(error, UserError):
                    raise UserError(f"{error}; the answers so far are kept in {part}, and the same command continues") from error
                raise
        os.replace(part, output)
        os.remove(claim)
    except OSError as error:
        raise UserError(f"--output={output} cannot be written: {error.strerror}; the same command continues") from error


def _whole_lines(file):
    """The lines of a file; what follows the last whole one is cut off."""
    file.seek(0)
    contents = file.read()
    whole = contents[: contents.rfind(b"\n") + 1]
    file.truncate(len(whole))
    return whole.decode(errors="replace").split("\n")[:-1]
