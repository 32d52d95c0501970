"""Trains BGSNet: python train.py --flagfile=configs/demo.flags"""

from bgsnet_tf import cli, config


def main():
    settings = config.from_flags()
    from bgsnet_tf.training import commands  # after the flags are read: loading TensorFlow takes seconds

    commands.train(settings)


if __name__ == "__main__":
    cli.run(main)
