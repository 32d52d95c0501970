"""What a traced function costs before it runs: multiply-adds, and the memory of its tensors.

Counts only operations that run: those that outputs or side effects depend on.
"""

_SHARING = ("Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "PreventGradient")  # hand their input's buffer on
_KERNEL_AXES = {"Conv2D": 3, "DepthwiseConv2dNative": 2}  # leading axes of the kernel that are multiplied for one element of the output
_HELD_ELSEWHERE = ("Placeholder", "ReadVariableOp", "Const")  # captured tensors and variables


def multiply_adds(graph):
    """Multiply-adds in the convolutions and matrix products of a function's graph whose shapes are all known, gradients included."""
    return sum(_multiply_adds_of(operation) for operation in executed(graph))


def peak_bytes(graph):
    """The most bytes of tensors alive at once where a function's operations run one by one, in the order they were traced in.

    A tensor lives until its last reader has run: in a training step activations live until their gradient is taken,
    and gradients until their variable is updated. Left out: variables and captured tensors, tensors of unknown shape,
    and the scratch space inside kernels.
    """
    operations = executed(graph)
    owner, end = {}, {}  # tensor to the one whose buffer it shares; owner to the position of its last reader
    for position, operation in enumerate(operations):
        for tensor in operation.inputs:
            end[owner[tensor.ref()]] = position
        for output in operation.outputs:
            shares = operation.type in _SHARING
            owner[output.ref()] = owner[operation.inputs[0].ref()] if shares else output.ref()
            end[owner[output.ref()]] = position
    for output in graph.outputs:
        end[owner[output.ref()]] = len(operations)
    ended = {}
    for tensor, position in end.items():
        ended.setdefault(position, []).append(tensor.deref())
    alive = peak = 0
    for position, operation in enumerate(operations):
        alive += sum(_bytes(output) for output in operation.outputs if operation.type not in _SHARING)
        peak = max(peak, alive)
        alive -= sum(map(_bytes, ended.get(position, ())))
    return peak


def executed(graph):
    """The operations that outputs or side effects of a function depend on, in the order they were traced in."""
    waiting = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    needed = set(waiting)
    while waiting:
        operation = waiting.pop()
        found = {tensor.op for tensor in operation.inputs} | set(operation.control_inputs)
        waiting.extend(found - needed)
        needed |= found
    return [operation for operation in graph.get_operations() if operation in needed]


def _bytes(tensor):
    if tensor.op.type in _HELD_ELSEWHERE or tensor.shape.num_elements() is None:
        return 0
    return tensor.shape.num_elements() * tensor.dtype.size


def _multiply_adds_of(operation):
    kind, _, gradient = operation.type.partition("Backprop")
    if kind in _KERNEL_AXES:
        kernel = operation.outputs[0].shape if gradient == "Filter" else operation.inputs[1].shape
        outputs = operation.inputs[2].shape if gradient else operation.outputs[0].shape
        return outputs.num_elements() * kernel[: _KERNEL_AXES[kind]].num_elements()
    if operation.type in ("MatMul", "BatchMatMulV2"):
        transposed = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
        return operation.outputs[0].shape.num_elements() * operation.inputs[0].shape[-2 if transposed else -1]
    return 0
