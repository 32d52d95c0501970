"""Flagfiles: where they lie, and the flags that they hold. Those of `configs/` come with the package and are found by their bare name."""

import pathlib

from bgsnet_tf.errors import UserError

SHIPPED = pathlib.Path(__file__).parents[1] / "configs"


def expand(arguments, includers=()):
    """The arguments, with every --flagfile replaced by the lines of its file and of the files that it names.

    Args:
      arguments: flags as on a command line, without the program's name.
      includers: files whose lines these are, outermost first.

    Raises:
      UserError: where a file cannot be read, or holds itself.
    """
    expanded, rest = [], list(arguments)
    while rest:
        argument = rest.pop(0)
        flag, _, value = argument.partition("=")
        if flag not in ("--flagfile", "-flagfile"):
            expanded.append(argument)
            continue
        path = _find(value or (rest.pop(0) if rest else ""))
        if path in includers:
            raise UserError(f"--flagfile={path} names itself, by way of {includers[-1]}; take that line out")
        expanded += expand(_lines(path), (*includers, path))
    return expanded


def _find(name):
    path = pathlib.Path(name).expanduser()
    if not path.exists() and path.name == name:
        path = SHIPPED / name
    if not path.exists():
        known = ", ".join(sorted(one.name for one in SHIPPED.glob("*.flags")))
        raise UserError(f"--flagfile={name} is no file; give its path, or one of those that come with BGSNet-TF: {known}")
    return path.resolve()


def _lines(path):
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--flagfile={path} cannot be read as text: {error}") from error
    return [line for line in lines if line and not line.startswith(("#", "//"))]
