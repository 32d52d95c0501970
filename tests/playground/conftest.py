"""The playground over the shared export, and a real browser on it."""

import contextlib
import os
import threading

import numpy as np
import pandas as pd
import pytest

import bgsnet_tf
from benchmarks.browser import PATH, chromium
from bgsnet_tf.playground.answers import Answers
from bgsnet_tf.playground.connections import Server
from bgsnet_tf.playground.server import Playground

TIMEOUT = 120_000  # milliseconds: a busy machine is no failure


@contextlib.contextmanager
def serve(application):
    """Serves on a free port until the end; yields the port."""
    server = Server("127.0.0.1", 0, application)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.port
    server.shutdown()
    thread.join()


@pytest.fixture(scope="session")
def model(exported):
    return bgsnet_tf.load(os.path.join(exported.directory, "1"))


@pytest.fixture(scope="session")
def port(exported, model):
    benchmark = exported.benchmark
    with serve(Playground(Answers(model), benchmark.paths[benchmark.test_unseen[:2]])) as found:
        yield found


@pytest.fixture(scope="session")
def browser():
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not PATH:
        pytest.skip("no Chromium is installed")
    with chromium() as started:
        yield started


@pytest.fixture
def open_page(browser, port):
    """A function that opens the page, whose arguments are those of a browser context.

    At the end it asserts that no page asked another host or wrote an error to the console, but for the browser's own line on a
    photo that was refused.
    """
    contexts, problems = [], []

    def console(message):
        if message.type in ("error", "warning") and "422" not in message.text:
            problems.append(message.text)

    def requested(request):
        if not request.url.startswith((f"http://127.0.0.1:{port}/", f"blob:http://127.0.0.1:{port}/")):
            problems.append(request.url)

    def opened(fragment="", **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(TIMEOUT)
        contexts.append(context)
        page = context.new_page()
        page.on("console", console)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", requested)
        page.goto(f"http://127.0.0.1:{port}/{fragment}")
        page.wait_for_selector("body[data-ready]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not problems


@pytest.fixture
def page(open_page):
    return open_page()


def show(page, contents, name="photo.jpg"):
    """Gives the page a photo and waits for its ranking."""
    page.set_input_files("#files", {"name": name, "mimeType": "image/jpeg", "buffer": contents})
    page.wait_for_selector('#stage[data-state="photo"]')
    page.wait_for_selector("#ranks li")


def ranking(page):
    """Names and scores as the page shows them."""
    rows = page.query_selector_all("#ranks li")
    return [(row.query_selector(".name").inner_text(), number(row.query_selector(".value").inner_text())) for row in rows]


def number(text):
    return float(text.replace("−", "-"))


def assert_ranked(page, predicted):
    """Asserts that the page ranks as a frame of `predict` does."""
    shown = "names => String([...document.querySelectorAll('#ranks .name')].map((one) => one.textContent)) === String(names)"
    page.wait_for_function(shown, arg=predicted["class"].tolist())  # the page draws in its next frame
    found = ranking(page)
    np.testing.assert_allclose([score for _, score in found], predicted["score"], atol=0.006 * max(1, predicted["score"].abs().max()))


def csv_of(classes, names):
    return pd.DataFrame.from_dict(classes, orient="index", columns=names).to_csv(index_label="class")


def import_csv(page, text, name="classes.csv"):
    page.click("#tab-make")
    page.set_input_files("#csv", {"name": name, "mimeType": "text/csv", "buffer": text.encode()})


def best_class(model, contents):
    """Attributes that no class can beat on this photo: its own, since a product with a unit vector is largest along itself."""
    return model.attributes(contents)[0]
