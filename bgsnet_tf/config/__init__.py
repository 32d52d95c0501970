"""Every flag: its default, help and validator, once, as the field of a frozen dataclass.

The rest of the project receives the typed `Config`, never absl's FLAGS. Help texts give the paper's value,
or say "assumption" where the paper (whose appendix is not available) gives none. This module imports no TensorFlow.
"""

import dataclasses
import math
import os

from absl import flags

from bgsnet_tf import files
from bgsnet_tf.config.dials import Dials
from bgsnet_tf.errors import UserError
from bgsnet_tf.names import fault
from bgsnet_tf.config.options import POSITIVE as _POSITIVE
from bgsnet_tf.config.options import at_least as _at_least
from bgsnet_tf.config.options import between as _between
from bgsnet_tf.config.options import option as _option

DEMO_DATASETS = ("demo", "demo_fine", "demo_dials")
XLSA17_DATASETS = ("sun", "cub", "apy", "awa2")


_SCHEDULES = ("cosine", "constant")


@dataclasses.dataclass(frozen=True)
class DataConfig(Dials):
    dataset: str = _option(
        "demo",
        "The data set: rendered here (demo, demo_fine, demo_dials), a benchmark of xlsa17, or your own tables (csv).",
        choices=(*DEMO_DATASETS, *XLSA17_DATASETS, "csv"),
    )
    data_dir: str = _option("", "Folder of the images; nothing outside it is read but --split_dir.")
    split_dir: str = _option("", "Folder of att_splits.mat and res101.mat (xlsa17). Empty: looked for below --data_dir.")
    input: str = _option(
        "images",
        "What the network sees: images, or the features of res101.mat (xlsa17; needs --nobsnet, trains in minutes).",
        choices=("images", "features"),
    )
    split_index: int = _option(1, "Which trainclassesN/valclassesN.txt of xlsa17 make the validation split.", _between(1, 3))
    images_csv: str = _option("images.csv", "csv: table of images (path, class, split, optional box), relative to --data_dir.")
    attributes_csv: str = _option("attributes.csv", "csv: table of classes (class, then one column an attribute), relative to --data_dir.")
    center_attributes: bool = _option(
        False, "Subtract the seen classes' mean from class attributes before φ is their L2-normalised row (the paper: normalised alone)."
    )
    exif_rotation: bool = _option(
        False,
        "Turn JPEG images as their EXIF metadata say, in training and in the export alike; boxes then count in the turned image. "
        "Without it pixels are taken as stored, as TensorFlow decodes them.",
    )
    use_boxes: bool = _option(True, "csv: crop every row to its box where the table gives one.")
    split: str = _option(
        "final",
        "final: train on trainval, test on test_seen and test_unseen. validation: the same protocol inside "
        "trainval, with validation classes in the unseen role; every choice is made there.",
        choices=("final", "validation"),
    )
    image_size: int = _option(224, "Height and width of the network's input in pixels; 224 is ResNet101's.", _at_least(16))
    resize: int = _option(
        256, "Length in pixels of an image's shorter side before the crop (assumption: as ImageNet training).", _at_least(16)
    )
    augment: str = _option(
        "crop_flip",
        "Training views (assumption): random crops and flips, random rectangles stretched to the input and flips, flips only, the "
        "eight symmetries of the square, or none. Test images are never augmented.",
        choices=("crop_flip", "resized_crop_flip", "flip", "dihedral", "none"),
    )


