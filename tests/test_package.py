"""The wheel: what it holds, and that it works where no clone is near."""

import os
import re
import shutil
import site
import subprocess
import sys
import zipfile

import pytest

import bgsnet_tf
from tests.programs import ROOT
from tests.tiny import write_tiny
from tests.whole_runs import TINY_FLAGS

SOURCES = ["bgsnet_tf", "configs", "requirements", "requirements.txt", "pyproject.toml", "README.md", "LICENSE"]
SHORT = {**TINY_FLAGS, "finetune_epochs": 0, "gnet": True, "bsnet": False, "meta": False}


def run(*command, cwd):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: a build leaves its parts beside the sources."""
    root = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, root / name)
    run(sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir=dist", cwd=root)
    return next((root / "dist").iterdir())


@pytest.fixture(scope="module")
def scripts(wheel, tmp_path_factory):
    """Folder of the console scripts, in an environment that has the wheel and this one's other packages."""
    root = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", root, cwd=root)
    packages = next((root / "lib").glob("python*")) / "site-packages"
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    run(sys.executable, "-m", "pip", "--python", root, "install", "--no-deps", "--no-index", wheel, cwd=root)
    return root / "bin"


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    data = [path for path in (ROOT / "bgsnet_tf").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    wanted = {str(path.relative_to(ROOT)) for path in data}
    wanted |= {f"bgsnet_tf/configs/{path.name}" for path in (ROOT / "configs").glob("*.flags")}
    assert {name for name in names if ".dist-info/" not in name} == wanted
    assert wheel.name.startswith(f"bgsnet_tf-{bgsnet_tf.__version__}-")


@pytest.mark.long
def test_installed_commands_find_their_flagfiles_and_train(scripts, tmp_path):
    write_tiny(tmp_path / "tiny")
    flags = [f"--{name}={value}" for name, value in SHORT.items()]
    trained = run(scripts / "bgsnet-train", "--flagfile=demo.flags", *flags, "--data_dir=tiny", "--run_dir=here", cwd=tmp_path)
    assert "exported to here/export/1" in trained.stdout
    assert "cuda" not in trained.stderr.lower() and "Addons" not in trained.stderr  # nothing that a user cannot act on
    assert "AUSUC" in run(scripts / "bgsnet-evaluate", "--run_dir=here", "--export_dir=here/export/1", cwd=tmp_path).stdout
    where = run(scripts / "python", "-c", "import bgsnet_tf; print(bgsnet_tf.__file__)", cwd=tmp_path).stdout
    assert where.startswith(str(scripts.parent))


def test_every_script_starts_and_lists_its_own_flags(scripts, tmp_path):
    own = {"train": "dry_run", "evaluate": "export_dir", "predict": "top_k", "playground": "port", "check": "quick"}
    own.update(export="prune_to", ablation="seeds")
    installed = {path.name for path in scripts.glob("bgsnet-*")}
    assert installed == {f"bgsnet-{name}" for name in own}
    for name, flag in own.items():
        result = subprocess.run([scripts / f"bgsnet-{name}", "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert f"--{flag}" in result.stdout.replace("[no]", "") and f"bgsnet-{name}" in result.stdout and "Traceback" not in result.stderr


def test_one_version_everywhere(wheel):
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA"))).decode()
    assert set(re.findall("^Provides-Extra: (.*)$", metadata, re.MULTILINE)) == {"serving", "beam", "gpu", "dev"}
    assert re.search(rf"^## {re.escape(bgsnet_tf.__version__)} ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert f"version: {bgsnet_tf.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
