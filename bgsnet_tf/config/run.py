"""Flags of a run whatever it trains: how it is scored, where it lies, and how it computes."""

import dataclasses

from bgsnet_tf.config.options import at_least, between, option


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    delta: float = option(0.0, "Calibration constant δ taken off the fused scores of seen classes. Choose it with --split=validation.")
    delta_general: float = option(0.0, "The same for GNet's scores alone, whose scale is another.")
    delta_special: float = option(0.0, "The same for BSNet's scores alone.")
    calibrate: bool = option(False, "First run the whole validation split below --run_dir, and take delta from it.")
    score_epochs: bool = option(True, "In the validation split, score every epoch of training, for TensorBoard.")
    eval_batch_size: int = option(64, "Images a batch where nothing is trained.", between(1, 4096))


@dataclasses.dataclass(frozen=True)
class RunConfig:
    run_dir: str = option("", "Folder of the run; everything it makes lies there. The same command continues it.")
    seed: int = option(0, "Seed of initial weights, data order, augmentation and episodes.", between(0, 2**31 - 1))
    logger: str = option(
        "none",
        "Where the numbers of every epoch go beside TensorBoard: nowhere, or to MLflow or Weights & Biases, a package to install.",
        choices=("none", "mlflow", "wandb"),
    )
    lr_schedule: str = option("cosine", "Learning rates over a phase (assumption).", choices=("cosine", "constant"))
    warmup: float = option(0.1, "Share of a phase over which learning rates rise from 0 (assumption).", between(0, 1))
    precision: str = option("float32", "Compute precision of backbone and tails; weights stay float32.", choices=("float32", "bfloat16"))
    tf32: bool = option(
        True,
        "Let GPUs from Ampere on round the factors of float32 products to TF32's 10 bits, which is faster. Never with --deterministic.",
    )
    xla: bool = option(False, "Compile training steps with XLA.")
    steps_per_execution: int = option(
        0,
        "Training steps a call, between which no signal is heard and no checkpoint written; what is learnt does not depend on it. "
        "0: one on a CPU, several on a GPU.",
        at_least(0),
    )
    strategy: str = option(
        "auto",
        "Devices that train: one; mirrored: all visible GPUs; multi_worker: the processes of TF_CONFIG. auto takes what there is. "
        "Batch sizes are global: a result does not depend on the number of devices.",
        choices=("auto", "one_device", "mirrored", "multi_worker"),
    )
    sync_batch_norm: bool = option(True, "Batch statistics over the whole batch of all devices, not over each device's part.")
    deterministic: bool = option(False, "Only operations that give the same bits every time; slower on GPUs.")
    checkpoint_every: float = option(
        5.0, "Minutes between checkpoints of a stage; 0 saves after every call (--steps_per_execution).", at_least(0)
    )
    keep_checkpoints: int = option(2, "How many of the newest checkpoints of a phase stay; a damaged one falls back.", at_least(1))