@dataclasses.dataclass(frozen=True)
class BackboneConfig:
    backbone: str = _option(
        "ResNet101", "A name in keras.applications (paper: ResNet101), 'small' (the demo's), or the path of a Keras model file."
    )
    backbone_weights: str = _option("imagenet", "imagenet, none (random), or the path of a weights file. A model file brings its own.")
    split_layer: str = _option(
        "", "Last layer of the shared trunk. Empty: the last layer that leaves the paper's nine convolutions to the tail."
    )
    preprocessing: str = _option(
        "auto",
        "How pixels are scaled, a mode of keras.applications: caffe, tf, torch or none. auto: the named "
        "backbone's own; a model file needs an explicit one.",
        choices=("auto", "caffe", "tf", "torch", "none"),
    )
    trust_backbone: bool = _option(
        False,
        "Load a model file with code (Lambda or custom layers, a SavedModel): it runs with your rights. Only from the command line.",
        stored=False,
    )
    batch_norm: str = _option(
        "auto",
        "Batch norms of backbone and tails in training (assumption): hold keeps the statistics they came with, train takes those of "
        "each batch. auto: hold where the backbone comes trained.",
        choices=("auto", "hold", "train"),
    )
    standardize: bool = _option(
        False, "Standardise every channel of e with constants, its mean and deviation over the training images (not in the paper)."
    )

    @property
    def pretrained(self):
        """Whether the backbone starts from trained weights rather than at random; a model file brings its own."""
        return self.backbone_weights != "none" or (self.backbone != "small" and os.path.exists(self.backbone))

    @property
    def holds_batch_norm(self):
        return self.batch_norm == "hold" or (self.batch_norm == "auto" and self.pretrained)


@dataclasses.dataclass(frozen=True)
class FinetuneConfig:
    finetune_head_epochs: int = _option(
        5, "Epochs of f_g alone, backbone frozen, before everything trains (assumption: as APN-ZSL).", _at_least(0)
    )
    finetune_epochs: int = _option(15, "Epochs of backbone and f_g together (assumption).", _at_least(0))
    finetune_batch_size: int = _option(32, "Images a step (assumption).", _at_least(1))
    finetune_optimizer: str = _option(
        "AdamW", "An optimizer of Keras or tensorflow-addons; 'Lookahead:LAMB' wraps one in another (assumption)."
    )
    finetune_lr: float = _option(1e-3, "Learning rate of f_g (assumption: APN-ZSL's on SUN).", _POSITIVE)
    finetune_backbone_lr: float = _option(
        1e-5, "Learning rate of the backbone (assumption: between APN-ZSL's and AttentionZSL's).", _POSITIVE
    )
    finetune_weight_decay: float = _option(1e-4, "Decoupled weight decay of kernels (assumption).", _at_least(0))
    g_start: str = _option(
        "random",
        "Where f_g starts (assumption): random weights, or least_squares, the closed form of ESZSL on the training images' e "
        "(needs --g_hidden=0).",
        choices=("random", "least_squares"),
    )
    g_hidden: int = _option(0, "Hidden units of f_g; 0 is one dense layer. The paper: 'one or two'.", _at_least(0))


@dataclasses.dataclass(frozen=True)
class MetaConfig:
    gnet: bool = _option(True, "Use the general branch; without it the prediction is BSNet's alone (Fig. 2a-b).")
    meta: bool = _option(True, "Train f_g episodically after fine-tuning (Eqs. 2-3); without it GNet stays as fine-tuned.")
    meta_epochs: int = _option(10, "Epochs of episodic training (assumption).", _at_least(1))
    meta_steps: int = _option(100, "Outer updates an epoch (assumption).", _at_least(1))
    meta_tasks: int = _option(8, "Tasks an outer update (assumption).", _at_least(1))
    way: int = _option(10, "Classes in a task's training set, and as many others in its validation set (paper: 10).", _at_least(1))
    shot: int = _option(5, "Training images a class (paper: 5).", _at_least(1))
    query: int = _option(3, "Validation images a class (paper: 3).", _at_least(1))
    inner_lr: float = _option(
        1e-3, "Alpha of Eq. 2 (assumption: meta-gzsl's; its useful size shrinks with the square of e_g's norm).", _POSITIVE
    )
    meta_lr: float = _option(1e-4, "Beta of Eq. 3 (assumption).", _POSITIVE)
    meta_optimizer: str = _option("Adam", "Optimizer of the outer update (assumption; Eq. 3 writes plain SGD).")
    first_order: bool = _option(False, "Leave out the second-order term of Eq. 3.")
    episode_softmax: str = _option(
        "seen", "Classes in a task's softmax: all seen ones (Eq. 1) or the task's own.", choices=("seen", "task")
    )


