"""How much memory the device that trains has, and how much of it this process holds. No other room asks the machine that."""

import contextlib
import pathlib
import re
import resource

import psutil
import tensorflow as tf

from bgsnet_tf.errors import UserError
from bgsnet_tf.private_api import gpu_memory_limit

CLEAR_REFS = pathlib.Path("/proc/self/clear_refs")
CGROUPS = pathlib.Path("/sys/fs/cgroup")
# Of both versions of control groups: folder below CGROUPS, limit, use, and the page cache's share of it, which the kernel gives back.
_VERSION_1 = "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
_VERSION_2 = "", "memory.max", "memory.current", "inactive_file"

# How TensorFlow words a lack of memory that it does not raise as such: CUDA's own error, and cuDNN's where no algorithm has room.
_SHORTAGE = re.compile(r"out of memory|OUT_OF_MEMORY|OOM when allocating|[Nn]o algorithm worked|CUBLAS_STATUS_ALLOC_FAILED")


def of_device():
    """(bytes in use, bytes there are) for this process: on the first GPU where there is one, else in main memory."""
    gpus = tf.config.list_logical_devices("GPU")
    if not gpus:
        held = psutil.Process().memory_info().rss
        return held, held + main_memory_left()
    return tf.config.experimental.get_memory_info(gpus[0].name)["current"], gpu_memory_limit(gpus[0])


def reset_peak():
    """Lets `peak` begin again at what is in use now."""
    for gpu in tf.config.list_logical_devices("GPU")[:1]:
        tf.config.experimental.reset_memory_stats(gpu.name)
        return
    if CLEAR_REFS.exists():
        with contextlib.suppress(OSError):  # where a container forbids it, the peak is that of the whole process
            CLEAR_REFS.write_text("5")  # proc(5): resets the high-water mark of resident memory


def peak():
    """The most bytes in use since `reset_peak`, where `of_device` looks; without Linux, of main memory since the process began."""
    for gpu in tf.config.list_logical_devices("GPU")[:1]:
        return tf.config.experimental.get_memory_info(gpu.name)["peak"]
    if CLEAR_REFS.exists():
        (line,) = re.findall(r"VmHWM:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text())
        return 1024 * int(line)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextlib.contextmanager
def naming_shortage(what, config, flag, step_bytes=lambda: None):
    """Turns TensorFlow's error about memory into a `UserError`.

    Args:
      what: that runs, as "finetune all".
      config: `Config` of the run.
      flag: name of the one that lowers what it needs.
      step_bytes: function without arguments to an estimate of what one step of it takes, None where there is none.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if not (isinstance(error, tf.errors.ResourceExhaustedError) or _SHORTAGE.search(str(error))):
            raise
        held, there = of_device()
        device = "the GPU's memory" if tf.config.list_logical_devices("GPU") else "memory"
        estimate = None
        with contextlib.suppress(tf.errors.OpError):  # tracing may want memory too
            estimate = step_bytes()
        needs = f"a step is estimated to take {estimate / 1e9:.2f} GB" if estimate else "--dry_run estimates what it takes"
        said = re.search(r"OOM when allocating.*", str(error)) or re.search(r"\S.*", str(error))  # Keras puts lines before
        raise UserError(
            f"{what}: out of memory ({said[0][:150]}); {held / 1e9:.2f} of {there / 1e9:.2f} GB of {device} "
            f"are in use, {needs}; lower --{flag}={config.values()[flag]}"
        ) from error


def main_memory_left(groups=None):
    """Bytes that this process can still get: what is available on the machine, or less where a control group says so.

    Args:
      groups: lines "number:controllers:path" of the process's control groups; the kernel's by default.
    """
    if groups is None:
        path = pathlib.Path("/proc/self/cgroup")
        groups = path.read_text().splitlines() if path.exists() else []
    left = [psutil.virtual_memory().available]
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "memory" in controllers.split(","):
            folder, *names = _VERSION_1 if controllers else _VERSION_2
            root = CGROUPS / folder
            own = root / path.lstrip("/")
            # Inside a container the path may not exist, and the mount is its group.
            chain = [own, *own.parents[: len(own.relative_to(root).parts)]]
            left += [_left_in_group(group, *names) for group in chain if (group / names[0]).exists()]
    return max(0, min(left))


def _left_in_group(group, limit_name, use_name, reclaimable_name):
    limit = (group / limit_name).read_text().strip()
    if limit == "max":
        return float("inf")
    statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return int(limit) - int((group / use_name).read_text()) + int(statistics.get(reclaimable_name, 0))
