"""Flags of the method: the backbone, and the three stages of training in their order."""

import dataclasses
import os

from bgsnet_tf.config.options import POSITIVE, at_least, between, option


@dataclasses.dataclass(frozen=True)
class BackboneConfig:
    backbone: str = option(
        "ResNet101",
        "A name in keras.applications (paper: ResNet101), 'small' (the demo's), 'tiny' (half of it), or a Keras model file's path.",
    )
    backbone_weights: str = option("imagenet", "imagenet, none (random), or the path of a weights file. A model file brings its own.")
    split_layer: str = option("", "Last layer of the shared trunk. Empty: the last layer that leaves the tail its --tail_share.")
    tail_share: float = option(
        0.0,
        "Least share of the backbone's convolutions in the tail (assumption); 0: the paper's nine convolutions. Narrow backbones need "
        "more of them than ResNet101; the feature cache grows where the cut lies early.",
        between(0, 1),
    )
    preprocessing: str = option(
        "auto",
        "How pixels are scaled, a mode of keras.applications: caffe, tf, torch or none. auto: the named "
        "backbone's own; a model file needs an explicit one.",
        choices=("auto", "caffe", "tf", "torch", "none"),
    )
    trust_backbone: bool = option(
        False,
        "Load a model file with code (Lambda or custom layers, a SavedModel): it runs with your rights. Only from the command line.",
        stored=False,
    )
    batch_norm: str = option(
        "auto",
        "Batch norms of backbone and tails in training (assumption): hold keeps the statistics they came with, train takes those of "
        "each batch. auto: hold where the backbone comes trained.",
        choices=("auto", "hold", "train"),
    )
    standardize: bool = option(
        False, "Standardise every channel of e with constants, its mean and deviation over the training images (not in the paper)."
    )

    @property
    def own_file(self):
        """Whether it is a model file, which brings its own weights."""
        return self.backbone not in ("small", "tiny") and os.path.exists(self.backbone)

    @property
    def pretrained(self):
        """Whether the backbone starts from trained weights rather than at random."""
        return self.backbone_weights != "none" or self.own_file

    @property
    def holds_batch_norm(self):
        return self.batch_norm == "hold" or (self.batch_norm == "auto" and self.pretrained)


@dataclasses.dataclass(frozen=True)
class FinetuneConfig:
    finetune_head_epochs: int = option(
        5, "Epochs of f_g alone, backbone frozen, before everything trains (assumption: as APN-ZSL).", at_least(0)
    )
    finetune_epochs: int = option(15, "Epochs of backbone and f_g together (assumption).", at_least(0))
    finetune_stop: int = option(
        0,
        "End fine-tuning after this many epochs in all, at the learning rates of the whole; 0: after the last. A validation run ends "
        "with its best epoch by AUSUC, and --calibrate takes that number from it (assumption).",
        at_least(0),
    )
    finetune_batch_size: int = option(32, "Images a step (assumption).", at_least(1))
    finetune_optimizer: str = option(
        "AdamW", "An optimizer of Keras or tensorflow-addons; 'Lookahead:LAMB' wraps one in another (assumption)."
    )
    finetune_lr: float = option(1e-3, "Learning rate of f_g (assumption: APN-ZSL's on SUN).", POSITIVE)
    finetune_backbone_lr: float = option(
        1e-5, "Learning rate of the backbone (assumption: between APN-ZSL's and AttentionZSL's).", POSITIVE
    )
    finetune_weight_decay: float = option(1e-4, "Decoupled weight decay of kernels (assumption).", at_least(0))
    g_start: str = option(
        "random",
        "Where f_g starts (assumption): random weights, or least_squares, the closed form of ESZSL on the training images' e "
        "(needs --g_hidden=0).",
        choices=("random", "least_squares"),
    )
    g_hidden: int = option(0, "Hidden units of f_g; 0 is one dense layer. The paper: 'one or two'.", at_least(0))

    @property
    def epochs(self):
        """Of both phases."""
        return self.finetune_head_epochs + self.finetune_epochs


