"""From flags to a `Benchmark`: the one place that knows all the ways to make one."""

import dataclasses

from bgsnet_tf.config import DEMO_DATASETS, XLSA17_DATASETS
from bgsnet_tf.data.reading import tables, xlsa17
from bgsnet_tf.data.reading.paths import raise_problem
from bgsnet_tf.data.synthetic import demo, dialled


def load_benchmark(data, report=raise_problem):
    """The benchmark that a `config.DataConfig` names, in the split that it names.

    Args:
      data: the flags.
      report: called with one line for each problem in the files; by default the first one ends it.

    Raises:
      UserError: where its files are missing, unreadable or contradict each other.
    """
    if data.dataset == "demo_dials":
        benchmark = dialled.render_benchmark(data, data.split)
    elif data.dataset in DEMO_DATASETS:
        benchmark = demo.render_benchmark("fine" if data.dataset == "demo_fine" else "many", data.data_seed)
    elif data.dataset in XLSA17_DATASETS:
        benchmark = xlsa17.load(data.dataset, data.data_dir, data.split_dir, data.split_index, data.input == "features", report)
    else:
        benchmark = tables.load(data.data_dir, data.images_csv, data.attributes_csv, data.use_boxes, report)
    benchmark = dataclasses.replace(benchmark, center_attributes=data.center_attributes, upright=data.exif_rotation)
    if data.seen_classes and data.dataset != "demo_dials":  # which draws as many
        benchmark = benchmark.with_seen_classes(data.seen_classes)
    return benchmark.validation() if data.split == "validation" else benchmark
