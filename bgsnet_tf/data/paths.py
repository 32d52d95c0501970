"""Finds the image files that a data set names, and only below the data folder. It opens no image.

The four benchmarks name images by their authors' own paths (`/BS/…/images/001.Albatross/x.jpg`), and people
keep them in many layouts. The folder is walked once; each name is then matched by its longest path suffix,
so `CUB_200_2011/images/001.Albatross/x.jpg`, `images/001.Albatross/x.jpg` and `x.jpg` all serve.

A path that stands in a file is never opened itself: only files met by the walk are. The walk does follow
symbolic links, which are the folder's owner's own doing: large sets are often linked in from another disk.
"""

import collections
import difflib
import os
import re

import numpy as np

from bgsnet_tf.errors import UserError

LISTED_MISSES = 10


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
    files = _index(data_dir)
    found, owner, problems = {}, {}, []
    for name in dict.fromkeys(names):
        fits = _fitting(name, files, data_dir, exact)
        if len(fits) == 1 and owner.setdefault(fits[0], path_parts(name)) == path_parts(name):
            found[name] = os.path.join(os.path.abspath(data_dir), *fits[0])
        else:
            problems.append((name, fits))
    for i, (name, fits) in enumerate(problems[:LISTED_MISSES]):
        others = f" [{len(problems) - 1} more images are missing or ambiguous]" if i == 0 and len(problems) > 1 else ""
        report(_explain(name, fits, files, data_dir, exact) + others)
    return np.array([found.get(name, "") for name in names], dtype=str)


def _index(data_dir):
    """Maps the spelling-free name of each file to the path parts, from `data_dir`, of all files of that name."""
    if not os.path.isdir(data_dir):
        raise UserError(f"no data folder at {data_dir!r}; set --data_dir to the folder that holds the images")
    files = collections.defaultdict(list)
    for parts in walk(data_dir):
        files[_file_key(parts[-1])].append(parts)
    return files


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


def _fitting(name, files, data_dir, exact):
    """Path parts of the files that fit a name best; one file that is reached by two links counts once."""
    parts = path_parts(name)
    if not parts or _leads_out(name, exact):
        return []
    candidates = files.get(_file_key(parts[-1]), [])
    if exact:
        best = [file for file in candidates if file[:-1] == parts[:-1]]
    else:
        lengths = [_common_suffix(parts, file) for file in candidates]
        best = [file for file, length in zip(candidates, lengths) if length == max(lengths)]
    best = [file for file in best if file[-1] == parts[-1]] or best
    return best if len(best) < 2 else list({os.path.realpath(os.path.join(data_dir, *file)): file for file in best}.values())


def _explain(name, fits, files, data_dir, exact):
    if _leads_out(name, exact):
        return f"image path {name!r} may leave the data folder and is not opened; give it relative to {data_dir} and without '..'"
    if len(fits) > 1:
        places = ", ".join("/".join(file) for file in fits[:3])
        return f"image {name!r} fits {len(fits)} files below {data_dir} equally well ({places}); move the copies away"
    if fits:
        return f"image {name!r} fits only {'/'.join(fits[0])} below {data_dir}, which another name fits too; keep the folders of the images"
    closest = ", ".join(_closest(path_parts(name), files)) or "none is similar"
    return f"image {name!r} is missing below {data_dir}; add it or mend its name; the closest names there: {closest}"


def _closest(parts, files):
    """Up to three paths with similar file names: those in a folder of the same name, or else any."""
    everywhere = [file for same_name in files.values() for file in same_name]
    nearby = [file for file in everywhere if file[-2:-1] == parts[-2:-1]] or everywhere
    paths = {file[-1]: "/".join(file) for file in reversed(nearby)}
    return [paths[match] for match in difflib.get_close_matches("".join(parts[-1:]), paths)]


def path_parts(name):
    """Folders and file name of a path with either separator, without empty ones and `.`."""
    return tuple(part for part in re.split(r"[/\\]", name) if part not in ("", "."))


def _file_key(file_name):
    stem, extension = os.path.splitext(file_name)
    return stem + extension.lower()


def _common_suffix(parts, file):
    """Number of folders, from the file upwards, in which two paths with the same file name agree."""
    return next((i for i, (a, b) in enumerate(zip(parts[-2::-1], file[-2::-1])) if a != b), min(len(parts), len(file)) - 1)


def _leads_out(name, exact):
    return ".." in path_parts(name) or (exact and re.match(r"[/\\]|[A-Za-z]:", name) is not None)
