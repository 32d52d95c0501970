"""Images that are refused, and how a bad one costs only itself. Needs no TensorFlow."""

import re

TRACE = re.compile(r".*<stack traces unavailable>|\[\[\{\{node.*", re.DOTALL)  # what TensorFlow puts around an error of the graph
ASSERTION = re.compile(r"assertion failed: \[(.*)\]")


class Refused(Exception):
    """The request itself is at fault: sent again, it fails again."""


def answer_apart(files, ask):
    """(answer, problem) of each of the files' bytes, one of the two None; what is refused is asked again in halves."""
    try:
        return [(found, None) for found in ask(files)]
    except Refused as refusal:
        if len(files) == 1:
            text = " ".join(TRACE.sub("", str(refusal)).split())
            return [(None, ASSERTION.sub(r"\1", text))]
        half = len(files) // 2
        return answer_apart(files[:half], ask) + answer_apart(files[half:], ask)