@dataclasses.dataclass(frozen=True)
class BSNetConfig:
    bsnet: bool = _option(True, "Use the special branch; without it the prediction is GNet's alone (Fig. 2a-b).")
    submodules: int = _option(10, "N, the number of sub-modules (paper: 10).", _at_least(1))
    training_style: str = _option(
        "sequential", "sequential: gates first, then instance balance; parallel: both at once (§2.4).", choices=("sequential", "parallel")
    )
    eph_max: int = _option(100, "Epochs over which the gates anneal, Eq. 16 (paper: 100).", _at_least(1))
    balance_epochs: int = _option(20, "sequential: epochs of the second phase, with instance balance (assumption).", _at_least(1))
    s_max: float = _option(5.0, "Sharpness of the gates at the end, Eq. 16 (paper: 5).", _at_least(1))
    eta: float = _option(
        1e-3, "Weight of L_div, Eq. 17 (assumption; useful values depend on N and K, since L_div is a sum over both).", _at_least(0)
    )
    eta_per_weight: bool = _option(
        False, "Divide L_div by the N·K weights it sums over, so that one --eta means the same for every network (not in the paper)."
    )
    gates_go_on: bool = _option(
        False, "sequential: gates go on training, at s_max, in the second phase; else they stand (§2.4 allows both)."
    )
    instance_balance: bool = _option(True, "Instance weights w^t, Eq. 4; without them w^t = 1 and L_div is off.")
    diversity_loss: bool = _option(True, "L_div, Eq. 5.")
    dataset_balance: bool = _option(True, "Gates, Eq. 15; without them every sub-module counts fully.")
    annealing: bool = _option(True, "Anneal the gates' scale, Eq. 16; without it s = 1 in training and inference (assumption).")
    gate_init_std: float = _option(0.5, "Standard deviation of the gates' initial w^d (assumption; the paper: random).", _at_least(0))
    gate_compensation: bool = _option(False, "HAT's gradient compensation for the gates; the paper does not mention it.")
    b_hidden: int = _option(256, "Hidden units of every f_b; 0 is one dense layer. The paper: 'one or two'.", _at_least(0))
    b_start: str = _option(
        "random",
        "Where the f_b start (assumption): random weights, so that w^t starts around one half, or open: all w^t start near 1 and differ "
        "little, so that the second phase begins where the first one, which has w^t = 1, ended.",
        choices=("random", "open"),
    )
    s_start: str = _option(
        "random",
        "Where f_s starts (assumption): random weights, or general, a share of the fine-tuned f_g for every sub-module "
        "(needs --s_hidden=0 and --g_hidden=0).",
        choices=("random", "general"),
    )
    s_hidden: int = _option(0, "Hidden units of f_s; 0 is one dense layer. The paper: 'one or two'.", _at_least(0))
    bsnet_batch_size: int = _option(32, "Images a step (assumption).", _at_least(1))
    bsnet_optimizer: str = _option("SGD", "An optimizer of Keras or tensorflow-addons; SGD has Nesterov momentum .9 (assumption).")
    bsnet_lr: float = _option(1e-2, "Learning rate of f_b and f_s (assumption).", _POSITIVE)
    tail_lr: float = _option(1e-3, "Learning rate of the tails (assumption: GEM-ZSL's and AREN's).", _POSITIVE)
    gate_lr: float = _option(1e-3, "Learning rate of the gates (assumption; a large one saturates them in an epoch).", _POSITIVE)
    bsnet_weight_decay: float = _option(0.0, "Decoupled weight decay of kernels (assumption).", _at_least(0))


@dataclasses.dataclass(frozen=True)
class CacheConfig:
    cache_views: int = _option(2, "Training views of an image in the feature cache; the first is the test view (assumption).", _at_least(1))
    cache_dtype: str = _option("float16", "Precision of cached trunk features.", choices=("float16", "float32"))


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    delta: float = _option(0.0, "Calibration constant δ taken off the fused scores of seen classes. Choose it with --split=validation.")
    delta_general: float = _option(0.0, "The same for GNet's scores alone, whose scale is another.")
    delta_special: float = _option(0.0, "The same for BSNet's scores alone.")
    calibrate: bool = _option(False, "First run the whole validation split below --run_dir, and take delta from it.")
    eval_batch_size: int = _option(64, "Images a batch where nothing is trained.", _between(1, 4096))


