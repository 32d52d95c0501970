"""From flags to a `Benchmark`: the one place that knows all the ways to make one."""

from bgsnet_tf.config import DEMO_DATASETS, XLSA17_DATASETS
from bgsnet_tf.data import synthetic, tables, xlsa17


def load_benchmark(data):
    """The benchmark that a `config.DataConfig` names, in the split that it names.

    Raises:
      UserError: where its files are missing, unreadable or contradict each other.
    """
    if data.dataset in DEMO_DATASETS:
        benchmark = synthetic.render_benchmark("fine" if data.dataset == "demo_fine" else "many")
    elif data.dataset in XLSA17_DATASETS:
        benchmark = xlsa17.load(data.dataset, data.data_dir, data.split_dir or None, data.split_index)
    else:
        benchmark = tables.load(data.data_dir, data.images_csv, data.attributes_csv, data.use_boxes)
    return benchmark.validation() if data.split == "validation" else benchmark
