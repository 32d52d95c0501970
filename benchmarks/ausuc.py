"""T, U, S, H and the exact AUSUC of 717 classes, against a δ grid as the field writes it. python -m benchmarks.ausuc"""

import functools

import numpy as np

from benchmarks.harness import Contender, compare, report

ROUNDS = 7
GRID = 100  # values of δ
SEEN, UNSEEN, ATTRIBUTES = 645, 72, 102
SPLITS = {"SUN's test images": (2580, 1440), "14 340 images": (9560, 4780)}
DELTA = 0.3


def attributes_and_truth(images_seen, images_unseen):
    """Predicted attributes of both splits, φ (C, A), labels of both splits, seen and unseen classes: about half are right."""
    rng = np.random.default_rng(0)
    phi = rng.random((SEEN + UNSEEN, ATTRIBUTES)).astype(np.float32)
    phi /= np.linalg.norm(phi, axis=1, keepdims=True)
    seen, unseen = np.split(rng.permutation(SEEN + UNSEEN), [SEEN])
    labels = [np.append(classes, rng.choice(classes, n - len(classes))) for classes, n in ((seen, images_seen), (unseen, images_unseen))]
    attributes = [phi[of] * 10 + rng.normal(size=(len(of), ATTRIBUTES)).astype(np.float32) * 1.2 for of in labels]
    return attributes, phi, labels, np.sort(seen), np.sort(unseen)


def exact(images):
    """The function that scores all images and returns T, U, S, H and AUSUC."""
    from bgsnet_tf.evaluation import metrics

    (seen_attributes, unseen_attributes), phi, (labels_seen, labels_unseen), seen, unseen = attributes_and_truth(*images)

    def call():
        return metrics.evaluate_gzsl(seen_attributes @ phi.T, labels_seen, unseen_attributes @ phi.T, labels_unseen, seen, unseen, DELTA)

    return call


def grid(images):
    """The same figures by a loop over δ and over classes; the area is that of the grid's points alone."""
    (seen_attributes, unseen_attributes), phi, (labels_seen, labels_unseen), seen, unseen = attributes_and_truth(*images)
    is_seen = np.isin(np.arange(len(phi)), seen).astype(np.float32)

    def per_class(labels, predictions, classes):
        return 100 * np.mean([np.mean(predictions[labels == c] == c) for c in classes])

    def call():
        scores_seen, scores_unseen = seen_attributes @ phi.T, unseen_attributes @ phi.T
        reach = max(np.abs(scores_seen).max(), np.abs(scores_unseen).max())
        points = []
        for delta in np.append(np.linspace(-reach, reach, GRID), DELTA):
            u = per_class(labels_unseen, np.argmax(scores_unseen - delta * is_seen, axis=1), unseen)
            s = per_class(labels_seen, np.argmax(scores_seen - delta * is_seen, axis=1), seen)
            points.append((u, s))
        (*points, (u, s)) = points
        t = per_class(labels_unseen, unseen[np.argmax(scores_unseen[:, unseen], axis=1)], unseen)
        area = sum((s1 - s2) * (u1 + u2) / 2 for (u1, s1), (u2, s2) in zip(points, points[1:])) / 100
        return {"T": t, "U": u, "S": s, "H": 2 * u * s / (u + s), "AUSUC": area}

    return call


def main():
    rows = []
    for name, images in SPLITS.items():
        ours, theirs = "BGSNet-TF, exact", f"a grid of {GRID} δ in NumPy"
        timings = compare([Contender(ours, functools.partial(exact, images)), Contender(theirs, functools.partial(grid, images))], ROUNDS)
        results = {ours: exact(images)(), theirs: grid(images)()}
        for contender, timing in timings.items():
            rows.append(
                {
                    "scores": f"{name} × {SEEN + UNSEEN}",
                    "contender": contender,
                    "milliseconds": 1e3 * timing.median,
                    "BGSNet-TF is faster": f"{timings[ours].times(timing):.1f}×",
                    **{figure: f"{value:.3f}" for figure, value in results[contender].items()},
                }
            )
    report("ausuc", rows)


if __name__ == "__main__":
    main()
