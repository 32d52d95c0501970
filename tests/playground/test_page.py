"""The page in a real Chromium: what a person does on it, and what must follow.

The fixture `open_page` asserts at the end of every test that no request went to another host and no error to the console.
"""

import re

import numpy as np
import pytest

from bgsnet_tf.exported import choices
from tests.playground.conftest import assert_ranked, number, show

DROP = """([name, bytes, type, event]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], name, {type}));
    const init = event === "paste" ? {clipboardData: data} : {dataTransfer: data};
    const made = event === "paste" ? new ClipboardEvent("paste", init) : new DragEvent("drop", {...init, bubbles: true, cancelable: true});
    document.body.dispatchEvent(made) || window.dispatchEvent(made);
    if (event === "paste") window.dispatchEvent(made);
}"""


def test_a_photo_is_ranked_as_predict_ranks_it(exported, model, page):
    for contents in exported.image_bytes[::4]:
        show(page, contents)
        assert_ranked(page, model.predict(contents, top_k=6))


def test_scores_of_the_browser_are_those_of_predict(exported, model, page):
    script = """async (bytes) => {
        const [server, store, scores] = await Promise.all(["server", "store", "scores"].map((name) => import(`/static/js/${name}.js`)));
        const model = await server.loadModel();
        const {attributes} = await server.see(new Blob([new Uint8Array(bytes)]));
        const entries = scores.ranked(attributes.fused, store.exportedClasses(model), model.delta);
        return entries.map((entry) => [entry.of.name, entry.score]);
    }"""
    for contents in exported.image_bytes[:4]:
        names, found = zip(*page.evaluate(script, list(contents)))
        predicted = model.predict(contents, top_k=6)
        assert list(names) == predicted["class"].tolist()
        np.testing.assert_allclose(found, predicted["score"], atol=1e-4)