@dataclasses.dataclass(frozen=True)
class MetaConfig:
    gnet: bool = option(True, "Use the general branch; without it the prediction is BSNet's alone (Fig. 2a-b).")
    meta: bool = option(True, "Train f_g episodically after fine-tuning (Eqs. 2-3); without it GNet stays as fine-tuned.")
    meta_epochs: int = option(10, "Epochs of episodic training (assumption).", at_least(1))
    meta_steps: int = option(100, "Outer updates an epoch (assumption).", at_least(1))
    meta_tasks: int = option(8, "Tasks an outer update (assumption).", at_least(1))
    way: int = option(10, "Classes in a task's training set, and as many others in its validation set (paper: 10).", at_least(1))
    shot: int = option(5, "Training images a class (paper: 5).", at_least(1))
    query: int = option(3, "Validation images a class (paper: 3).", at_least(1))
    inner_lr: float = option(
        1e-3, "Alpha of Eq. 2 (assumption: meta-gzsl's; its useful size shrinks with the square of e_g's norm).", POSITIVE
    )
    meta_lr: float = option(1e-4, "Beta of Eq. 3 (assumption).", POSITIVE)
    meta_optimizer: str = option("Adam", "Optimizer of the outer update (assumption; Eq. 3 writes plain SGD).")
    first_order: bool = option(False, "Leave out the second-order term of Eq. 3.")
    episode_softmax: str = option("seen", "Classes in a task's softmax: all seen ones (Eq. 1) or the task's own.", choices=("seen", "task"))


@dataclasses.dataclass(frozen=True)
class BSNetConfig:
    bsnet: bool = option(True, "Use the special branch; without it the prediction is GNet's alone (Fig. 2a-b).")
    submodules: int = option(10, "N, the number of sub-modules (paper: 10).", at_least(1))
    training_style: str = option(
        "sequential", "sequential: gates first, then instance balance; parallel: both at once (§2.4).", choices=("sequential", "parallel")
    )
    eph_max: int = option(100, "Epochs over which the gates anneal, Eq. 16 (paper: 100).", at_least(1))
    balance_epochs: int = option(20, "sequential: epochs of the second phase, with instance balance (assumption).", at_least(1))
    s_max: float = option(5.0, "Sharpness of the gates at the end, Eq. 16 (paper: 5).", at_least(1))
    eta: float = option(
        1e-3, "Weight of L_div, Eq. 17 (assumption; useful values depend on N and K, since L_div is a sum over both).", at_least(0)
    )
    eta_per_weight: bool = option(
        False, "Divide L_div by the N·K weights it sums over, so that one --eta means the same for every network (not in the paper)."
    )
    gates_go_on: bool = option(
        False, "sequential: gates go on training, at s_max, in the second phase; else they stand (§2.4 allows both)."
    )
    instance_balance: bool = option(True, "Instance weights w^t, Eq. 4; without them w^t = 1 and L_div is off.")
    diversity_loss: bool = option(True, "L_div, Eq. 5.")
    balance_control: str = option(
        "none",
        "A control in place of the instance balance, for experiments (not in the paper): partition gives every channel to one sub-module "
        "at random, sparsity puts an L1 penalty in the place of L_div, reversed turns L_div's sign.",
        choices=("none", "partition", "sparsity", "reversed"),
    )
    dataset_balance: bool = option(True, "Gates, Eq. 15; without them every sub-module counts fully.")
    annealing: bool = option(True, "Anneal the gates' scale, Eq. 16; without it s = 1 in training and inference (assumption).")
    gate_init_std: float = option(0.5, "Standard deviation of the gates' initial w^d (assumption; the paper: random).", at_least(0))
    gate_compensation: bool = option(False, "HAT's gradient compensation for the gates; the paper does not mention it.")
    b_hidden: int = option(256, "Hidden units of every f_b; 0 is one dense layer. The paper: 'one or two'.", at_least(0))
    b_start: str = option(
        "random",
        "Where the f_b start (assumption): random weights, so that w^t starts around one half, or open: all w^t start near 1 and differ "
        "little, so that the second phase begins where the first one, which has w^t = 1, ended.",
        choices=("random", "open"),
    )
    s_start: str = option(
        "random",
        "Where f_s starts (assumption): random weights, or general, a share of the fine-tuned f_g for every sub-module "
        "(needs --s_hidden=0 and --g_hidden=0).",
        choices=("random", "general"),
    )
    s_hidden: int = option(0, "Hidden units of f_s; 0 is one dense layer. The paper: 'one or two'.", at_least(0))
    bsnet_batch_size: int = option(32, "Images a step (assumption).", at_least(1))
    bsnet_optimizer: str = option("SGD", "An optimizer of Keras or tensorflow-addons; SGD has Nesterov momentum .9 (assumption).")
    bsnet_lr: float = option(1e-2, "Learning rate of f_b and f_s (assumption).", POSITIVE)
    tail_lr: float = option(1e-3, "Learning rate of the tails (assumption: GEM-ZSL's and AREN's).", POSITIVE)
    gate_lr: float = option(1e-3, "Learning rate of the gates (assumption; a large one saturates them in an epoch).", POSITIVE)
    bsnet_weight_decay: float = option(0.0, "Decoupled weight decay of kernels (assumption).", at_least(0))
