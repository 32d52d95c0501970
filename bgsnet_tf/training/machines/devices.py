"""Which devices train, in one line, and why a GPU that this machine has is not among them.

None of it was tried on a GPU; what a machine says without one was.
"""

import collections
import os
import pathlib
import re
import subprocess
import sys

import tensorflow as tf

STEPS_A_CALL_ON_GPU = 16  # assumption: of a few hundred an epoch; a signal waits for at most so many
HAS_TF32 = 8, 0  # compute capability of Ampere, from which on float32 products may run as TF32
NVIDIA, DISPLAY = "0x10de", "0x03"  # a PCI vendor, and the class of its cards
INSTALL = "pip install -r requirements/gpu.txt"
DRIVER = "install NVIDIA's driver, or start the container with --gpus all"
MISSING = re.compile(r"Could not load dynamic library '(?!libnvinfer)([^']+)'")  # without TensorRT's, which nothing here uses


def set_arithmetic(settings):
    """Sets how this process computes, by a `config.RunConfig`."""
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16" if settings.precision == "bfloat16" else "float32")
    tf.config.experimental.enable_tensor_float_32_execution(settings.tf32 and not settings.deterministic)


def steps_per_execution(settings):
    """Training steps a call: those of the flag, by default several on a GPU, whose host would else wait for every one."""
    return settings.steps_per_execution or (STEPS_A_CALL_ON_GPU if tf.config.list_physical_devices("GPU") else 1)


def describe(strategy, settings):
    """One line: devices, strategy and precision of a training, and what hides a GPU that the machine has.

    Args:
      strategy: that trains.
      settings: its `config.RunConfig`.
    """
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus[: _replicas_here(strategy)]]
    counted = collections.Counter(found.get("device_name", "GPU") for found in details)
    names = " + ".join(f"{count} × {name}" for name, count in counted.items())
    tf32 = any(found.get("compute_capability", (0, 0)) >= HAS_TF32 for found in details)
    parts = [names or f"{len(os.sched_getaffinity(0))} CPU cores", *_spread(strategy), _precision(settings, tf32)]
    hidden = None if gpus else why_no_gpu()
    return f"training on {', '.join(parts)}" + (f"; TensorFlow sees no GPU although this machine has one: {hidden}" if hidden else "")


def _spread(strategy):
    replicas, here = strategy.num_replicas_in_sync, _replicas_here(strategy)
    if replicas == 1:
        return []
    processes = f" in {replicas // here} processes" if replicas > here else ""
    return [f"{replicas} replicas{processes} ({type(strategy).__name__})"]


def _replicas_here(strategy):
    return len(strategy.extended.worker_devices) if strategy.num_replicas_in_sync > 1 else 1


def _precision(settings, tf32):
    if settings.precision == "float32" and tf32 and tf.config.experimental.tensor_float_32_execution_enabled():
        return "float32 with products in TF32"
    return settings.precision


def why_no_gpu(root=pathlib.Path("/"), log=None):
    """What keeps TensorFlow from the GPU of this machine, and what to do; None where the machine has no NVIDIA GPU.

    Args:
      root: of the file system.
      log: what TensorFlow says when it looks for GPUs; by default it is asked in a process of its own.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    driver = device_files(root)
    if not driver and not _has_card(root):
        return None
    if visible in ("", "-1"):
        return f"CUDA_VISIBLE_DEVICES={visible!r} hides it; unset that"
    if not driver:
        return f"it has no driver here; {DRIVER}"
    if not tf.test.is_built_with_cuda():
        return f"TensorFlow {tf.__version__} was built without CUDA; {INSTALL}"
    log = _log_of_tensorflow() if log is None else log
    missing = list(dict.fromkeys(MISSING.findall(log)))
    if "libcuda.so.1" in missing:
        return f"the driver's libcuda.so.1 cannot be loaded; {DRIVER}"
    if missing:
        return f"CUDA libraries are missing ({', '.join(missing)}); {INSTALL}"
    said = [line for line in log.splitlines() if "GPU" in line or "CUDA" in line]
    return f"TensorFlow says '{said[-1].split('] ')[-1][:200]}'; try {INSTALL}" if said else f"TensorFlow gives no reason; try {INSTALL}"


def device_files(root=pathlib.Path("/")):
    """NVIDIA's device files, one for each GPU that the driver gives to this machine or container; WSL has a single other one."""
    return sorted([*root.glob("dev/nvidia[0-9]*"), *root.glob("dev/dxg")])


def _has_card(root):
    cards = (path.parent for path in root.glob("sys/bus/pci/devices/*/vendor") if path.read_text().strip() == NVIDIA)
    return any((card / "class").read_text().startswith(DISPLAY) for card in cards)


def _log_of_tensorflow():
    """TensorFlow's own log, which the package silences, from looking for GPUs; with the libraries that it cannot load."""
    command = [sys.executable, "-c", "import tensorflow as tf; tf.config.list_physical_devices('GPU')"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0", "TF_CPP_VMODULE": "dso_loader=1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace").stderr
