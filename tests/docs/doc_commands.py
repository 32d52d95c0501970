"""The commands that pages name, and whether this project's programs take their flags.

Every command (module, then arguments) is parsed in a process of its own, by the program's own definitions; nothing is run.
"""

import json
import os
import re
import runpy
import shlex
import sys

OURS = re.compile(
    r"(?:python3?|\S*/python) (?:-m (?P<module>[\w.]+)|(?P<file>train|evaluate)\.py)|(?<![\w./-])bgsnet-(?P<script>[a-z]+)(?![\w.])"
)
END = re.compile(r"\s(?:\||&&|\d?>|#|…)|;|$|'$")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")


def code_of(page):
    """Pieces of code of a page: of its fences, of its indented blocks, and within lines; lines that go on are joined."""
    rest = FENCE.sub("\n", page)
    fenced = [text for language, text in FENCE.findall(page) if language not in ("mermaid", "bibtex", "python")]
    pieces = [*fenced, *INDENTED.findall(rest), *INLINE.findall(INDENTED.sub("\n", rest))]
    return [line.strip() for piece in pieces for line in piece.replace("\\\n", " ").splitlines()]


def commands_of(page):
    """Commands of this project in a page, each as [module, argument, …]."""
    found = []
    for line in code_of(page):
        for match in OURS.finditer(line):
            module = match["module"] or "bgsnet_tf." + (match["file"] or SCRIPTS.get(match["script"], match["script"]))
            rest = line[match.end() :]
            arguments = rest[: END.search(rest).start()].replace("$set", "cub")  # of a loop over the benchmarks
            found.append([module, *shlex.split(arguments)])
    return found


SCRIPTS = {
    "check": "data.check",
    "playground": "playground",
    "ablation": "experiments.ablation",
}  # console scripts, the others are of their module


def flags_of(page):
    """Names of flags that a page mentions anywhere in its code."""
    return {name for line in code_of(page) for name in re.findall(r"(?<![\w-])--([a-z][a-z0-9_-]*)", line)}


def parse(commands):
    """For each command (error of its flags or "", names of all its flags). Needs a process of its own, with TensorFlow loaded and idle."""
    from absl import app, flags

    def only_parse(main, flags_parser):
        flags_parser(sys.argv)
        answer(["", sorted(flags.FLAGS)])

    def answer(value):
        os.write(write_end, json.dumps(value).encode())
        os._exit(0)

    app.run, answers = only_parse, []
    for module, *arguments in commands:
        read_end, write_end = os.pipe()
        if not os.fork():
            sys.argv = [module, *arguments]
            try:
                runpy.run_module(module, run_name="__main__", alter_sys=False)
            except SystemExit as error:
                answer([f"exit {error.code}", []])
            except BaseException as error:
                answer([f"{type(error).__name__}: {error}", []])
        os.close(write_end)
        with open(read_end) as stream:
            answers.append(json.loads(stream.read() or '["no answer", []]'))
        os.wait()
    return answers
