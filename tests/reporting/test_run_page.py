"""Checks that a report is one whole file with the numbers of its arrays, whatever the names in it, and that its figures are files."""

import base64
import html.parser
import io
import re
import shutil
from types import SimpleNamespace
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from bgsnet_tf import files
from bgsnet_tf.evaluation import bootstrap, metrics
from bgsnet_tf.reporting import figures, heat_maps, result_tables, run_page

CLASSES = ("lion, white", "<script>alert(1)</script>", "été & hiver", "x" * 70, "owl", "newt")
SEEN, UNSEEN = np.array([0, 1, 2]), np.array([3, 4, 5])


def evidence(**changes):
    rng = np.random.default_rng(0)
    phi = rng.uniform(size=(6, 5)).astype(np.float32)
    phi[:, 4] = 0.5
    labels_seen, labels_unseen = np.repeat(SEEN, 8), np.repeat(UNSEEN, 10)
    attributes = {"fused": phi[np.concatenate([labels_seen, labels_unseen])] + rng.normal(size=(54, 5)).astype(np.float32) * 0.2}
    attributes["general"] = attributes["fused"][::-1]
    scores = {branch: (a[:24] @ phi.T, a[24:] @ phi.T) for branch, a in attributes.items()}
    deltas = {"fused": 0.25, "general": -1.5}
    truth = labels_seen, labels_unseen, SEEN, UNSEEN
    results = {
        "dataset": "apy",
        "split": "final",
        "seed": 3,
        "deltas": deltas,
        "delta_source": "chosen <elsewhere>",
        "flags": {"run_dir": "runs/<b>", "eta": 0.01},
        "versions": {"TensorFlow": "2.15.1"},
        "gates": [0.95, 0.02, 0.6],
        "stages": {"finetune": {"seconds": 90.0, "peak_memory_bytes": 2.5e9}, "meta": {"seconds": None, "peak_memory_bytes": None}},
        **metrics.evaluate_branches(scores, *truth, deltas),
        "intervals": {
            branch: bootstrap.confidence_intervals(pair[0], labels_seen, pair[1], labels_unseen, SEEN, UNSEEN, deltas[branch])
            for branch, pair in scores.items()
        },
    }
    values = {
        "results": results,
        "per_class": result_tables.per_class_table(CLASSES, scores, *truth, deltas),
        "curves": {branch: metrics.seen_unseen_curve(pair[0], labels_seen, pair[1], *truth[1:]) for branch, pair in scores.items()},
        "calibration": metrics.SeenUnseenCurve(np.array([-1.0, 2.0]), U=np.array([0.0, 60.0, 80.0]), S=np.array([90.0, 60.0, 0.0])),
        "finetuning": {epoch: {"T": 50.0 + epoch, "AUSUC": ausuc} for epoch, ausuc in enumerate((31.0, 42.0, 37.0), start=1)},
        "load_pruning": lambda: pd.DataFrame(
            {
                "kept": [1, 2, 3],
                "threshold": [0.95, 0.6, 0.02],
                **{name: [71.0, 82.0, 93.0] for name in ("T", "U", "S", "H", "AUSUC")},
                "multiply_adds": [20e6, 30e6, 40e6],
                "parameters": [1e6, 1.5e6, 2e6],
            }
        ),
        "labels_unseen": labels_unseen,
        "unseen_classes": UNSEEN,
        "attributes": attributes["fused"][24:],
        "class_attributes": phi,
        "class_names": CLASSES,
        "attribute_names": ("fur", "wings", "<i>", "scales", "constant"),
        "weights": rng.uniform(size=(12, 3, 6)),
        "balance": {"epoch": 4, "gate_order_kept": 0.25, "loss_s": 0.5, "eta_loss_div": 0.125, "gradient_gates": np.nan},
        "load_images": lambda positions: np.stack([np.full((16, 16, 3), i, np.uint8) for i in positions]),
    }
    return run_page.Evidence(**{**values, **changes})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The page of all evidence."""
    return run_page.write(tmp_path_factory.mktemp("whole"), evidence())[0]


class Page(html.parser.HTMLParser):
    """Text, tags and images of a page; fails where tags do not close in order."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.images, self.addresses, self.text = [], [], [], [], ""
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        attributes = dict(attributes)
        self.addresses += [attributes[name] for name in ("src", "href") if name in attributes]
        if tag == "img":
            self.images.append(attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += f"{data}\n"


def test_a_report_is_one_file_without_script_or_network(whole):
    page, folder = Page(whole), whole.parent / "figures"
    assert whole.name == "report.html" and "script" not in page.tags and "i" in page.tags
    assert whole.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert all(image["alt"] for image in page.images)
    drawn = [image["src"] for image in page.images if image["src"].startswith("data:image/svg+xml;base64,")]
    names = {path.stem for path in folder.iterdir()}
    assert len(drawn) == len(names) == 10
    assert {base64.b64decode(src.split(",")[1]) for src in drawn} == {(folder / f"{name}.svg").read_bytes() for name in names}
    assert {path.name for path in folder.iterdir()} == {f"{name}.{kind}" for name in names for kind in ("svg", "png")}
    photos = [image["src"] for image in page.images if image["src"].startswith("data:image/jpeg;base64,")]
    values = [matplotlib.image.imread(io.BytesIO(base64.b64decode(src.split(",")[1])), format="jpg").mean() for src in photos]
    assert photos and max(values) < 30


def test_the_numbers_are_those_of_the_results(whole):
    given = evidence()
    text = re.sub(r"\s+", " ", Page(whole).text)
    for branch in ("fused", "general"):
        figures_of = given.results[branch]
        low, high = given.results["intervals"][branch]["H"]
        assert f"{figures_of['H']:.1f} {low:.1f}–{high:.1f} {figures_of['AUSUC']:.1f} {given.results['deltas'][branch]:.2f}" in text
    assert "paper * 43.8 31.0 51.9 39.7" in text and "H as printed; U = 31.0 and S = 51.9 give 38.8" in text
    for shown in ("chosen <elsewhere>", "--run_dir=runs/<b>", "--eta=0.01", "TensorFlow 2.15.1", "Seed 3"):
        assert shown in text
    for row in ("gates over one half 2/3", "gates below 0.1 1/3", "gates above 0.9 1/3"):
        assert row in text
    assert "finetune 1.5 min 2.5 GB meta - -" in text
    assert "test rows of the final split" in text and "The usual threshold of 0.5 keeps 2." in text
    assert "3 0.020 93.0 93.0 93.0 93.0 40.0 100% 2.0 100% 2 0.600 82.0 82.0 82.0 82.0 30.0 75% 1.5 75% 1 0.950" in text
    predicted = np.argmax(given.attributes @ given.class_attributes[UNSEEN].T, axis=1)
    pairs = [(t, p) for t, p in zip(np.repeat([0, 1, 2], 10), predicted) if t != p]
    assert pairs and f"{max(map(pairs.count, pairs))} of 10 images of" in text


def test_equal_evidence_gives_equal_files(tmp_path, whole):
    assert run_page.write(tmp_path, evidence())[0].read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    "change, missing",
    [
        ({"weights": None}, "instance weights below"),
        ({"calibration": None}, "U, S and H over δ"),
        ({"load_pruning": None}, "multiply-adds"),
        ({"load_images": None}, "image/jpeg"),
        ({"results": {name: value for name, value in evidence().results.items() if name != "gates"}}, "Balance"),
        ({"class_attributes": np.full((6, 5), 0.5, np.float32)}, "Mean correlation"),
    ],
    ids=[
        "no instance balance",
        "no validation run",
        "no gates to prune by",
        "features without images",
        "no special branch",
        "attributes all the same",
    ],
)
def test_what_a_run_does_not_have_is_left_out(tmp_path, whole, change, missing):
    less = run_page.write(tmp_path, evidence(**change))[0]
    Page(less)
    assert missing in whole.read_text(encoding="utf-8") and missing not in less.read_text(encoding="utf-8")


