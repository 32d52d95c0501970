"""What the parts of a run take, as `dry_run` finds it, and the tables that say so."""

import dataclasses

from bgsnet_tf.text_table import format_table

CACHE = "cache"


@dataclasses.dataclass(frozen=True)
class Part:
    """What one phase of a stage takes, or the building of the feature cache.

    Attributes:
      name: stage and phase.
      epochs: of the phase.
      steps: in all.
      images: of a step; in meta-training, of all its tasks.
      parameters: that train.
      multiply_adds: of a step.
      held: bytes in use before it: process, data and network with its optimizers.
      step_bytes: that a step adds: activations, gradients and batches; in BSNet, or what the summary after an epoch adds.
      disk: bytes of its checkpoint, or of the cache.
      step_seconds: of a step, once it has been timed.
      measured_peak: bytes in use at the most while it was.
    """

    name: str
    epochs: int
    steps: int
    images: int
    parameters: int
    multiply_adds: int
    held: int
    step_bytes: int
    disk: int
    step_seconds: float = 0.0
    measured_peak: int = 0

    @property
    def estimated_peak(self):
        return self.held + self.step_bytes

    @property
    def seconds(self):
        return self.steps * self.step_seconds


def describe_data(benchmark):
    """One line: how many rows, classes and attributes."""
    rows = ", ".join(f"{name} {len(getattr(benchmark, name))}" for name in ("train", "test_seen", "test_unseen"))
    classes = (
        f"{len(benchmark.seen_classes)} seen classes, {len(benchmark.unseen_classes)} unseen, {len(benchmark.attribute_names)} attributes"
    )
    return f"{benchmark.name}: images {rows}; {classes}"


def table(parts):
    """A row a part."""
    rows = {
        part.name: {
            "epochs": f"{part.epochs}",
            "steps": f"{part.steps}",
            "images/step": f"{part.images}",
            "trained": f"{part.parameters / 1e6:.2f} M",
            "mult-adds/image": f"{part.multiply_adds / part.images / 1e6:.1f} M",
            "held": f"{part.held / 1e9:.2f} GB",
            "estimated peak": f"{part.estimated_peak / 1e9:.2f} GB",
            "measured peak": f"{part.measured_peak / 1e9:.2f} GB",
            "disk": f"{part.disk / 1e6:.1f} MB",
            "s/step": f"{part.step_seconds:.3f}",
            "time": duration(part.seconds),
        }
        for part in parts
    }
    return format_table([["", *next(iter(rows.values()))], *([name, *cells.values()] for name, cells in rows.items())])


def summary(parts, memory_there, disk_free):
    """One line: time, memory and disk of all parts together, beside the bytes that there are."""
    seconds, disk = sum(part.seconds for part in parts), sum(part.disk for part in parts)
    views_per_second = [f" ({part.images / part.step_seconds:.0f} views/s into the cache)" for part in parts if part.name == CACHE]
    return (
        f"time {duration(seconds)}{''.join(views_per_second)}; memory {max(part.measured_peak for part in parts) / 1e9:.2f} "
        f"of {memory_there / 1e9:.2f} GB; disk {disk / 1e9:.2f} of {disk_free / 1e9:.2f} GB"
    )


def duration(seconds):
    """h:mm:ss of seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
