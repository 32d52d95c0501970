"""T and AUSUC of a_g + λ a_s of a scored run: python -m benchmarks.weighted_sum --run_dir=runs/birds/validation"""

import math

from bgsnet_tf import cli, config
from bgsnet_tf.errors import UserError

WEIGHTS = (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 4, math.inf)


def main():
    settings = config.of_run()
    if settings.data.split != "validation":
        raise UserError(
            f"--run_dir={settings.run.run_dir} is of the {settings.data.split} split; a weight may be chosen on the validation split alone"
        )
    from benchmarks import harness
    from bgsnet_tf.data.loading import load_benchmark
    from bgsnet_tf.evaluation import metrics
    from bgsnet_tf.experiments import runs

    benchmark, attributes = load_benchmark(settings.data), runs.predicted(settings)
    if attributes is None or "general" not in attributes or "special" not in attributes:
        raise UserError(
            f"--run_dir={settings.run.run_dir} holds no attributes of both branches; run evaluate.py on it, and train with BSNet"
        )
    seen, rows = len(benchmark.test_seen), []
    labels = benchmark.labels[benchmark.test_seen], benchmark.labels[benchmark.test_unseen]
    for weight in WEIGHTS:
        summed = attributes["special"] if weight == math.inf else attributes["general"] + weight * attributes["special"]
        scores = summed @ benchmark.phi.T
        found = metrics.evaluate_gzsl(
            scores[:seen], labels[0], scores[seen:], labels[1], benchmark.seen_classes, benchmark.unseen_classes, 0
        )
        rows.append({"λ": weight, "T": found["T"], "AUSUC": found["AUSUC"]})
    print(harness.table(rows))


if __name__ == "__main__":
    cli.run(main)