def test_one_unseen_class_has_no_confusion(tmp_path):
    given = evidence()
    kept = given.labels_unseen == 3
    one = {"labels_unseen": given.labels_unseen[kept], "unseen_classes": UNSEEN[:1], "attributes": given.attributes[kept]}
    page = Page(run_page.write(tmp_path, evidence(**one))[0])
    assert "Confusion" not in page.text and "Example" not in page.text


def test_many_classes_and_attributes_stay_in_bounds():
    rng = np.random.default_rng(0)
    names = [f"class {i}" for i in range(312)]
    bars = figures.class_bars(names, rng.uniform(0, 100, 312), seen=True)
    confusion = figures.confusion(rng.integers(0, 9, (72, 72)), names[:72])
    quality = run_page.analysis.AttributeQuality(*rng.uniform(0, 1, (3, 312)))
    for figure in (bars, confusion, figures.attribute_bars(names, quality)):
        assert max(figure.get_size_inches()) < 12


def test_no_temporary_file_is_left(whole):
    assert not [path for path in whole.parent.rglob("*") if path.suffix == files.UNFINISHED]


def test_figures_of_an_earlier_report_go_and_those_of_others_stay(tmp_path, whole):
    shutil.copytree(whole.parent, tmp_path, dirs_exist_ok=True)
    (tmp_path / "figures" / "for the paper").mkdir()
    (tmp_path / "figures" / "mine.svg").write_text("<svg/>")
    _, pictures = run_page.write(tmp_path, evidence(calibration=None))
    found = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert "calibration" not in found == {*(path.stem for path in pictures), "for the paper", "mine"}


