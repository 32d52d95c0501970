"""Trains BGSNet: python train.py --flagfile=configs/demo.flags [--dry_run]"""

from absl import flags

from bgsnet_tf import cli, config


def main():
    settings = config.from_flags()
    from bgsnet_tf import commands  # after the flags are read: loading TensorFlow takes seconds

    if flags.FLAGS.dry_run:
        commands.plan(settings)
    else:
        commands.train(settings)


if __name__ == "__main__":
    flags.DEFINE_bool("dry_run", False, "Print what the run takes (steps, memory, disk, time), or refuse what cannot fit; writes nothing.")
    cli.run(main)
