"""Scores a trained run, or one of its exports: bgsnet-evaluate --run_dir=runs/demo [--export_dir=runs/demo/export/1]"""

from absl import flags

from bgsnet_tf import cli, config


def main():
    settings = config.of_run()
    from bgsnet_tf import commands  # after the flags are read: loading TensorFlow takes seconds

    if flags.FLAGS.export_dir:
        commands.evaluate_export(settings, flags.FLAGS.export_dir)
    else:
        commands.evaluate(settings)


def command():
    """Defines the flags of this command and runs it."""
    flags.DEFINE_string("export_dir", "", "Score this version folder of an export, instead of the checkpoints; writes nothing.")
    cli.run(main)


if __name__ == "__main__":
    command()
