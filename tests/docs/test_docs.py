"""Every page: its links lead somewhere, and the Python of README.md and docs/attributes.md runs as it stands."""

import re

import pytest

from tests import programs
from tests.programs import ROOT

PAGES = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])

RUN_BY = {  # pages whose ```python and ```bash blocks are run as they stand
    "README.md": "tests/docs/test_docs.py",
    "docs/attributes.md": "tests/docs/test_docs.py",
    "docs/explaining.md": "tests/exported/test_explaining_page.py",
    "docs/phones.md": "tests/serving/test_litert.py",
    "docs/serving.md": "tests/serving/test_serving_page.py",
    "docs/tutorial.md": "tests/docs/test_tutorial.py",
}
# All other commands stand in indented blocks or in lines: they train for minutes, or need data, a cluster or Docker.
# tests/docs/test_doc_commands.py parses their flags, and those of these blocks:
NOT_RUN = {"docs/playground.md": "the page is served until Ctrl-C; tests/playground and the tutorial's test start it"}


def python_of(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def run(program, cwd):
    result = programs.run("-c", program, cwd=cwd)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_relative_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    local = [link.split("#")[0] for link in links if not re.match(r"https?:|mailto:|#", link)]
    assert [link for link in local if not (ROOT / page.parent / link).exists()] == []


def test_every_block_is_run_by_a_test_or_says_why_not():
    with_blocks = {str(page) for page in PAGES if re.search(r"^```(python|bash)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)}
    assert with_blocks == {*RUN_BY, *NOT_RUN}
    for page, test in RUN_BY.items():
        assert page.split("/")[-1] in (ROOT / test).read_text(encoding="utf-8")


def test_pages_and_links_are_found():
    assert len(PAGES) > 10 and "](docs/results.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


def test_the_readmes_python_runs(exported, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(exported.image_bytes[0])
    (example,) = python_of("README.md")
    assert "class" in run(example.replace("runs/demo/export/1", f"{exported.directory}/1"), tmp_path)
    assert (tmp_path / "attributes.png").stat().st_size > 0


def test_the_python_of_the_page_on_attributes_runs(tmp_path):
    for name in ("Crow", "Owl", "Grebe"):
        (tmp_path / "birds" / "images" / name).mkdir(parents=True)
    template, words, scale = python_of("docs/attributes.md")
    run(template, tmp_path)
    assert (tmp_path / "traits.csv").read_text() == "class,red crown,hooked bill,wing length,swims\nCrow,,,,\nGrebe,,,,\nOwl,,,,\n"
    run(words, tmp_path)
    assert (tmp_path / "names.txt").read_text().split() == ["Crow", "Owl", "Grebe"]
    parallel, apart = run(scale, tmp_path).split("]]\n", 1)
    assert set(re.findall(r"\d\.\d*", parallel)) == {"1."} and "0." in apart
