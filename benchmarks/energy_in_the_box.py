"""Do heat maps show the object? The share of a map's positive evidence that lies inside the object's box.

    python -m benchmarks.energy_in_the_box --run_dir=RUN [--photos=100]

RUN was trained on whole photos (--nouse_boxes) of a data set that has boxes. For photos spread over the test splits: the map of the
score of the class that the network predicts, beside Grad-CAM (Selvaraju et al. 2017) of the same score on the same last feature
maps, beside the box's share of the area, which an even map has, and beside the map of another photo, which knows where objects
mostly are. Intervals: 95 %, bootstrap over photos.
Letters: H and W the height and width of what the network sees, h and w those of a map, N sub-modules, K channels.
"""

import dataclasses

import numpy as np
from absl import flags

from bgsnet_tf import cli, config
from bgsnet_tf.errors import UserError

REPLICATES, CONFIDENCE = 10_000, 0.95
AREA, OTHERS = "the box's share of the area", "the map of another photo"


def box_mask(box, shape, views):
    """(H, W) bool: the pixels of the test view that lie in a box xmin, ymin, xmax, ymax of an image of `shape` (height, width)."""
    resized = np.maximum(np.round(np.array(shape) * views.resize / min(shape)), views.resize)
    corner = (resized - views.size) // 2
    low, high = (np.array([y, x]) * resized / shape - corner for x, y in (box[:2], box[2:]))
    rows, columns = ((low[i] <= np.arange(views.size) + 0.5) & (np.arange(views.size) + 0.5 < high[i]) for i in range(2))
    return rows[:, np.newaxis] & columns


def share_inside(heat, mask):
    """The share of the positive part of a map (h, w), laid over the mask (H, W), that falls inside; NaN where nothing is positive."""
    from bgsnet_tf.evaluation.heat_maps import upsampled

    positive = np.maximum(upsampled(heat, *mask.shape), 0)
    return positive[mask].sum() / positive.sum() if positive.any() else np.nan


def grad_cam(bgsnet, attribution, image, direction):
    """(h, w) Grad-CAM of the score a · direction (A,): all tails' last maps, weighted by their mean gradients."""
    import tensorflow as tf

    features = bgsnet.trunk(image[np.newaxis], training=False)
    with tf.GradientTape() as tape:
        tape.watch(features)
        general, *special = [tail.with_last_map(features) for tail in [attribution.general_tail, *attribution.special_tails]]
        attributes = None
        if special:
            embeddings = tf.stack([e for e, _ in special], axis=1)
            factors = bgsnet.bsnet.instance_weights(embeddings, general[0]) * bgsnet.bsnet.gates()[:, tf.newaxis]
            attributes = bgsnet.bsnet.attributes(factors * embeddings)
        score = tf.reduce_sum(bgsnet.fuse(general[0], attributes)["fused"] * direction)
    maps = [last_map for _, last_map in [general, *special]]
    gradients = tape.gradient(score, maps, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    weighted = [tf.reduce_mean(g, [1, 2], keepdims=True) * m for g, m in zip(gradients, maps)]
    return tf.nn.relu(tf.reduce_sum(tf.add_n(weighted), axis=-1))[0].numpy()


def interval(values, rng):
    """Mean and its bootstrap interval."""
    draws = rng.integers(len(values), size=(REPLICATES, len(values)))
    return np.mean(values), *np.quantile(values[draws].mean(axis=1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])


def measure(run, boxes, photos):
    """Dict from what is measured to its share (photos,)."""
    import tensorflow as tf

    from bgsnet_tf.data.images import row_images
    from bgsnet_tf.evaluation.analysis import spread
    from bgsnet_tf.model.attribution import Attribution
    from bgsnet_tf.training import stages

    bgsnet = stages.build_bgsnet(run)
    attribution = Attribution(bgsnet)
    explain = tf.function(lambda image: attribution(image[tf.newaxis]), autograph=False)
    load, benchmark = row_images(run.benchmark), run.benchmark
    rows = spread(np.array([row for row in run.test_rows if not np.isnan(boxes[row]).any()]), photos)
    seen = np.isin(np.arange(len(benchmark.phi)), benchmark.seen_classes)
    shares, heats, masks = [], [], []
    for row in rows:
        pixels = load(tf.constant(row))
        image, mask = run.views(pixels), box_mask(boxes[row], pixels.shape[:2], run.views)
        parts = {branch: (d.maps[0].numpy(), d.constants[0].numpy()) for branch, d in explain(image).items() if branch != "submodules"}
        attributes = parts["fused"][0].sum((0, 1)) + parts["fused"][1]
        scores = benchmark.phi @ attributes - run.config.evaluation.delta * seen
        second, first = np.argsort(scores, kind="stable")[-2:]
        phi = benchmark.phi[first]
        found = {f"map, {branch}": share_inside(maps @ phi, mask) for branch, (maps, _) in parts.items()}
        over_next = phi - benchmark.phi[second]
        found["Grad-CAM"] = share_inside(grad_cam(bgsnet, attribution, image, phi), mask)
        found["map, fused, over the next class"] = share_inside(parts["fused"][0] @ over_next, mask)
        found["Grad-CAM, over the next class"] = share_inside(grad_cam(bgsnet, attribution, image, over_next), mask)
        shares.append({AREA: mask.mean(), **found})
        heats.append(parts["fused"][0] @ phi)
        masks.append(mask)
    for share, heat, mask in zip(shares, heats[1:] + heats[:1], masks):
        share[OTHERS] = share_inside(heat, mask)
    return {name: np.array([share[name] for share in shares]) for name in shares[0]}


def main():
    cli.require("run_dir")
    settings = config.of_run()
    from bgsnet_tf import commands
    from bgsnet_tf.data.loading import load_benchmark

    boxes = load_benchmark(dataclasses.replace(settings.data, use_boxes=True)).boxes
    if settings.data.use_boxes or boxes is None:
        raise UserError("this needs a run on whole photos (--nouse_boxes) of a data set with boxes")
    shares = measure(commands.open_run(settings), boxes, flags.FLAGS.photos)
    known = ~np.isnan(list(shares.values())).any(axis=0)
    shares = {name: 100 * values[known] for name, values in shares.items()}
    print(f"{known.sum()} photos" + (f"; {(~known).sum()} more have a map without positive evidence" if not known.all() else ""))
    print("\n| energy in the box | % | 95 % interval |\n|---|---:|---:|")
    differences = {f"{name} − {AREA}": values - shares[AREA] for name, values in shares.items() if name != AREA}
    differences.update({f"map, fused − {other}": shares["map, fused"] - shares[other] for other in ("Grad-CAM", OTHERS)})
    for name, values in {**shares, **differences}.items():
        mean, low, high = interval(values, np.random.default_rng(0))
        print(f"| {name} | {mean:.1f} | {low:.1f} to {high:.1f} |")


if __name__ == "__main__":
    flags.DEFINE_integer("photos", 100, "How many test photos, spread over both test splits.", 2)
    cli.run(main)
