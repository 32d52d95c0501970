"""What the runs of an experiment trained, read from what they left on disk, since they are made in other processes."""


def trained_stages(root):
    """Run folder, relative to `root`, to the sorted names of the stages that were trained there rather than shared."""
    found = {}
    for path in sorted(root.rglob("logs/*/train")):
        found.setdefault(str(path.parents[2].relative_to(root)), []).append(path.parent.name)
    return found
