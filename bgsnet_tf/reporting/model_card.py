"""The card beside an export, `README.md` with metadata as Hugging Face's hub reads them: what it is, does, and is not known to do."""

import os
import re

from bgsnet_tf import files
from bgsnet_tf.config import delta_choice
from bgsnet_tf.errors import UserError
from bgsnet_tf.evaluation import bootstrap
from bgsnet_tf.exported import layout
from bgsnet_tf.reporting import html_page
from bgsnet_tf.reporting.result_tables import COLUMNS, verdicts
from bgsnet_tf.serving import versions

FILE = "README.md"
MOST_NAMES = 40  # of classes or attributes; assets/classes.csv has all
RENDERED = "none: the images are rendered by this program"
TERMS = {  # as docs/datasets.md has them
    "demo": RENDERED,
    "demo_fine": RENDERED,
    "demo_dials": RENDERED,
    "cub": "non-commercial research and education only; the photos belong to their owners",
    "sun": "research",
    "awa2": "every image has its own Creative Commons licence, listed in the archive",
    "apy": "research; the photos are Flickr's and Yahoo's users'",
}
FIGURES = {
    "T": "photos of unseen classes, among unseen classes alone",
    "U": "photos of unseen classes, among all classes",
    "S": "photos of seen classes, among all classes",
    "H": "harmonic mean of U and S",
    "AUSUC": "area under the curve of U and S over all δ",
}


def write(run, version):
    """Writes the card of an export's version into its folder, in place of an earlier one.

    It shows the figures of the run's `results.json` where those are of this version's weights and δ; else it says why not.

    Args:
      run: the `Run` that was exported.
      version: folder of the version.

    Raises:
      UserError: where the folder holds no export, or cannot be written.
    """
    described = layout.read(version)
    results, missing = _results(run, described)
    card = html_page.TEMPLATES.get_template("model_card.md.jinja").render(
        version=version,
        described=described,
        benchmark=run.benchmark,
        config=run.config,
        results=results,
        missing=missing,
        figures=[] if results is None else [_figure(results, name) for name in COLUMNS if name in results["fused"]],
        verdicts=[] if results is None else verdicts(results),
        confidence=f"{bootstrap.CONFIDENCE:.0%}",
        terms=TERMS.get(run.config.data.dataset, "not on record: whoever made the tables knows them"),
        command=" ".join(["bgsnet-train", *_as_trained(run.config).changed()]),
        seen=_names(described.class_names, described.seen),
        unseen=_names(described.class_names, ~described.seen),
        attributes=_names(described.attribute_names),
    )
    with files.naming_unwritable(version):
        files.write(os.path.join(version, FILE), card)


def refresh(run):
    """Writes the cards of all versions that a run has exported anew; versions of before they said what they hold are passed over."""
    directory = os.path.join(run.directory, "export")
    for number in versions.existing(directory) if os.path.isdir(directory) else ():
        version = os.path.join(directory, str(number))
        try:
            layout.read(version)
        except UserError:
            continue
        write(run, version)


def _results(run, described):
    """The content of `results.json` where it is of this version, else None and why, as a sentence."""
    found = files.read_json(os.path.join(run.directory, "results.json"))
    again = f"`bgsnet-evaluate --run_dir={run.directory}`"
    if not isinstance(found, dict) or "fused" not in found:
        return None, f"Not measured yet; {again} does."
    if described.origin.weights is None or found.get("weights") != described.origin.weights:
        return None, f"Not on record for these weights (trained again or pruned); {again} with `--export_dir` prints them."
    if found["deltas"]["fused"] != described.delta:
        return None, f"Not on record for this δ; the run was last scored with {found['deltas']['fused']:.3f}. {again} scores it anew."
    return found, ""


def _figure(results, name):
    low, high = results.get("intervals", {}).get("fused", {}).get(name) or (None, None)
    return {"name": name, "value": results["fused"][name], "low": low, "high": high, "meaning": FIGURES[name]}


def _as_trained(config):
    """The settings with --calibrate in place of what it chose."""
    if not delta_choice.is_calibrated(config):
        return config
    return config.replace(calibrate=True, finetune_stop=0, **dict.fromkeys(delta_choice.FLAGS.values(), 0.0))


def _names(names, which=None):
    """Names as Markdown, and how many more there are."""
    kept = [re.sub(r"([\\`*_\[\]<>|])", r"\\\1", name) for i, name in enumerate(names) if which is None or which[i]]
    more = f" and {len(kept) - MOST_NAMES} more" if len(kept) > MOST_NAMES else ""
    return ", ".join(kept[:MOST_NAMES]) + more
