"""Meta-training of f_g in PyTorch: a loop over tasks with create_graph=True, as the field's repositories write it, and `torch.func`."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks import meta_shapes as shapes
from benchmarks.torch_bsnet import DEVICE


def loop_over_tasks(hidden):
    """The function that makes all steps one after another; returns the last loss."""
    embeddings, phi, tasks, parameters, optimizer = _setup(hidden)

    def step(task):
        support_rows, support_labels, query_rows, query_labels = task
        optimizer.zero_grad()
        total = 0.0
        for t in range(shapes.TASKS):
            loss = functional.cross_entropy(_predict(embeddings[support_rows[t]], parameters) @ phi.T, support_labels[t])
            gradients = torch.autograd.grad(loss, parameters, create_graph=True)
            virtual = [p - shapes.INNER_LR * gradient for p, gradient in zip(parameters, gradients)]
            total = total + functional.cross_entropy(_predict(embeddings[query_rows[t]], virtual) @ phi.T, query_labels[t])
        total.backward()
        optimizer.step()
        return total.item() / shapes.TASKS

    return lambda: [step(task) for task in tasks][-1]


def vectorized(hidden):
    """The same with `torch.func`: one vmap over tasks, of grad."""
    embeddings, phi, tasks, parameters, optimizer = _setup(hidden)

    def loss(parameters, inputs, labels):
        return functional.cross_entropy(_predict(inputs, parameters) @ phi.T, labels)

    def of_task(parameters, support, support_labels, query, query_labels):
        gradients = torch.func.grad(loss)(parameters, support, support_labels)
        virtual = [p - shapes.INNER_LR * gradient for p, gradient in zip(parameters, gradients)]
        return loss(virtual, query, query_labels)

    def of_tasks(parameters, *batch):
        return torch.func.vmap(of_task, in_dims=(None, 0, 0, 0, 0))(parameters, *batch).sum()

    value_and_gradients = torch.func.grad_and_value(of_tasks)

    def step(task):
        support_rows, support_labels, query_rows, query_labels = task
        gradients, total = value_and_gradients(parameters, embeddings[support_rows], support_labels, embeddings[query_rows], query_labels)
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient
        optimizer.step()
        return total.item() / shapes.TASKS

    return lambda: [step(task) for task in tasks][-1]


def _setup(hidden):
    embeddings, phi, drawn = shapes.tensors()
    parameters = [nn.Parameter(torch.tensor(w.T.copy() if w.ndim == 2 else w, device=DEVICE)) for w in shapes.initial_weights(hidden)]
    optimizer = torch.optim.Adam(parameters, lr=shapes.META_LR, eps=1e-7)
    return torch.tensor(embeddings, device=DEVICE), torch.tensor(phi, device=DEVICE), [_of_numpy(e) for e in drawn], parameters, optimizer


def _of_numpy(episodes):
    def rows_and_labels(rows, classes):
        rows, classes = (torch.tensor(numbers, dtype=torch.int64, device=DEVICE) for numbers in (rows, classes))
        return rows.flatten(1), classes.repeat_interleave(rows.shape[2], dim=1)

    return (
        *rows_and_labels(episodes.support_rows, episodes.support_classes),
        *rows_and_labels(episodes.query_rows, episodes.query_classes),
    )


def _predict(inputs, parameters):
    outputs = functional.linear(inputs, parameters[0], parameters[1])
    return functional.linear(functional.relu(outputs), parameters[2], parameters[3]) if len(parameters) == 4 else outputs
