"""The stages of a run, in order: finetune, feature cache, meta, bsnet. Each trains its network, or restores a finished one."""

import functools
import hashlib
import os

import numpy as np
import tensorflow as tf

from bgsnet_tf.data import batches, episodes, images, trunk_cache
from bgsnet_tf.errors import UserError
from bgsnet_tf.evaluation import analysis
from bgsnet_tf.model.backbones import backbone
from bgsnet_tf.model.bgsnet import BGSNet
from bgsnet_tf.model.bsnet import BSNet, phases
from bgsnet_tf.model.gnet import MetaGNet, SupervisedGNet
from bgsnet_tf.model.layers import Predictor, Standardization
from bgsnet_tf.training import callbacks, run_folder, starts
from bgsnet_tf.training.balance_summary import BalanceSummary
from bgsnet_tf.training.checkpoints import StageFolder
from bgsnet_tf.training.fitting import Fit, FitPhase, fit_stage
from bgsnet_tf.training.machines import memory, strategy

STAGES = ("finetune", "meta", "bsnet")
NOT_LEARNT_FROM = ("gnet", "meta", "bsnet", "trust_backbone")  # whether a stage is used, or a file read, does not change what is learnt
TRAINED_AGAIN = {"": (), "finetune": STAGES, "meta": ("meta",), "bsnet": ("bsnet",)}  # with a stage that is: those that start from it
SUMMARY_IMAGES = 256  # that the balance is watched on


def build_bgsnet(run, train=fit_stage, open_cache=None):
    """The BGSNet of a run, through all stages that are not finished yet.

    The networks live under `run.strategy`. With more replicas than one, they are for training alone: TensorFlow keeps
    batch norm's averages apart on every replica.

    Args:
      run: the run.
      train: what a stage hands its network, data and phases to; `dry_run` has another.
      open_cache: the same for `feature_cache`.

    Raises:
      UserError: where `run.training` is off and a stage is not finished.
    """
    with run.strategy.scope():
        return _build_bgsnet(run, train, open_cache or feature_cache)


def _build_bgsnet(run, train, open_cache):
    with memory.naming_shortage("the backbone", run.config, "image_size"):
        gnet, finetuned = finetune(run, train)
    finetuned_predictor = gnet.predictor.get_weights()  # which `meta` changes
    cache = functools.cache(functools.partial(open_cache, run, gnet, finetuned))  # only built if a stage asks for it
    if run.config.meta.gnet and run.config.meta.meta:
        with memory.naming_shortage("e_g of all views for meta", run.config, "cache_views"):
            meta(run, gnet, finetuned, cache, train)
    bsnet = None
    if run.config.bsnet.bsnet:
        with memory.naming_shortage("the network of bsnet", run.config, "submodules"):
            bsnet = train_bsnet(run, gnet, finetuned, finetuned_predictor, cache, train)
    return BGSNet(gnet.trunk, gnet.tail, gnet.predictor if run.config.meta.gnet else None, bsnet)


def check(run, redo=""):
    """Raises a `UserError` for what would end the run hours later. Changes nothing.

    Args:
      run: the run.
      redo: name of a stage that is to be trained again, with those that start from it.
    """
    for name in (name for name in STAGES if name not in TRAINED_AGAIN[redo]):
        StageFolder(run.directory, name, stage_settings(run, name))
    config, replicas = run.config, run.strategy.num_replicas_in_sync
    sizes = {"finetune_batch_size": min(len(run.labels), config.finetune.finetune_batch_size)}
    if config.meta.gnet and config.meta.meta:
        sizes["meta_tasks"] = config.meta.meta_tasks
    if config.bsnet.bsnet:
        sizes["bsnet_batch_size"] = min(len(run.labels), config.bsnet.bsnet_batch_size)
    for flag, size in sizes.items():
        strategy.require_equal_parts(run.strategy, flag, size)
    if config.run.xla and replicas > 1 and not tf.config.list_logical_devices("GPU"):
        raise UserError(f"--xla compiles for one device or for GPUs, not for {replicas} CPUs; drop it, or add --strategy=one_device")


