"""Scores a trained run, or one of its exports: bgsnet-evaluate --run_dir=runs/demo [--export_dir=runs/demo/export/1]"""

from absl import flags

from bgsnet_tf import cli, config
from bgsnet_tf.aside import Aside
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.reporting import figures


def main():
    settings = config.of_run()
    aside = Aside()
    loaded = aside.begin(load_benchmark, settings.data)
    from bgsnet_tf import commands  # loading TensorFlow takes seconds, and so may the data

    benchmark = loaded()
    if flags.FLAGS.export_dir:
        commands.evaluate_export(settings, flags.FLAGS.export_dir, benchmark)
    else:
        aside.begin(figures.load_library)
        commands.evaluate(settings, benchmark=benchmark, begin=aside.begin)


def command():
    """Defines the flags of this command and runs it."""
    flags.DEFINE_string("export_dir", "", "Score this version folder of an export, instead of the checkpoints; writes nothing.")
    cli.run(main)


if __name__ == "__main__":
    command()
