"""Tasks a second of second-order meta-training, features resident: ours against PyTorch. python -m benchmarks.meta_training"""

import functools

from benchmarks import meta_shapes as shapes
from benchmarks.harness import Contender, compare, report

ROUNDS = 7
REPEATS = 10  # of all drawn steps in one measurement
TRANSPOSED = {"MatMul": ("transpose_a", "transpose_b"), "BatchMatMulV2": ("adj_x", "adj_y")}  # attributes


def ours(hidden):
    """The function that makes all steps one after another; returns the last mean loss."""
    step, drawn = _step(hidden)

    def steps():
        for episodes in drawn:
            loss = step(episodes)["loss"]
        return float(loss)

    return steps


def products_of_ours(hidden):
    """The function that makes the matrix products of all those steps, on random numbers, and nothing else."""
    import tensorflow as tf

    from bgsnet_tf.model import graph_costs

    step, drawn = _step(hidden)
    numbers, found = {}, []
    for op in graph_costs.executed(step.get_concrete_function(drawn[0]).graph):
        if op.type in ("MatMul", "BatchMatMulV2"):
            matrices = [numbers.setdefault(x.ref(), tf.random.normal(x.shape)) for x in op.inputs]
            found.append((matrices, [op.get_attr(name) for name in TRANSPOSED[op.type]]))
    products = tf.function(lambda: [tf.matmul(*matrices, *transposed) for matrices, transposed in found])

    def steps():
        for _ in drawn:
            products()

    return steps


def _step(hidden):
    import tensorflow as tf

    import bgsnet_tf  # noqa: F401 (chooses Keras 2)
    from bgsnet_tf.data.episodes import Episodes
    from bgsnet_tf.model.gnet import MetaGNet
    from bgsnet_tf.model.layers import Predictor

    embeddings, phi, drawn = shapes.tensors()
    predictor = Predictor(shapes.ATTRIBUTES, hidden)
    predictor.build([None, shapes.CHANNELS])
    predictor.set_weights(shapes.initial_weights(hidden))
    model = MetaGNet(predictor, embeddings, phi, shapes.INNER_LR)
    model.compile({"heads": tf.keras.optimizers.Adam(shapes.META_LR)})
    return tf.function(model.train_step), [Episodes(*map(tf.constant, episodes)) for episodes in drawn]


def torch_loop(hidden):
    from benchmarks import torch_meta

    return torch_meta.loop_over_tasks(hidden)


def torch_vectorized(hidden):
    from benchmarks import torch_meta

    return torch_meta.vectorized(hidden)


def main():
    rows = []
    for hidden in (0, shapes.HIDDEN):
        contenders = [
            Contender("BGSNet-TF", functools.partial(ours, hidden)),
            Contender("its matrix products alone", functools.partial(products_of_ours, hidden)),
            Contender("PyTorch, a loop over tasks", functools.partial(torch_loop, hidden)),
            Contender("PyTorch, torch.func", functools.partial(torch_vectorized, hidden)),
        ]
        timings = compare(contenders, ROUNDS, REPEATS)
        tasks = shapes.STEPS * shapes.TASKS
        for name, timing in timings.items():
            rows.append(
                {
                    "f_g": f"{shapes.CHANNELS}→{f'{hidden}→' if hidden else ''}{shapes.ATTRIBUTES}",
                    "contender": name,
                    "tasks/s": tasks / timing.median,
                    "processor ms a task": 1e3 * sorted(timing.processor_seconds)[ROUNDS // 2] / tasks,
                    "BGSNet-TF is faster": f"{timings['BGSNet-TF'].times(timing):.2f}×",
                }
            )
    report("meta_training", rows, shapes="8 tasks a step, 10-way, 5-shot, 3-query, 645 seen classes, second order, Adam")


if __name__ == "__main__":
    main()