def test_fine_tuning_is_drawn_where_there_is_more_than_one_epoch(tmp_path):
    axes = figures.finetuning(evidence().finetuning).axes[0]
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines["AUSUC"] == [[1, 31], [2, 42], [3, 37]] and lines["T"] == [[1, 51], [2, 52], [3, 53]]
    assert lines["highest AUSUC, epoch 2"][0][0] == 2
    _, pictures = run_page.write(tmp_path, evidence(finetuning={1: {"T": 50.0, "AUSUC": 30.0}}))
    assert "finetuning" not in {path.stem for path in pictures}


def test_the_calibration_figure_marks_the_peak_and_the_delta_in_use():
    curve = evidence().calibration
    axes = figures.calibration(curve, run_page.calibration.peak(curve), 1.75).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(lines["highest H, 60.0"].get_xydata(), [[0.5, 60.0]])
    assert set(lines["δ in use, 1.75"].get_xdata()) == {1.75}
    at_zero = np.searchsorted(lines["H"].get_xdata(), 0, side="right") - 1  # steps hold from their left end on
    assert [lines[name].get_ydata()[at_zero] for name in "USH"] == pytest.approx([60, 60, 60])


def test_no_letter_leaves_a_figure(tmp_path):
    """Its layout is made once, for the SVG, whose letters are widest."""
    names = [f"{i} {'wide name ' * 9}" for i in range(30)]
    for figure in (figures.class_bars(names, np.arange(30.0), seen=True), figures.confusion(np.eye(30, dtype=int), names)):
        figures.save(figure, tmp_path, "figure")
        pixels = matplotlib.image.imread(tmp_path / "figure.png")[..., :3]
        assert pixels.shape[1] == round(figures.WIDTH * figures.PNG_DPI)
        assert all(edge.min() == 1 for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


def test_cards_show_where_the_decisive_attributes_were_seen(tmp_path, whole):
    maps = np.zeros([4, 4, 5])
    maps[0, 0] = 1

    def shown(path):
        page = Page(path)
        return page.text, [image for image in page.images if image["alt"].startswith("map of ")]

    text, found = shown(run_page.write(tmp_path, evidence(load_maps=lambda positions: np.stack([maps] * len(positions))))[0])
    assert "in the same colours" in text and len(found) >= 3 * 3 and len(found) % 3 == 0
    darkest = []
    for image in found:  # black but for the corner that the map is of
        pixels = matplotlib.image.imread(io.BytesIO(base64.b64decode(image["src"].split(",")[1])), format="jpg").astype(int)
        darkest.append(pixels[:4, :4].max() - pixels[8:, 8:].max())
    assert np.reshape(darkest, [-1, 3]).max(axis=1).min() > 20, "the largest map of a photo has the full colour"
    text, found = shown(whole)
    assert not found and "in the same colours" not in text


def test_every_photo_has_its_own_maps():
    rng = np.random.default_rng(0)
    images, maps = rng.integers(256, size=(4, 8, 8, 3), dtype=np.uint8), rng.normal(size=(4, 2, 2, 5))
    phi = rng.normal(size=(3, 5))
    given = SimpleNamespace(load_images=lambda p: images[p], load_maps=lambda p: maps[list(p)], class_attributes=phi)
    wanted = [(2, 0, 1, [3, 1]), (0, 1, 2, [0, 4]), (3, 2, 0, [2, 3])]
    together = heat_maps.decisive(given, wanted)
    for (image, shown), one in zip(together, wanted):
        ((alone, alone_shown),) = heat_maps.decisive(given, [one])
        np.testing.assert_array_equal(image, images[one[0]])
        np.testing.assert_array_equal(image, alone)
        np.testing.assert_array_equal(shown, alone_shown)
    assert len(together) == 3 and heat_maps.decisive(given, []) == []


def test_every_name_that_a_class_may_have_is_drawn_as_it_is(tmp_path):
    names = ["$x^{$", "a $b$ \\frac", "<&>'\"", "100 %", "k\u00e4uzchen", "_^", "\\N{x}"]
    drawn = figures.save(figures.class_bars(names, [50.0] * len(names), seen=True), tmp_path, "classes")
    ElementTree.fromstring(drawn)
    assert b"<!-- $x^{$ -->" in drawn and b"<!-- a $b$ " in drawn  # how matplotlib notes the text of drawn letters
