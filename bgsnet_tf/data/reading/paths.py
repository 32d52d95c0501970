"""Finds the image files that a data set names, and only below the data folder. It opens no image.

The four benchmarks name images by their authors' own paths (`/BS/…/images/001.Albatross/x.jpg`), and people
keep them in many layouts. The folder is walked once; each name is then matched by its longest path suffix,
so `CUB_200_2011/images/001.Albatross/x.jpg`, `images/001.Albatross/x.jpg` and `x.jpg` all serve.

A path that stands in a file is never opened itself: only files met by the walk are. The walk does follow
symbolic links, which are the folder's owner's own doing: large sets are often linked in from another disk.
"""

import bisect
import collections
import difflib
import functools
import os
import re

import numpy as np

from bgsnet_tf import names as naming
from bgsnet_tf.errors import UserError

LISTED_MISSES = 10
MOST_COMPARED = 10_000  # file names that a missing one is compared with
_NOT_PLAIN = re.compile(r"[\\]|//|^\.?/|/\./|/\.?$")


def raise_problem(message):
    """The `report` of a reader that ends at the first problem.

    Raises:
      UserError: always, with `message`.
    """
    raise UserError(message)


def find_images(names, data_dir, report=raise_problem, exact=False):
    """Finds every named image below `data_dir`.

    Names may have either separator, double slashes and another letter case in the extension.

    Args:
      names: R strings; the same name may come often.
      data_dir: folder to search, with all folders in it.
      report: called with one line for each problem: a name with `..`, a name that no file fits, one that several
        files fit equally well, two names that fit one file. The first `LISTED_MISSES` are spelt out, the rest counted.
      exact: names must be relative to `data_dir` and fit from there; else their longest suffix counts.

    Returns:
      (R,) absolute file names, "" where there was a problem and `report` returned.

    Raises:
      UserError: `data_dir` is no folder; with the default `report`, every problem.
    """
    files = _Files(data_dir)
    found, owner, problems = {}, {}, []
    for name in dict.fromkeys(names):
        fits, wanted = files.fitting(name, exact), plain(name)
        if len(fits) == 1 and owner.setdefault(fits[0], wanted) == wanted:
            found[name] = f"{files.root}/{fits[0]}"
        else:
            problems.append((name, fits))
    for i, (name, fits) in enumerate(problems[:LISTED_MISSES]):
        others = f" [{len(problems) - 1} more images are missing or ambiguous]" if i == 0 and len(problems) > 1 else ""
        report(files.explain(name, fits, exact) + others)
    return np.array([found.get(name, "") for name in names], dtype=object)


class _Files:
    """The files below a folder, each as its path from there, and which of them fit a name."""

    def __init__(self, data_dir):
        if not os.path.isdir(data_dir):
            raise UserError(f"no data folder at {data_dir!r}; set --data_dir to the folder that holds the images")
        self.data_dir, self.root = data_dir, os.path.abspath(data_dir).rstrip("/")
        self.paths = set(map("/".join, walk(data_dir)))

    @functools.cached_property
    def by_key(self):
        """Spelling-free file name to the sorted paths of all files of that name."""
        files = collections.defaultdict(list)
        for path in sorted(self.paths):
            files[_key(path)].append(path)
        return files

    def fitting(self, name, exact):
        """Paths of the files that fit a name best; one file that is reached by two links counts once."""
        if exact and name in self.paths:  # no other file has this name, and no met one lies outside
            return [name]
        wanted = plain(name)
        if not wanted or _leads_out(name, exact):
            return []
        candidates = self.by_key.get(_key(wanted), [])
        if exact:
            best = [path for path in candidates if _folders(path) == _folders(wanted)]
        else:
            lengths = [_common_suffix(wanted, path) for path in candidates]
            best = [path for path, length in zip(candidates, lengths) if length == max(lengths)]
        best = [path for path in best if os.path.basename(path) == os.path.basename(wanted)] or best
        return best if len(best) < 2 else list({os.path.realpath(os.path.join(self.root, path)): path for path in best}.values())

    def explain(self, name, fits, exact):
        if _leads_out(name, exact):
            return f"image path {name!r} may leave the data folder and is not opened; give it relative to {self.data_dir} and without '..'"
        if len(fits) > 1:
            places = ", ".join(map(_shown, fits[:3]))
            return f"image {name!r} fits {len(fits)} files below {self.data_dir} equally well ({places}); move the copies away"
        if fits:
            place = f"{_shown(fits[0])} below {self.data_dir}"
            return f"image {name!r} fits only {place}, which another name fits too; keep the folders of the images"
        closest = ", ".join(map(_shown, self.closest(plain(name)))) or "none is similar"
        return f"image {name!r} is missing below {self.data_dir}; add it or mend its name; the closest names there: {closest}"

    def closest(self, wanted):
        """Up to three paths with similar file names: those in a folder of the same name, or else any."""
        folder = wanted.split("/")[-2:-1]
        files = [path for path in self.paths if path.split("/")[-2:-1] == folder] or self.paths
        by_name = {os.path.basename(path): path for path in sorted(files, reverse=True)}
        names, name = sorted(by_name), os.path.basename(wanted)
        middle = bisect.bisect(names, name)
        near = names[max(0, middle - MOST_COMPARED // 2) :][:MOST_COMPARED]
        return [by_name[match] for match in difflib.get_close_matches(name, near)]


def walk(folder, parts=(), parents=()):
    """Yields the path parts, from `folder`, of each file below it, sorted; a link back to a folder that it is in is not followed."""
    real = os.path.realpath(folder)
    if real in parents or not os.access(folder, os.R_OK | os.X_OK):
        return
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                yield from walk(entry.path, (*parts, entry.name), (*parents, real))
            elif entry.is_file():
                yield (*parts, entry.name)


def path_parts(name):
    """Folders and file name of a path with either separator, without empty ones and `.`."""
    return tuple(part for part in re.split(r"[/\\]", name) if part not in ("", "."))


def plain(name):
    """The path parts of a name, joined by single slashes."""
    return "/".join(path_parts(name)) if _NOT_PLAIN.search(name) else name


def _key(path):
    """A file's name in one spelling, whatever the letter case of its extension."""
    stem, extension = os.path.splitext(os.path.basename(path))
    return naming.composed(stem) + extension.lower()


def _folders(path):
    return naming.composed(os.path.dirname(path))


def _common_suffix(one, other):
    """Number of folders, from the file upwards, in which two paths agree."""
    one, other = (list(filter(None, _folders(path).split("/")))[::-1] for path in (one, other))
    return next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))


def _leads_out(name, exact):
    return ".." in path_parts(name) or (exact and re.match(r"[/\\]|[A-Za-z]:", name) is not None)


def _shown(path):
    """A path for people; in quotes where they would not see all of it."""
    return repr(path) if any(map(naming.fault, path.split("/"))) else path
