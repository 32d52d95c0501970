"""Every flag once, as the field of a frozen dataclass: its default, help and validator; a section of flags each.

The rest of the project receives the typed `Config`, never absl's FLAGS. Help texts give the paper's value,
or say "assumption" where the paper (whose appendix is not available) gives none. This folder imports no TensorFlow.
"""

import dataclasses
import math
import os

from absl import flags

from bgsnet_tf import files
from bgsnet_tf.config.data import DEMO_DATASETS, XLSA17_DATASETS, CacheConfig, DataConfig
from bgsnet_tf.config.method import BackboneConfig, BSNetConfig, FinetuneConfig, MetaConfig
from bgsnet_tf.config.run import EvaluationConfig, RunConfig
from bgsnet_tf.errors import UserError
from bgsnet_tf.names import fault


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
        if self.data.dataset == "demo_dials" and not 8 <= self.data.drawn_classes <= 240:
            raise UserError(f"--seen_classes={self.data.seen_classes}: --dataset=demo_dials draws 8 to 240")
        if self.data.dataset not in DEMO_DATASETS and not self.data.data_dir:
            raise UserError(f"--data_dir is missing: --dataset={self.data.dataset} needs the folder of its images")
        if self.data.input == "features" and self.data.dataset not in XLSA17_DATASETS:
            raise UserError(f"--input=features reads res101.mat of {', '.join(XLSA17_DATASETS)}, not of --dataset={self.data.dataset}")
        if self.data.input == "features" and self.bsnet.bsnet:
            raise UserError("--input=features leaves BSNet no tails to train; add --nobsnet")
        if self.data.resize < self.data.image_size:
            raise UserError(f"--resize={self.data.resize} is smaller than --image_size={self.data.image_size}; give at least as much")
        if self.finetune.epochs == 0:
            raise UserError("--finetune_head_epochs and --finetune_epochs are both 0; f_g needs at least one epoch")
        if self.finetune.finetune_stop > self.finetune.epochs:
            raise UserError(
                f"--finetune_stop={self.finetune.finetune_stop} lies after the last of {self.finetune.epochs} epochs; 0 is no stop"
            )
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

    def changed(self):
        """Every flag that is not at its default, as arguments of a command."""
        defaults = Config(run=RunConfig(run_dir=".")).values()
        return [f"--{name}={value}" for name, value in self.values().items() if value != defaults[name]]

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
