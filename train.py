"""Trains BGSNet: python train.py --flagfile=configs/demo.flags [--dry_run] [--redo=STAGE]"""

from bgsnet_tf.train import command

if __name__ == "__main__":
    command()
