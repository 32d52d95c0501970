"""Exports a finished run: python -m bgsnet_tf.export --run_dir=runs/demo [--prune_to=3] [--format=litert]"""

from absl import flags

from bgsnet_tf import cli, config


def main():
    settings = config.of_run()
    from bgsnet_tf import commands  # after the flags are read: loading TensorFlow takes seconds

    commands.export(settings, flags.FLAGS.prune_threshold, flags.FLAGS.prune_to, flags.FLAGS.format)


def command():
    """Defines the flags of this command and runs it."""
    flags.DEFINE_float("prune_threshold", 0.0, "Leave out sub-modules whose gate is below; 0.5 is a gate that is closed.", 0.0, 1.0)
    flags.DEFINE_integer("prune_to", 0, "Keep only this many sub-modules, those of the widest gates; 0 keeps all.", 0)
    flags.DEFINE_enum("format", "saved_model", ["saved_model", "litert"], "For TF Serving, or beside that for telephones and browsers.")
    cli.run(main)


if __name__ == "__main__":
    command()