def stage_settings(run, name):
    """All that a stage's result depends on, but for the fine-tuned weights that the later ones start from."""
    config = run.config
    benchmark = run.benchmark
    shared = {"dataset": benchmark.name, "benchmark": benchmark.fingerprint, "images": benchmark.image_digest(benchmark.train)}
    shared.update({flag: getattr(config.run, flag) for flag in ("seed", "precision", "lr_schedule", "warmup")})
    sections = {
        "finetune": (config.backbone, config.finetune),
        "meta": (config.cache, config.meta),
        "bsnet": (config.cache, config.bsnet),
    }[name]
    flags = {flag: value for section in sections for flag, value in vars(section).items() if flag not in NOT_LEARNT_FROM}
    if name == "finetune":
        flags["batch_norm"] = "hold" if config.backbone.holds_batch_norm else "train"
        flags.update({flag: getattr(config.data, flag) for flag in ("image_size", "resize", "augment")})
    return {**shared, **flags}


def finetune(run, train=fit_stage):
    """Stage 1: backbone and f_g, supervised (§2.2). Returns `SupervisedGNet` and the digest of its weights."""
    settings = run.config.finetune
    stage = run.begin_seeded("finetune", stage_settings(run, "finetune"))
    trunk, tail = build_backbone(run, run.config.backbone.backbone_weights if run.training and not stage.restorable else "none")
    gnet = SupervisedGNet(trunk, tail, Predictor(run.class_attributes.shape[1], settings.g_hidden, name="f_g"), run.class_attributes)
    gnet(tf.zeros([1, *run.input_shape]))

    def draw(epoch):
        return batches.epoch_batches(len(run.labels), run.views.count, settings.finetune_batch_size, run.config.run.seed, epoch)

    def dataset(*start):
        return images.shuffled_image_batches(run.benchmark, run.labels, batches.epochs_dataset(draw, *start), run.views)

    predict = tf.function(gnet.call, reduce_retracing=True, autograph=False)

    def score():
        items, batch_size = images.items_of(run.test_rows), run.config.evaluation.eval_batch_size
        tested = images.image_batches(run.benchmark, items, run.views, batch_size)
        return run.score(np.concatenate(list(strategy.each_batch(run.strategy, predict, tested))))

    steps = _steps(run, "finetune_batch_size", settings.finetune_batch_size)
    rates = {"heads": settings.finetune_lr, "backbone": settings.finetune_backbone_lr}
    start = functools.partial(starts.start_gnet, run, gnet)
    decay, size_flag = settings.finetune_weight_decay, "finetune_batch_size"
    fit = Fit(gnet, gnet, steps, dataset, settings.finetune_optimizer, rates, decay, size_flag, score, start, True)
    stop_of_heads = min(settings.finetune_stop or settings.epochs, settings.finetune_head_epochs)
    stop_of_all = (settings.finetune_stop or settings.epochs) - stop_of_heads
    phases = [
        FitPhase("heads", settings.finetune_head_epochs, lambda: setattr(gnet, "train_backbone", False), stop=stop_of_heads),
        FitPhase("all", settings.finetune_epochs, lambda: setattr(gnet, "train_backbone", True), stop=stop_of_all),
    ]
    train(run, stage, fit, phases)
    trunk.trainable = tail.trainable = False  # frozen from here on
    return gnet, stage.digest


def finetune_validation(run):
    """Epoch of fine-tuning, from 1, to T and AUSUC of GNet, of a validation run."""
    return StageFolder(run.directory, "finetune", stage_settings(run, "finetune")).validation


def _steps(run, flag, batch_size):
    """Updates an epoch over the training rows."""
    strategy.require_equal_parts(run.strategy, flag, min(len(run.labels), batch_size))
    return batches.steps_per_epoch(len(run.labels), batch_size)


