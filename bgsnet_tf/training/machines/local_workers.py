"""Trains one run with several processes on this machine, to try out what several machines would do.

    python -m bgsnet_tf.training.machines.local_workers --workers=2 --flagfile=configs/demo.flags --run_dir=runs/demo2

Every process is `python -m bgsnet_tf.train --strategy=multi_worker` with the same flags and a TF_CONFIG of its own. Output of all but
the chief is marked with the worker's number. When one ends with an error, the others are ended too. Where the machine has GPUs,
every process gets one of its own.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import threading

from absl import flags

from bgsnet_tf import cli, config
from bgsnet_tf.errors import UserError
from bgsnet_tf.training.machines.devices import device_files

GRACE = 60  # seconds for a worker to save when another one has ended


def main():
    settings = config.from_flags()
    given = [f"--{name}={value}" for name, value in settings.replace(strategy="multi_worker").values().items()]
    given += ["--trust_backbone"] * settings.backbone.trust_backbone
    addresses = free_addresses(flags.FLAGS.workers)
    gpus = gpu_of_each(len(addresses))
    workers = [_start(given, addresses, index, gpus[index]) for index in range(len(addresses))]
    echoes = [threading.Thread(target=_echo, args=(index, worker.stdout)) for index, worker in enumerate(workers) if index]
    for echo in echoes:
        echo.start()
    try:
        statuses = [worker.wait() for worker in workers]
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(GRACE)
        for echo in echoes:
            echo.join()
    if any(statuses):
        raise UserError(f"the workers ended with status {', '.join(map(str, statuses))}; the same command continues the run")


def gpu_of_each(workers, root=pathlib.Path("/")):
    """The environment's addition for every worker: a GPU of its own among those that this process sees; none where there is none.

    Raises:
      UserError: where some would go without: two processes cannot add up their gradients on one GPU.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = [str(i) for i in range(len(device_files(root)))] if visible is None else [name for name in visible.split(",") if name]
    if not gpus or gpus[0] == "-1":
        return [{}] * workers
    if len(gpus) < workers:
        raise UserError(f"--workers={workers}: every process needs a GPU of its own, and there are {len(gpus)}; give at most as many")
    return [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus[:workers]]


def free_addresses(count):
    """That many addresses of this machine, "127.0.0.1:PORT", on which nothing listens now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return addresses


def _start(given, addresses, index, gpu):
    task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    output = {} if index == 0 else {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    environment = {**os.environ, **gpu, "TF_CONFIG": json.dumps(task)}
    return subprocess.Popen([sys.executable, "-m", "bgsnet_tf.train", *given], env=environment, **output)


def _echo(index, lines):
    for line in lines:
        print(f"[worker {index}] {line}", end="")


if __name__ == "__main__":
    flags.DEFINE_integer("workers", 2, "Number of processes.", lower_bound=1)
    cli.run(main)