def test_the_browser_measures_classes_from_the_models_origin(page):
    script = """async ([values, origin]) => {
        const {embedding} = await import("/static/js/scores.js");
        return [embedding(values, origin), embedding(origin, origin)].map((phi) => phi && Array.from(phi));
    }"""
    values, origin = np.random.default_rng(0).uniform(0, 100, (2, 7))
    found, nowhere = page.evaluate(script, [values.tolist(), origin.tolist()])
    expected = choices.choice(("a",), values[np.newaxis], np.zeros(1, bool), 0.0, origin).embeddings[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert nowhere is None


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_photo_may_be_dropped_and_pasted(exported, page, event):
    page.evaluate(DROP, ["bird.jpg", list(exported.image_bytes[0]), "image/jpeg", event])
    page.wait_for_selector('#stage[data-state="photo"]')
    assert page.get_attribute("#photo", "alt") == "bird.jpg"


def test_an_example_is_a_click_away(page):
    page.click("#examples button >> nth=1")
    page.wait_for_selector("#ranks li")
    assert page.get_attribute("#photo", "alt") == "yellow_1"


def test_delta_moves_the_seen_classes(exported, model, page):
    contents = exported.image_bytes[0]
    show(page, contents)
    page.fill("#delta", "1.4")
    assert_ranked(page, model.predict(contents, top_k=6, delta=1.4))
    page.click("#delta-trained")
    assert_ranked(page, model.predict(contents, top_k=6))


@pytest.mark.parametrize("way", ["hover", "focus"])
def test_an_attribute_shows_where_it_was_seen(exported, model, page, way):
    contents = exported.image_bytes[0]
    show(page, contents)
    page.click("#alike summary")
    getattr(page, way)('[data-attribute="1"]')
    page.wait_for_function("() => document.getElementById('caption').textContent.startsWith('Where g was seen')")
    expected = model.explain(contents, ["g"])
    script = """() => {
        const map = document.getElementById("map");
        return [map.height, map.width, [...map.getContext("2d").getImageData(0, 0, map.width, map.height).data]];
    }"""
    height, width, pixels = page.evaluate(script)
    red, _, blue, alpha = np.reshape(pixels, [height, width, 4]).transpose(2, 0, 1).astype(float)
    heat = np.where(red > blue, alpha, -alpha)
    values = expected.maps[..., 0]
    np.testing.assert_allclose(heat / alpha.max(), values / np.abs(values).max(), atol=0.02)
    assert f"{expected.values[0]:.2f}".replace("-", "−") in page.inner_text("#caption")


def test_the_map_lies_on_what_the_network_sees(exported, page):
    show(page, exported.image_bytes[0])  # 48 × 40 pixels, of which the middle 32/36 of the shorter side are seen
    photo, view = (page.locator(selector).bounding_box() for selector in ("#photo", "#stage .view"))
    side = photo["height"] * 32 / 36
    expected = [photo["x"] + (photo["width"] - side) / 2, photo["y"] + (photo["height"] - side) / 2, side, side]
    np.testing.assert_allclose([view["x"], view["y"], view["width"], view["height"]], expected, atol=1)


def test_two_clicked_classes_are_compared(exported, model, page):
    contents = exported.image_bytes[0]
    show(page, contents)
    names = model.predict(contents, top_k=6)["class"].tolist()
    for rank in (5, 2):
        page.click(f"#ranks li:nth-child({rank}) button")
    page.wait_for_function("text => document.getElementById('why-title').textContent === text", arg=f"Why {names[1]} and not {names[4]}?")
    expected = model.compare(contents, names[1], names[4])
    shown = {}
    for row in page.query_selector_all("#groups .reason"):
        shown[row.query_selector(".name").inner_text()] = number(row.query_selector(".value").inner_text())
    given = dict(zip(expected.names, expected.values))
    assert shown and all(abs(given[name] - value) < 0.006 * max(1, abs(value)) for name, value in shown.items())
    page.click("text=general")
    page.wait_for_function("() => document.getElementById('why-sum').textContent.includes('general branch')")
    general = model.compare(contents, names[1], names[4], "general").values.sum()
    assert number(re.search(r"give it ([+−]\d+\.\d+)", page.inner_text("#why-sum"))[1]) == pytest.approx(general, abs=0.01)


def test_a_bad_photo_says_why_and_harms_no_other(exported, page):
    show(page, exported.image_bytes[0], "good.jpg")
    page.set_input_files(
        "#files",
        [
            {"name": "holiday.gif", "mimeType": "image/gif", "buffer": b"GIF89a"},
            {"name": "also good.jpg", "mimeType": "image/jpeg", "buffer": exported.image_bytes[1]},
        ],
    )
    page.wait_for_selector('#stage[data-state="refused"]')
    assert page.inner_text("#refusal") == "holiday.gif is neither a JPEG nor a PNG file"
    page.wait_for_function("() => [...document.querySelectorAll('#sheet .label')].every((label) => label.textContent !== '…')")
    assert page.locator("#sheet .bad").count() == 1
    page.click("#sheet li:nth-child(3) .tile")
    page.wait_for_selector('#stage[data-state="photo"]')


def test_a_photo_that_is_too_large_is_not_even_sent(page):
    from bgsnet_tf.playground.answers import MAX_BYTES

    asked = []
    page.on("request", lambda request: asked.append(request.method))
    page.evaluate(
        f"""() => {{
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array({MAX_BYTES} + 1)], "large.jpg", {{type: "image/jpeg"}}));
            window.dispatchEvent(new DragEvent("drop", {{dataTransfer: data, cancelable: true}}));
        }}"""
    )
    page.wait_for_selector('#stage[data-state="refused"]')
    assert page.inner_text("#refusal") == "large.jpg has 33 MB; up to 32 MB are taken."
    assert "POST" not in asked


def test_many_photos_make_a_contact_sheet(exported, model, page):
    files = [{"name": f"{i}.jpg", "mimeType": "image/jpeg", "buffer": contents} for i, contents in enumerate(exported.image_bytes)]
    page.set_input_files("#files", files)
    page.wait_for_function(
        "() => [...document.querySelectorAll('#sheet .label')].filter((label) => label.textContent !== '…').length === 8"
    )
    predicted = model.predict(exported.image_bytes, top_k=1)["class"].tolist()
    assert [label.inner_text() for label in page.query_selector_all("#sheet .label")] == predicted
    page.click('[aria-label="Remove 0.jpg"]')
    page.wait_for_function("() => document.querySelectorAll('#sheet li').length === 7")
    assert page.get_attribute("#photo", "alt") == "1.jpg"


def test_the_keyboard_reaches_everything(exported, page):
    show(page, exported.image_bytes[0])
    page.focus("#tab-why")
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#make") and not page.is_visible("#why")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#editor:not([hidden])")
    page.focus("#attribute-0")
    page.keyboard.press("End")
    page.wait_for_selector("#ranks .score.yours")
    assert page.evaluate("document.activeElement.id") == "attribute-0"
    page.focus("#ranks li:nth-child(3) button")
    name = page.inner_text("#ranks li:nth-child(3) .name")
    page.keyboard.press("Enter")
    page.wait_for_selector("#ranks [aria-pressed=true]")
    assert page.evaluate("document.activeElement.querySelector('.name').textContent") == name


def test_screen_readers_hear_the_result(exported, model, page):
    contents = exported.image_bytes[0]
    show(page, contents, "bird.jpg")
    best = model.predict(contents, top_k=1)["class"].iloc[0]
    page.wait_for_function("text => document.getElementById('announcer').textContent.startsWith(text)", arg=f"bird.jpg: first {best}")


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_overflows(exported, open_page, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed").Axe()
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce")

    def check():
        found = axe.run(page).response["violations"]
        assert not [(one["id"], one["impact"], [node["html"] for node in one["nodes"]]) for one in found]
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    check()
    show(page, exported.image_bytes[0])
    page.click("#alike summary")
    page.hover("[data-attribute] >> nth=0")
    check()
    page.click("#tab-make")
    page.click("#new")
    page.fill("#attribute-0", "1")
    page.wait_for_selector("#ranks .score.yours")
    check()
    page.set_input_files("#files", {"name": "holiday.gif", "mimeType": "image/gif", "buffer": b"GIF89a"})
    page.wait_for_selector('#stage[data-state="refused"]')
    check()