@dataclasses.dataclass(frozen=True)
class RunConfig:
    run_dir: str = _option("", "Folder of the run; everything it makes lies there. The same command continues it.")
    seed: int = _option(0, "Seed of initial weights, data order, augmentation and episodes.", _between(0, 2**31 - 1))
    lr_schedule: str = _option("cosine", "Learning rates over a phase (assumption).", choices=_SCHEDULES)
    warmup: float = _option(0.1, "Share of a phase over which learning rates rise from 0 (assumption).", _between(0, 1))
    precision: str = _option("float32", "Compute precision of backbone and tails; weights stay float32.", choices=("float32", "bfloat16"))
    xla: bool = _option(False, "Compile training steps with XLA.")
    strategy: str = _option(
        "auto",
        "Devices that train: one; mirrored: all visible GPUs; multi_worker: the processes of TF_CONFIG. auto takes what there is. "
        "Batch sizes are global: a result does not depend on the number of devices.",
        choices=("auto", "one_device", "mirrored", "multi_worker"),
    )
    sync_batch_norm: bool = _option(True, "Batch statistics over the whole batch of all devices, not over each device's part.")
    deterministic: bool = _option(False, "Only operations that give the same bits every time; slower on GPUs.")
    checkpoint_every: float = _option(5.0, "Minutes between checkpoints of a stage; 0 saves after every step.", _at_least(0))
    keep_checkpoints: int = _option(2, "How many of the newest checkpoints of a phase stay; a damaged one falls back.", _at_least(1))


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of a run, a section each; the sections also say what a stage depends on.

    Raises:
      UserError: where flags contradict each other.
    """

    data: DataConfig = DataConfig()
    backbone: BackboneConfig = BackboneConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    cache: CacheConfig = CacheConfig()
    meta: MetaConfig = MetaConfig()
    bsnet: BSNetConfig = BSNetConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    run: RunConfig = RunConfig()

    def __post_init__(self):
        require_names(self.values())
        if not self.run.run_dir:
            raise UserError("--run_dir is missing: name the folder of the run, e.g. --run_dir=runs/demo")
        if not (self.meta.gnet or self.bsnet.bsnet):
            raise UserError("--nognet and --nobsnet leave nothing to predict with; drop one of them")
        if self.data.turned and self.data.dataset != "demo_dials":
            raise UserError(f"{self.data.turned[0]} is a dial of --dataset=demo_dials; --dataset={self.data.dataset} has none")
        if self.data.dataset not in DEMO_DATASETS and not self.data.data_dir:
            raise UserError(f"--data_dir is missing: --dataset={self.data.dataset} needs the folder of its images")
        if self.data.input == "features" and self.data.dataset not in XLSA17_DATASETS:
            raise UserError(f"--input=features reads res101.mat of {', '.join(XLSA17_DATASETS)}, not of --dataset={self.data.dataset}")
        if self.data.input == "features" and self.bsnet.bsnet:
            raise UserError("--input=features leaves BSNet no tails to train; add --nobsnet")
        if self.data.resize < self.data.image_size:
            raise UserError(f"--resize={self.data.resize} is smaller than --image_size={self.data.image_size}; give at least as much")
        if self.finetune.finetune_head_epochs + self.finetune.finetune_epochs == 0:
            raise UserError("--finetune_head_epochs and --finetune_epochs are both 0; f_g needs at least one epoch")
        if self.finetune.g_start == "least_squares" and self.finetune.g_hidden:
            raise UserError(f"--g_start=least_squares gives one dense layer its weights, --g_hidden={self.finetune.g_hidden} has two")
        if self.bsnet.s_start == "general" and (self.finetune.g_hidden or self.bsnet.s_hidden):
            raise UserError("--s_start=general needs one dense layer in f_g and in f_s: --g_hidden=0 and --s_hidden=0")
        if self.evaluation.calibrate and self.data.split == "validation":
            raise UserError("--calibrate chooses delta for the final split; drop it or --split=validation")

    def write(self, path):
        """Writes every flag as a flagfile that reproduces the run, atomically."""
        lines = [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in self.values().items()]
        files.write(path, "\n".join(lines) + "\n")

    def values(self):
        """All settings that a run keeps as one dict, flag name to value."""
        sections = [getattr(self, section.name) for section in dataclasses.fields(self)]
        return {
            flag.name: getattr(section, flag.name)
            for section in sections
            for flag in dataclasses.fields(section)
            if flag.metadata["stored"]
        }

    def replace(self, **values):
        """A copy with some flags changed, whatever section they are in."""
        changed = {}
        for section in dataclasses.fields(self):
            of_section = {name: values.pop(name) for name in list(values) if hasattr(getattr(self, section.name), name)}
            changed[section.name] = dataclasses.replace(getattr(self, section.name), **of_section)
        if values:
            raise TypeError(f"no such flags: {sorted(values)}")
        return Config(**changed)


def require_names(values):
    """Raises a `UserError` for the first text among flag values that is no name; a line break would begin another flag in config.flags."""
    for name, value in values.items():
        if isinstance(value, str) and fault(value):
            raise UserError(f"--{name}={value!r} {fault(value)}; rename it, or link to it by another name")


def define_flags(flag_values=flags.FLAGS):
    """Defines one absl flag for each field of the sections of `Config`."""
    define = {int: flags.DEFINE_integer, float: flags.DEFINE_float, bool: flags.DEFINE_bool, str: flags.DEFINE_string}
    for section in dataclasses.fields(Config):
        for field in dataclasses.fields(section.type):
            if field.metadata["choices"]:
                flags.DEFINE_enum(field.name, field.default, field.metadata["choices"], field.metadata["help"], flag_values=flag_values)
            else:
                define[field.type](field.name, field.default, field.metadata["help"], flag_values=flag_values)
            if field.metadata["check"]:
                flags.register_validator(field.name, *field.metadata["check"], flag_values=flag_values)
            if field.type is float:
                flags.register_validator(field.name, math.isfinite, "must be a finite number", flag_values=flag_values)


def from_flags(flag_values=flags.FLAGS):
    """The `Config` that parsed flags describe."""
    sections = {}
    for section in dataclasses.fields(Config):
        names = [field.name for field in dataclasses.fields(section.type)]
        sections[section.name] = section.type(**{name: flag_values[name].value for name in names})
    return Config(**sections)


def of_run(flag_values=flags.FLAGS):
    """The `Config` of the run in --run_dir, with the flags given on this command line laid over it.

    Raises:
      UserError: where the folder holds no run.
    """
    run_dir = flag_values["run_dir"].value
    path = os.path.join(run_dir, "config.flags")
    if not run_dir or not os.path.isfile(path):
        raise UserError(f"--run_dir='{run_dir}' holds no run (no config.flags in it); train one there with train.py first")
    names = Config(run=RunConfig(run_dir=run_dir)).values()
    given = [f"--{name}={flag_values[name].value}" for name in names if flag_values[name].present]
    stored = flags.FlagValues()
    flags.DEFINE_multi_string("flagfile", [], "", flag_values=stored)
    define_flags(stored)
    try:
        with open(path) as file:  # absl passes over lines that are no flag
            strange = [line.strip() for line in file if not line.strip().startswith(("--", "#", "//")) and line.strip()]
        if strange:
            raise ValueError(f"its line {strange[0][:40]!r} is not a flag")
        stored(["", f"--flagfile={path}", *given])
    except (flags.Error, ValueError, OSError) as error:  # beside wrong flags, bytes that are no text
        raise UserError(f"{path} does not fit this version of the project: {error}") from error
    return from_flags(stored).replace(trust_backbone=flag_values["trust_backbone"].value)
