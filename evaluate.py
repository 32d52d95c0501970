"""Scores a trained run: python evaluate.py --run_dir=runs/demo"""

from bgsnet_tf import cli, config


def main():
    settings = config.of_run()
    from bgsnet_tf.training import commands  # after the flags are read: loading TensorFlow takes seconds

    commands.evaluate(settings)


if __name__ == "__main__":
    cli.run(main)
