"""The training step of BSNet in PyTorch: as the field's repositories write it, and in its best forms. A yardstick only.

Letters: B images, N sub-modules, K channels, A attributes, C seen classes.
"""

import copy

import torch
from torch import nn
from torch.nn import functional

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Bottleneck(nn.Module):
    """A residual block of ResNet101's last stage, its stride left to the cached features."""

    def __init__(self, channels, width):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        projects = channels != 4 * width
        self.shortcut = (
            nn.Sequential(nn.Conv2d(channels, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)) if projects else nn.Identity()
        )

    def forward(self, inputs):
        outputs = self.relu(self.bn1(self.conv1(inputs)))
        outputs = self.relu(self.bn2(self.conv2(outputs)))
        return self.relu(self.bn3(self.conv3(outputs)) + self.shortcut(inputs))


def layer4(inputs, wide):
    blocks = (Bottleneck(channels, wide // 4) for channels in (inputs, wide, wide))
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class LoopedTails(nn.Module):
    """A `ModuleList` of copies of one tail: features (B, c, h, w) to e_l (B, N, K)."""

    def __init__(self, modules, shapes):
        super().__init__()
        tail = layer4(shapes.features[2], shapes.channels)
        self.tails = nn.ModuleList(copy.deepcopy(tail) for _ in range(modules))

    def forward(self, features):
        return torch.stack([tail(features) for tail in self.tails], dim=1)


class VmappedTails(nn.Module):
    """The same as one tail under `torch.func.vmap`, over weights and batch norm statistics stacked along N."""

    def __init__(self, modules, shapes):
        super().__init__()
        tail = layer4(shapes.features[2], shapes.channels)
        parameters, buffers = torch.func.stack_module_state([copy.deepcopy(tail) for _ in range(modules)])
        self.stacked = nn.ParameterList(nn.Parameter(value.detach()) for value in parameters.values())
        self.names, self.statistics = list(parameters), buffers
        self.tail = [tail.to("meta")]  # in a list, lest its parameters be ours

    def forward(self, features):
        def one(parameters, buffers):
            return torch.func.functional_call(self.tail[0], (parameters, buffers), (features,))

        return torch.func.vmap(one, out_dims=1)(dict(zip(self.names, self.stacked)), self.statistics)


class BSNet(nn.Module):
    """e_l to the instance weights w^t (B, N, K) and the attributes a_s (B, A): Eqs. 4 and 15."""

    def __init__(self, tails, modules, channels, hidden, attributes):
        super().__init__()
        self.tails = tails
        self.balance = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid()) for _ in range(modules)
        )
        self.gate = nn.Parameter(0.5 * torch.randn(modules))
        self.predictor = nn.Linear(modules * channels, attributes)

    def forward(self, features, general, scale=1.0):
        special = self.tails(features)
        weights = torch.stack([balance(torch.cat([special[:, i], general], dim=1)) for i, balance in enumerate(self.balance)], dim=1)
        balanced = weights * special * torch.sigmoid(scale * self.gate)[:, None]
        return weights, self.predictor(balanced.flatten(1))


def diversity_loss(weights, epoch=1, epsilon=1e-6):
    """Eqs. 5 and 14 from the two largest weights of a channel, as `bgsnet_tf.model.losses` has them."""
    modules = weights.shape[1]
    top = torch.topk(weights, min(2, modules), dim=1).values
    if modules == 1:
        return weights.new_zeros([])
    largest, second, total = top[:, 0], top[:, 1], weights.sum(1)
    with torch.no_grad():
        mean = weights.mean(1)
        margin = torch.maximum(torch.where(mean + epsilon < largest, mean + epsilon, mean), (1 - 1 / (1 + epoch)) * largest)
    products = largest * (total - largest) + largest * second
    return (products - margin * (total + (modules - 1) * largest + second)).sum(1).mean()


def prepare(shapes, tails="loop", channels_last=False, compiled=False, fused=False, bfloat16=False):
    """A function that makes one training step.

    Args:
      shapes: a `benchmarks.bsnet_step.Shapes`.
      tails: "loop" or "vmap".
      channels_last: memory layout of features and weights.
      compiled: through `torch.compile`.
      fused: Adam in one kernel; else PyTorch's default.
      bfloat16: autocast.
    """
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    tails = (VmappedTails if tails == "vmap" else LoopedTails)(shapes.submodules, shapes)
    net = BSNet(tails, shapes.submodules, shapes.channels, shapes.hidden, shapes.attributes).to(DEVICE, memory_format=layout)
    features = torch.rand(shapes.batch, *shapes.features[::-1], device=DEVICE).to(memory_format=layout)
    general, labels = torch.rand(shapes.batch, shapes.channels, device=DEVICE), torch.arange(shapes.batch, device=DEVICE) % shapes.classes
    phi = functional.normalize(torch.rand(shapes.classes, shapes.attributes, device=DEVICE))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused or None)
    forward = torch.compile(net) if compiled else net

    def step():
        optimizer.zero_grad()
        with torch.autocast(DEVICE, torch.bfloat16, enabled=bfloat16):
            weights, attributes = forward(features, general)
        loss = functional.cross_entropy(attributes.float() @ phi.T, labels) + shapes.eta * diversity_loss(weights.float())
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
