"""Scores a trained run, or one of its exports: python evaluate.py --run_dir=runs/demo [--export_dir=runs/demo/export/1]"""

from bgsnet_tf.evaluate import command

if __name__ == "__main__":
    command()
