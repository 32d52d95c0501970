"""Imports go one way: no room imports one above it, and no module itself through others."""

import ast
import graphlib
import pathlib

import bgsnet_tf

PACKAGE = pathlib.Path(bgsnet_tf.__file__).parent
BASE = {"errors", "files", "aside", "interruption", "config", "cli", "names", "text_table", "private_api"}
BELOW = {  # room to what it may import
    **dict.fromkeys(BASE, BASE),
    "private_api": set(),
    "model": {"errors", "private_api"},
    "evaluation": {"errors"},
    "data": BASE,
    "exported": BASE | {"data", "evaluation"},
    "training": BASE | {"data", "model", "evaluation"},
    "serving": BASE | {"data", "model", "evaluation", "exported"},
    "__init__": {"exported"},
}
BELOW["scoring"] = BELOW["serving"] | {"training", "serving"}
BELOW["planning"] = BELOW["reporting"] = BELOW["scoring"] | {"scoring"}
BELOW["commands"] = BELOW["reporting"] | {"planning", "reporting"}
BELOW["predict"] = BASE | {"exported", "serving"}
BELOW["playground"] = BELOW["predict"] | {"data"}
BELOW["train"] = BELOW["evaluate"] = BELOW["export"] = BELOW["experiments"] = BELOW["commands"] | {"commands"}


def name(path):
    """As others import the file; a folder's `__init__` has its folder's name, but for the package's, which is a room of its own."""
    *folders, file = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(folders if len(folders) > 1 and file == "__init__" else [*folders, file])


def imports():
    """Module to the package's modules that it imports, at its head or in a function."""
    names = {name(path): path for path in PACKAGE.rglob("*.py")}
    found = {}
    for module, path in names.items():
        nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
        targets = {target for node in nodes for target in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))}
        found[module] = targets & set(names)
    return found


def test_no_room_imports_one_above_it():
    room = {module: module.split(".")[1] for module in imports()}
    arrows = {(room[module], room[target]) for module, targets in imports().items() for target in targets}
    assert {(above, below) for above, below in arrows if above != below and below not in BELOW[above]} == set()


def test_no_module_imports_itself_through_others():
    graphlib.TopologicalSorter(imports()).prepare()