def build_backbone(run, weights):
    """(Trunk, Tail) of the run's backbone, from --backbone_weights or what else is given; e is standardised by 0 and 1 at first."""
    flags = run.config.backbone
    synchronized = run.config.run.sync_batch_norm and run.strategy.num_replicas_in_sync > 1
    if run.benchmark.features is not None:
        trunk, tail = backbone.identity(run.benchmark.features.shape[1])
    else:
        own = flags.backbone, weights, run.config.data.image_size, flags.preprocessing, flags.split_layer
        trunk, tail = backbone.build(*own, synchronized, flags.trust_backbone, flags.tail_share)
    trunk.hold_batch_norm = tail.hold_batch_norm = flags.holds_batch_norm
    tail.standardization = Standardization(name="standardization") if flags.standardize else None
    return trunk, tail


def feature_cache(run, gnet, finetuned, test_rows=False):
    """Trunk features and e_g of the training rows in all cached views, or of the test rows in the test view."""
    settings, benchmark = run.config.cache, run.benchmark
    rows, views = (run.test_rows, 1) if test_rows else (benchmark.train, settings.cache_views)
    items = images.items_of(rows, views)
    batch_size = max(1, run.config.evaluation.eval_batch_size // views) * views  # whole rows
    depends_on = (finetuned, benchmark.fingerprint, benchmark.image_digest(rows), repr(run.views), settings.cache_dtype, views)

    embed = tf.function(gnet.embed, reduce_retracing=True, autograph=False)

    def compute(positions):
        return strategy.each_batch(run.strategy, embed, images.image_batches(benchmark, items[positions], run.views, batch_size, views))

    with memory.naming_shortage("feature cache", run.config, "eval_batch_size"):
        return trunk_cache.open_or_build(
            directory=os.path.join(run.directory, "cache", "test" if test_rows else "train"),
            fingerprint=hashlib.sha256(repr(depends_on).encode()).hexdigest(),
            items=len(items),
            views=views,
            batch_size=batch_size,
            compute=compute,
            dtype=settings.cache_dtype,
            description="feature cache",
            worker=run.worker.index,
            workers=run.worker.count,
            wait=run.wait_for_workers,
        )


def meta(run, gnet, finetuned, cache, train=fit_stage):
    """Stage 2: f_g again, in episodes (Eqs. 2-3), on cached e_g. Changes `gnet.predictor`."""
    settings = run.config.meta
    stage = run.begin_seeded("meta", {**stage_settings(run, "meta"), "finetuned": finetuned})
    way = episodes.feasible_way(len(run.benchmark.seen_classes), settings.way)
    if way < settings.way and not stage.finished:
        print(f"meta: {len(run.benchmark.seen_classes)} seen classes allow tasks of {way} classes, not --way={settings.way}")
    strategy.require_equal_parts(run.strategy, "meta_tasks", settings.meta_tasks)
    embeddings = cache().general if run.training and not stage.restorable else np.zeros([1, 1], np.float32)
    model = MetaGNet(
        gnet.predictor, embeddings, run.class_attributes, settings.inner_lr, settings.first_order, settings.episode_softmax == "task"
    )

    def draw(epoch):
        rng = np.random.default_rng([run.config.run.seed, epoch])
        sizes = settings.meta_tasks, way, settings.shot, settings.query
        drawn = [episodes.sample(rng, run.labels, *sizes) for _ in range(settings.meta_steps)]
        stacked = episodes.Episodes(*map(np.stack, zip(*drawn)))
        return episodes.in_views(rng, stacked, cache().views)

    def dataset(*start):
        return batches.epochs_dataset(draw, *start).prefetch(2)

    def score():
        return run.score(gnet.predictor(cache(test_rows=True).general).numpy())

    rates = {"heads": settings.meta_lr}
    fit = Fit(model, gnet.predictor, settings.meta_steps, dataset, settings.meta_optimizer, rates, 0.0, "meta_tasks", score)
    train(run, stage, fit, [FitPhase("episodes", settings.meta_epochs)])


def train_bsnet(run, gnet, finetuned, finetuned_predictor, cache, train=fit_stage):
    """Stage 3: BSNet on cached trunk features, in the phases of its training style (§2.4). Returns it in its last phase."""
    settings = run.config.bsnet
    stage = run.begin_seeded("bsnet", {**stage_settings(run, "bsnet"), "finetuned": finetuned})
    graph = gnet.tail.graph
    channels = graph.output_shape[-1]
    eta = settings.eta if settings.diversity_loss else 0.0
    if settings.eta_per_weight:
        eta /= settings.submodules * channels
    if settings.balance_control == "reversed":
        eta = -eta
    style = phases(
        settings.training_style,
        settings.eph_max,
        settings.balance_epochs,
        settings.instance_balance,
        eta,
        settings.dataset_balance,
        settings.gates_go_on,
    )
    bsnet = BSNet(
        [gnet.tail.copy(f"tail_{i}") for i in range(settings.submodules)],
        run.class_attributes,
        style[-1],
        settings.b_hidden,
        settings.s_hidden,
        settings.dataset_balance,
        settings.annealing,
        settings.s_max,
        settings.gate_init_std,
        settings.gate_compensation,
        settings.balance_control,
    )
    bsnet((tf.zeros([1, *graph.input_shape[1:]]), tf.zeros([1, channels])))
    if settings.dataset_balance:
        bsnet.gates_at_start = bsnet.gate.w.numpy()  # the same for a network that is restored: the seed is
    if settings.b_start == "open" and settings.balance_control != "partition":
        starts.open_weights(bsnet.balance)
    if settings.s_start == "general":
        bsnet.enter(style[0])
        gates = bsnet.gate.gates(bsnet.scale(training=True)) if settings.dataset_balance else np.ones(settings.submodules)
        bsnet.predictor.set_weights(starts.special_predictor(finetuned_predictor, gates))

    def draw(epoch):
        return batches.epoch_batches(len(run.labels), cache().views, settings.bsnet_batch_size, run.config.run.seed, epoch)

    def dataset(*start):
        return trunk_cache.cached_batches(cache(), run.labels, batches.epochs_dataset(draw, *start))

    predict = tf.function(lambda inputs: bsnet(inputs), reduce_retracing=True, autograph=False)

    def score():
        tested = cache(test_rows=True)
        batch = run.config.evaluation.eval_batch_size
        attributes = np.concatenate(list(strategy.each_batch(run.strategy, predict, trunk_cache.in_order(tested, batch))))
        general = gnet.predictor(tested.general).numpy() if run.config.meta.gnet else 0.0
        return run.score(general + attributes)

    steps = _steps(run, "bsnet_batch_size", settings.bsnet_batch_size)
    rates = {"heads": settings.bsnet_lr, "tails": settings.tail_lr, "gates": settings.gate_lr}
    fit = Fit(bsnet, bsnet, steps, dataset, settings.bsnet_optimizer, rates, settings.bsnet_weight_decay, "bsnet_batch_size", score)
    watch = functools.partial(_bsnet_callbacks, run, gnet, cache)
    train(run, stage, fit, [FitPhase(phase.name, phase.epochs, functools.partial(bsnet.enter, phase), watch) for phase in style])
    return bsnet


def _bsnet_callbacks(run, gnet, cache, first_epoch):
    """Counts epochs and watches the balance on a few training images in the test view."""
    rows = analysis.spread(np.arange(len(run.labels)), SUMMARY_IMAGES)
    batch = [tf.constant(array, tf.float32) for array in cache().gather(np.stack([rows, np.zeros_like(rows)], axis=1))]
    general = gnet.predictor(batch[1]) if run.config.meta.gnet else None
    record = os.path.join(run.directory, run_folder.BALANCE)
    watch = BalanceSummary(run.logs("bsnet"), record, batch, run.labels[rows], general, run.worker.is_chief)
    return [callbacks.CountEpochs(first_epoch), watch]
