"""Many clients for a long time: every answer right, none lost, no growth of memory."""

import concurrent.futures
import os
import random
import time

import numpy as np
import pytest

from bgsnet_tf.serving import transports
from bgsnet_tf.serving.server_files import MODEL_NAME
from tests.serving.test_hard_input import REFUSED

REQUESTS, CLIENTS, MALFORMED = 10_000, 8, 0.05
WARM_UP = 0.3  # share of the requests after which memory may no longer grow
GROWTH = 30  # MB that allocators may move by


def resident_megabytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def talk(address, seed, requests, exported, expected, done):
    """One client; returns how many requests were malformed. Asserts on every answer; `done` gets (seconds, memory) of each."""
    transport, rng, malformed = transports.connect(address, MODEL_NAME, 60.0), random.Random(seed), 0
    attributes, vectors = expected
    for _ in range(requests):
        start = time.monotonic()
        rows = rng.choices(range(len(exported.image_bytes)), k=rng.randint(1, 4))
        files = [exported.image_bytes[row] for row in rows]
        bad = rng.random() < MALFORMED
        classes = vectors[rng.sample(range(len(vectors)), rng.randint(1, 50))]
        if bad and rng.random() < 0.5:
            files[rng.randrange(len(files))] = rng.choice(list(REFUSED.values()))[0]
        elif bad:
            classes = np.where(rng.random() < 0.5, np.nan, 0.0) * classes
        malformed += bad
        try:
            scores = transport.zero_shot(files, classes)
            assert not bad, "a malformed request got an answer"
            normalized = classes / np.linalg.norm(classes, axis=1, keepdims=True)
            np.testing.assert_allclose(scores, attributes[rows] @ normalized.T, rtol=1e-4, atol=1e-5)
        except transports.Refused:
            assert bad, "a good request was refused"
        done.append((time.monotonic() - start, resident_megabytes()))
    return malformed


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc on this system")
def test_ten_thousand_requests(served, exported, capsys):
    expected = exported.expected()["fused"], np.random.default_rng(0).uniform(0.1, 1, (200, 4)).astype(np.float32)
    addresses, done, start = [served[1], f"grpc://{served[2]}"], [], time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(talk, addresses[i % 2], i, REQUESTS // CLIENTS, exported, expected, done) for i in range(CLIENTS)]
        malformed = sum(client.result() for client in clients)
    seconds, memory = np.array(done).T
    growth = memory[-100:].mean() - memory[int(WARM_UP * REQUESTS) :][:100].mean()
    with capsys.disabled():
        print(
            f"\n{REQUESTS} requests, {malformed} malformed, {time.monotonic() - start:.0f} s, median {1e3 * np.median(seconds):.0f} ms, "
            f"99 % {1e3 * np.quantile(seconds, 0.99):.0f} ms, memory {memory[-1]:.0f} MB, growth after warm-up {growth:.1f} MB"
        )
    assert len(done) == REQUESTS and 0.03 * REQUESTS < malformed < 0.07 * REQUESTS
    assert growth < GROWTH
