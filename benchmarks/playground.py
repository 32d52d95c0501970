"""Times the playground in a real browser, and takes the picture of it in the README.

    python -m benchmarks.playground --export_dir=runs/demo/export/1 --examples=runs/demo/examples
    python -m benchmarks.playground --export_dir=runs/demo/export/1 --examples=runs/demo/examples --picture=docs/figures/playground.png

The round trip is from a photo's drop on the page to its drawn ranking; the slider's time is from a move of δ to the laid-out
ranking of 1000 classes with 312 attributes. Both include the wait for the next frame.
"""

import contextlib
import json
import statistics
import threading

import numpy as np
from absl import flags

from benchmarks import harness
from benchmarks.browser import chromium
from bgsnet_tf import cli
from bgsnet_tf.serving.client.asking import find_images

ROUNDS = 20
CLASSES, ATTRIBUTES, MAP = 1000, 312, 7  # of the slider's model: CUB's attributes, five times its classes
READY = "body[data-ready]"
ROUND_TRIP = """async (path) => {
    const file = new File([await (await fetch(path)).blob()], "photo");
    const data = new DataTransfer();
    data.items.add(file);
    const start = performance.now();
    window.dispatchEvent(new DragEvent("drop", {dataTransfer: data, cancelable: true}));
    const stage = document.getElementById("stage").dataset;
    const frame = () => new Promise(requestAnimationFrame);
    do await frame(); while (stage.state !== "busy");
    do await frame(); while (stage.state === "busy");
    document.body.offsetHeight;
    return performance.now() - start;
}"""
SLIDE = """async (value) => {
    const slider = document.getElementById("delta");
    const start = performance.now();
    slider.value = value;
    slider.dispatchEvent(new Event("input"));
    await new Promise(requestAnimationFrame);
    document.body.offsetHeight;
    return performance.now() - start;
}"""


def main():
    values = flags.FLAGS
    cli.require("export_dir", "examples")
    with _served(values.export_dir, find_images(values.examples)) as address, chromium() as browser:
        if values.picture:
            _take_picture(browser, address, values.picture, values.example)
            return
        round_trips = _round_trips(browser, address)
        slides, busy = _slides(browser, address)
    rows = [
        {"what": what, "median ms": statistics.median(times), "slowest ms": max(times), "times": len(times)}
        for what, times in (("photo to ranking", round_trips), ("slider to ranking", slides))
    ]
    harness.report("playground", rows, export=values.export_dir, slider_processor_ms=busy)


@contextlib.contextmanager
def _served(export_dir, examples):
    import bgsnet_tf
    from bgsnet_tf.playground.answers import Answers
    from bgsnet_tf.playground.connections import Server
    from bgsnet_tf.playground.server import Playground

    server = Server("127.0.0.1", 0, Playground(Answers(bgsnet_tf.load(export_dir)), examples))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}/"
    server.shutdown()
    thread.join()


def _round_trips(browser, address):
    """Milliseconds of each round, all examples in turn; the first, in which TensorFlow settles, is left out."""
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    page.goto(address)
    page.wait_for_selector(READY)
    count = page.locator("#examples li").count()
    return [page.evaluate(ROUND_TRIP, f"/examples/{i % count}") for i in range(ROUNDS + 1)][1:]


def _slides(browser, address):
    """Milliseconds of each move of δ, on a made-up model in place of the server's, and of the page's processor time for one."""
    import base64

    rng = np.random.default_rng(0)
    groups = [f"group{k // 10}::value{k}" for k in range(ATTRIBUTES)]
    description = {
        **{"name": "made up", "classNames": [f"class {c}" for c in range(CLASSES)], "seen": [c % 2 == 0 for c in range(CLASSES)]},
        **{"attributeNames": groups, "delta": 1.0, "branches": ["fused"], "view": {"size": 1, "resize": 1}, "noMaps": ""},
        **{"examples": ["one"], "maxBytes": 2**20},
    }
    packed = {
        name: base64.b64encode(rng.normal(size=shape).astype("<f4")).decode()
        for name, shape in (("a", ATTRIBUTES), ("m", (MAP, MAP, ATTRIBUTES)))
    }
    answer = {
        "attributes": {"fused": packed["a"]},
        "maps": {"fused": packed["m"]},
        "constants": {"fused": packed["a"]},
        "mapShape": [MAP, MAP],
    }
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    page.route("**/model", lambda route: route.fulfill(body=json.dumps(description), content_type="application/json"))
    page.route("**/class-attributes", lambda route: route.fulfill(body=rng.random((CLASSES, ATTRIBUTES)).astype("<f4").tobytes()))
    page.route("**/photo", lambda route: route.fulfill(body=json.dumps(answer), content_type="application/json"))
    page.goto(address)
    page.wait_for_selector(READY)
    page.click("#examples button")
    page.wait_for_selector("#ranks li")
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy():
        return next(one["value"] for one in session.send("Performance.getMetrics")["metrics"] if one["name"] == "TaskDuration")

    before = busy()
    times = [page.evaluate(SLIDE, 2 * (i + 1) / (ROUNDS + 1)) for i in range(ROUNDS)]
    return times, 1000 * (busy() - before) / ROUNDS


def _take_picture(browser, address, path, example):
    page = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page.goto(address)
    page.wait_for_selector(READY)
    page.click(f"#examples li:nth-child({example}) button")
    page.wait_for_selector("#ranks li")
    page.wait_for_function("() => [...document.images].every((image) => image.complete)")
    page.screenshot(path=path)


if __name__ == "__main__":
    flags.DEFINE_string("export_dir", "", "Version folder of an export.")
    flags.DEFINE_string("examples", "", "Folder of images to ask about, or a pattern.")
    flags.DEFINE_string("picture", "", "File to save a picture of the page to, in place of timing it.")
    flags.DEFINE_integer("example", 1, "Number of the example in the picture, from 1.", 1)
    cli.run(main)
