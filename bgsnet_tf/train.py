"""Trains BGSNet: bgsnet-train --flagfile=demo.flags [--dry_run] [--redo=STAGE]"""

from absl import flags

from bgsnet_tf import cli, config


def main():
    settings = config.from_flags()
    from bgsnet_tf import commands  # after the flags are read: loading TensorFlow takes seconds

    if flags.FLAGS.dry_run:
        commands.plan(settings)
    else:
        commands.train(settings, flags.FLAGS.redo)


def command():
    """Defines the flags of this command and runs it."""
    flags.DEFINE_bool("dry_run", False, "Print what the run takes (steps, memory, disk, time), or refuse what cannot fit; writes nothing.")
    flags.DEFINE_enum(
        "redo",
        "",
        ["", "finetune", "meta", "bsnet"],
        "Forget this stage, and after finetune the others, and train again, with other flags too.",
    )
    cli.run(main)


if __name__ == "__main__":
    command()
