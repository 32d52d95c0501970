"""Every command of every page: its flags are those of the program, its flagfile exists; and every flag that a page mentions exists."""

import concurrent.futures
import importlib.util
import re

import pytest

from tests.conftest import ROOT
from tests.docs import doc_commands
from tests.docs.test_docs import PAGES
from tests.programs import FORKED

OTHERS = {  # flags of programs that are not ours
    "docker": {"rm"},
    "tensorflow_model_server": {
        "rest_api_port", "port", "model_name", "model_base_path", "enable_batching",
        "tensorflow_inter_op_parallelism", "tensorflow_intra_op_parallelism",
    },
    "sbatch": {"nodes", "ntasks-per-node", "gpus-per-node", "signal", "requeue"},
    "beam": {"runner", "flink_master"},
    "tensorboard": {"logdir"},
    "git": {"follow"},
    "absl": {"flagfile", "help"},
}  # fmt: skip
NOT_PARSED = {"pytest", "build", "venv", "pip", "benchmarks", "tests"}  # what belongs to others, or measures: that it is there is all
COMMANDS = sorted({tuple(command) for page in PAGES for command in doc_commands.commands_of((ROOT / page).read_text(encoding="utf-8"))})
PARSED = [command for command in COMMANDS if command[0].split(".")[0] not in NOT_PARSED]


@pytest.fixture(scope="module")
def answers():
    """Command to the error of its flags and the names of all flags of its program."""
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=FORKED) as pool:
        return dict(zip(PARSED, pool.submit(doc_commands.parse, PARSED).result()))


def test_there_are_commands():
    assert len(PARSED) > 40 and ("bgsnet_tf.train", "--flagfile=demo.flags") in PARSED


def test_every_command_is_taken_by_its_program(answers):
    assert {" ".join(command): error for command, (error, _) in answers.items() if error} == {}


def test_every_module_that_is_named_is_there():
    modules = {
        command[0] for command in COMMANDS if command[0].split(".")[0] in ("benchmarks", "tests") and not command[0].endswith("NAME")
    }
    assert modules and [name for name in modules if importlib.util.find_spec(name) is None] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_flag_that_is_mentioned_exists(answers, page):
    known = set().union(*(names for _, names in answers.values()), *OTHERS.values())
    known |= {f"no{name}" for name in known}
    if page.parts[0] == "benchmarks" or page.name in ("performance.md", "results.md"):  # flags of benchmarks are in their sources
        known |= {
            name
            for path in (ROOT / "benchmarks").rglob("*.py")
            for names in re.findall(r'"--([a-z-]+)"|DEFINE_\w+\(\s*"(\w+)"', path.read_text())
            for name in names
        }
    assert doc_commands.flags_of((ROOT / page).read_text(encoding="utf-8")) - known == set()


def test_every_target_of_make_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        word
        for page in PAGES
        for line in doc_commands.code_of((ROOT / page).read_text(encoding="utf-8"))
        for match in re.findall(r"^make((?: [a-z-]+)+)", line)
        for word in match.split()
    }
    assert "demo" in named and named - targets == set()
