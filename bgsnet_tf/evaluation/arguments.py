"""What score arrays, labels and sets of classes must be, for all that `metrics` computes of them; its docstring says what they are."""

import numpy as np


def checked(scores_seen, labels_seen, scores_unseen, labels_unseen, seen_classes, unseen_classes):
    scores_seen, scores_unseen = checked_scores(scores_seen, "scores_seen"), checked_scores(scores_unseen, "scores_unseen")
    if scores_seen.shape[1] != scores_unseen.shape[1]:
        raise ValueError(f"scores_seen has {scores_seen.shape[1]} classes, scores_unseen {scores_unseen.shape[1]}; both need all of them")
    seen_classes, unseen_classes = checked_classes(seen_classes, unseen_classes, scores_seen.shape[1])
    labels_seen = checked_labels(labels_seen, len(scores_seen), seen_classes, "seen")
    labels_unseen = checked_labels(labels_unseen, len(scores_unseen), unseen_classes, "unseen")
    return scores_seen, labels_seen, scores_unseen, labels_unseen, seen_classes, unseen_classes


def checked_scores(scores, name):
    scores = np.asarray(scores)
    if scores.dtype not in (np.float32, np.float64):
        scores = scores.astype(np.float64)
    if scores.ndim != 2:
        raise ValueError(f"{name} must be (images, classes), not {scores.shape}")
    if not len(scores):
        raise ValueError(f"{name} is empty: the split has no images")
    if not np.isfinite(scores).all():
        image, c = np.argwhere(~np.isfinite(scores))[0]
        raise ValueError(f"{name}[{image}, {c}] is {scores[image, c]}; scores must be finite")
    return scores


def checked_classes(seen_classes, unseen_classes, count):
    for classes, name in ((seen_classes, "seen_classes"), (unseen_classes, "unseen_classes")):
        classes = np.asarray(classes)
        if classes.ndim != 1 or not len(classes) or classes.dtype.kind not in "iu":
            raise ValueError(f"{name} must be a non-empty integer array (classes,), not {classes.dtype} {classes.shape}")
        if classes.min() < 0 or classes.max() >= count:
            raise ValueError(f"{name} holds indices from {classes.min()} to {classes.max()}, but the scores have {count} classes")
    both = np.intersect1d(seen_classes, unseen_classes)
    if len(both):
        raise ValueError(f"class {both[0]} is in seen_classes and in unseen_classes")
    return np.asarray(seen_classes), np.asarray(unseen_classes)


def checked_labels(labels, images, classes, split):
    labels = np.asarray(labels)
    if labels.shape != (images,) or labels.dtype.kind not in "iu":
        raise ValueError(f"labels_{split} must be integers ({images},), one per row of scores_{split}, not {labels.dtype} {labels.shape}")
    outside = np.setdiff1d(labels, classes)
    if len(outside):
        raise ValueError(f"labels_{split} holds class {outside[0]}, which is not in {split}_classes")
    return labels
