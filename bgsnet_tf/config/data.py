"""Flags of the images and classes: where they come from, and how they reach the network."""

import dataclasses

from bgsnet_tf.config.dials import Dials
from bgsnet_tf.config.options import at_least, between, option

DEMO_DATASETS = ("demo", "demo_fine", "demo_dials")
XLSA17_DATASETS = ("sun", "cub", "apy", "awa2")


@dataclasses.dataclass(frozen=True)
class DataConfig(Dials):
    dataset: str = option(
        "demo",
        "The data set: rendered here (demo, demo_fine, demo_dials), a benchmark of xlsa17, or your own tables (csv).",
        choices=(*DEMO_DATASETS, *XLSA17_DATASETS, "csv"),
    )
    data_dir: str = option("", "Folder of the images; nothing outside it is read but --split_dir.")
    split_dir: str = option("", "Folder of att_splits.mat and res101.mat (xlsa17). Empty: looked for below --data_dir.")
    input: str = option(
        "images",
        "What the network sees: images, or the features of res101.mat (xlsa17; needs --nobsnet, trains in minutes).",
        choices=("images", "features"),
    )
    split_index: int = option(1, "Which trainclassesN/valclassesN.txt of xlsa17 make the validation split.", between(1, 3))
    images_csv: str = option("images.csv", "csv: table of images (path, class, split, optional box), relative to --data_dir.")
    attributes_csv: str = option("attributes.csv", "csv: table of classes (class, then one column an attribute), relative to --data_dir.")
    center_attributes: bool = option(
        False, "Subtract the seen classes' mean from class attributes before φ is their L2-normalised row (the paper: normalised alone)."
    )
    exif_rotation: bool = option(
        False,
        "Turn JPEG images as their EXIF metadata say, in training and in the export alike; boxes then count in the turned image. "
        "Without it pixels are taken as stored, as TensorFlow decodes them.",
    )
    use_boxes: bool = option(True, "csv: crop every row to its box where the table gives one.")
    split: str = option(
        "final",
        "final: train on trainval, test on test_seen and test_unseen. validation: the same protocol inside "
        "trainval, with validation classes in the unseen role; every choice is made there.",
        choices=("final", "validation"),
    )
    image_size: int = option(224, "Height and width of the network's input in pixels; 224 is ResNet101's.", at_least(16))
    resize: int = option(
        256, "Length in pixels of an image's shorter side before the crop (assumption: as ImageNet training).", at_least(16)
    )
    augment: str = option(
        "crop_flip",
        "Training views (assumption): random crops and flips, random rectangles stretched to the input and flips, flips only, the "
        "eight symmetries of the square, or none. Test images are never augmented.",
        choices=("crop_flip", "resized_crop_flip", "flip", "dihedral", "none"),
    )


@dataclasses.dataclass(frozen=True)
class CacheConfig:
    cache_views: int = option(2, "Training views of an image in the feature cache; the first is the test view (assumption).", at_least(1))
    cache_dtype: str = option("float16", "Precision of cached trunk features.", choices=("float16", "float32"))
