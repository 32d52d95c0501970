"""What is said of the devices that train, and of a GPU that TensorFlow does not see; no test here needs one."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf

from bgsnet_tf.config import RunConfig
from bgsnet_tf.errors import UserError
from bgsnet_tf.training.machines import devices, local_workers
from tests.conftest import ROOT


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Root of a file system with an NVIDIA card, its driver's files, a sound controller of NVIDIA, and another maker's display."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, vendor, kind in (("gpu", "0x10de", "0x030200"), ("sound", "0x10de", "0x040300"), ("display", "0x1234", "0x030000")):
        card = tmp_path / "sys/bus/pci/devices" / name
        card.mkdir(parents=True)
        (card / "vendor").write_text(f"{vendor}\n")
        (card / "class").write_text(f"{kind}\n")
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / "dev" / name).touch()
    return tmp_path


def without_driver(machine):
    for path in (machine / "dev").iterdir():
        path.unlink()


LOADING = (
    "2026-11-24 13:18:50.09: I external/local_tsl/tsl/platform/default/dso_loader.cc:63] Could not load dynamic library '{0}'; dlerror: {0}"
)
LIBRARIES = "\n".join(map(LOADING.format, ["libcudart.so.12", "libcudnn.so.8", "libnvinfer.so.8.6.1", "libcudart.so.12"]))


@pytest.mark.parametrize(
    "log, reason",
    [
        (LIBRARIES, "CUDA libraries are missing (libcudart.so.12, libcudnn.so.8); pip install -r requirements/gpu.txt"),
        (LOADING.format("libcuda.so.1"), "the driver's libcuda.so.1 cannot be loaded; install NVIDIA's driver"),
        ("I0000 port.cc:1] hello\nW0000 gpu_device.cc:2] Cannot dlopen some GPU libraries", "TensorFlow says 'Cannot dlopen some GPU libr"),
        ("nothing of note", "TensorFlow gives no reason; try pip install -r requirements/gpu.txt"),
    ],
)
def test_the_reason_is_tensorflows_own_with_what_mends_it(machine, log, reason):
    assert reason in devices.why_no_gpu(machine, log)
    assert (ROOT / "requirements" / "gpu.txt").exists()


def test_tensorflow_is_asked_in_a_process_of_its_own(machine):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow sees a GPU here")
    assert "cannot be loaded" in devices.why_no_gpu(machine) or "are missing" in devices.why_no_gpu(machine)


def test_hidden_gpus_and_missing_drivers_are_told_apart(machine, monkeypatch):
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert devices.why_no_gpu(machine, "") == f"CUDA_VISIBLE_DEVICES={hidden!r} hides it; unset that"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    without_driver(machine)
    assert devices.why_no_gpu(machine, "").startswith("it has no driver here; install NVIDIA's driver, or start the container with --gpus")
    (machine / "sys/bus/pci/devices/gpu/class").write_text("0x040300\n")
    assert devices.why_no_gpu(machine, "") is None


def test_the_line_names_devices_strategy_and_precision(monkeypatch):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow sees a GPU here")
    monkeypatch.setattr(devices, "why_no_gpu", lambda: None)
    cores = len(os.sched_getaffinity(0))
    assert devices.describe(tf.distribute.get_strategy(), RunConfig(precision="bfloat16")) == f"training on {cores} CPU cores, bfloat16"
    monkeypatch.setattr(devices, "why_no_gpu", lambda: "a reason")
    line = devices.describe(tf.distribute.get_strategy(), RunConfig())
    assert line == f"training on {cores} CPU cores, float32; TensorFlow sees no GPU although this machine has one: a reason"


@pytest.mark.parametrize("settings, tf32", [(RunConfig(), True), (RunConfig(tf32=False), False), (RunConfig(deterministic=True), False)])
def test_tf32_is_off_where_it_is_not_wanted(settings, tf32):
    try:
        devices.set_arithmetic(settings)
        assert tf.config.experimental.tensor_float_32_execution_enabled() == tf32
    finally:
        devices.set_arithmetic(RunConfig())


def test_steps_a_call_are_those_of_the_flag():
    assert devices.steps_per_execution(RunConfig(steps_per_execution=7)) == 7
    if not tf.config.list_physical_devices("GPU"):
        assert devices.steps_per_execution(RunConfig()) == 1


def test_gpus_are_shared_unless_the_user_says_otherwise():
    program = "import bgsnet_tf, os; print(os.environ['TF_FORCE_GPU_ALLOW_GROWTH'])"
    for given, growth in ({}, "true"), ({"TF_FORCE_GPU_ALLOW_GROWTH": "false"}, "false"):
        plain = {name: value for name, value in os.environ.items() if name != "TF_FORCE_GPU_ALLOW_GROWTH"}
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env={**plain, **given}, capture_output=True, text=True)
        assert done.stdout.strip() == growth


def test_every_local_worker_gets_a_gpu_of_its_own(machine, monkeypatch):
    assert local_workers.gpu_of_each(2, machine) == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    with pytest.raises(UserError, match="--workers=3: every process needs a GPU of its own, and there are 2"):
        local_workers.gpu_of_each(3, machine)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-1a2b")
    assert local_workers.gpu_of_each(2, machine) == [{"CUDA_VISIBLE_DEVICES": "5"}, {"CUDA_VISIBLE_DEVICES": "GPU-1a2b"}]
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert local_workers.gpu_of_each(3, machine) == [{}] * 3
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    without_driver(machine)
    assert local_workers.gpu_of_each(3, machine) == [{}] * 3


def test_the_gpu_requirements_name_the_same_tensorflow():
    plain = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith(("tensorflow==", "tensorflow>="))]
    with_cuda = [line for line in (ROOT / "requirements" / "gpu.txt").read_text().splitlines() if line.startswith("tensorflow[and-cuda]")]
    assert [line.replace("[and-cuda]", "") for line in with_cuda] == plain
