"""Classes of one's own in a real Chromium: made with sliders, carried as CSV and as links, and kept apart.

The fixture `open_page` asserts at the end of every test that no request went to another host and no error to the console.
"""

import numpy as np
import pandas as pd

from tests.playground.conftest import assert_ranked, best_class, csv_of, import_csv, show


def test_a_made_class_wins_at_once_and_without_the_server(exported, model, page):
    contents = exported.image_bytes[0]
    show(page, contents)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.click("#tab-make")
    page.click("#new")
    page.fill("#name", "winner")
    wanted = best_class(model, contents)
    for k, value in enumerate(wanted):
        low, high = (float(page.get_attribute(f"#attribute-{k}", end)) for end in ("min", "max"))
        page.fill(f"#attribute-{k}", str(np.clip(value / np.abs(wanted).max(), low, high)))
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")  # the page draws once a frame
    vector = [float(page.input_value(f"#attribute-{k}")) for k in range(4)]
    benchmark = exported.benchmark
    table = pd.DataFrame(benchmark.attributes, list(benchmark.class_names), benchmark.attribute_names)
    table["seen"] = model.seen.astype(int)
    table.loc["winner"] = [*vector, 0]
    predicted = model.predict(contents, table, top_k=7, delta=model.delta)
    assert_ranked(page, predicted)
    rank = predicted["class"].tolist().index("winner") + 1
    assert page.inner_text("#standing").startswith(f"Rank {rank} of 7")
    assert {url.rsplit("/", 1)[-1] for url in asked} <= {"icon.svg"}  # which Chromium fetches anew with the address


def test_classes_travel_as_the_csv_that_predict_takes(exported, model, page, tmp_path):
    contents = exported.image_bytes[0]
    show(page, contents)
    classes = {'the "best", so far': best_class(model, contents), "other": np.float32([0.1, -2.5, 1e-7, 3])}
    import_csv(page, csv_of(classes, model.attribute_names))
    page.wait_for_selector("#ranks li:first-child .score.yours")
    with page.expect_download() as download:
        page.click("#export")
    download.value.save_as(tmp_path / "classes.csv")
    exchanged = pd.read_csv(tmp_path / "classes.csv", index_col="class")
    np.testing.assert_array_equal(exchanged.to_numpy(np.float32), np.stack(list(classes.values())))
    assert model.predict(contents, tmp_path / "classes.csv")["class"].iloc[0] == 'the "best", so far'
    page.wait_for_function("() => location.hash.includes('class')")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert [chip.inner_text() for chip in page.query_selector_all("#mine button")] == list(classes)  # from the link alone


def test_a_link_restores_classes_and_delta(exported, model, open_page):
    first = open_page()
    import_csv(first, csv_of({"ünïcode & more": [0.25, 0, -1, 0.5]}, model.attribute_names))
    first.fill("#delta", "0.35")
    first.wait_for_function("() => location.hash.includes('class') && location.hash.includes('0.35')")
    second = open_page(first.evaluate("location.hash"))
    assert second.input_value("#delta") == "0.35"
    second.click("#tab-make")
    assert second.input_value("#name") == "ünïcode & more"
    assert [float(second.input_value(f"#attribute-{k}")) for k in range(4)] == [0.25, 0, -1, 0.5]
    damaged = open_page(first.evaluate("location.hash").replace("%5D", "", 1))
    assert "damaged" in damaged.inner_text("#notice")


def test_a_damaged_link_is_refused_by_its_reason(exported, page):
    script = """async (fragment) => {
        const [link, server] = await Promise.all(["link", "server"].map((name) => import(`/static/js/${name}.js`)));
        const model = await server.loadModel();
        try { return link.read(fragment, model); } catch (problem) { return problem.message; }
    }"""
    assert "another model" in page.evaluate(script, "class=%5B%22a%22%5D&model=x")
    assert "cut short" in page.evaluate(script, "class=%5B%22a%22%5D")
    assert "no number" in page.evaluate(script, "delta=many")


def test_the_exports_own_classes_come_in_as_seen_or_not(exported, model, page, tmp_path):
    show(page, exported.image_bytes[0])
    table = pd.DataFrame(model.class_attributes, index=model.class_names, columns=model.attribute_names)
    table.insert(0, "seen", model.seen.astype(int))
    import_csv(page, table.rename(index="my {}".format).to_csv(index_label="class"))
    page.wait_for_function("count => document.querySelectorAll('#mine li').length === count", arg=len(table))
    titles = [button.get_attribute("title") for button in page.query_selector_all("#ranks button")]
    lowered = {title.split(":")[0] for title in titles if "less δ" in title and title.startswith("my ")}
    assert lowered == {f"my {name}" for name, seen in zip(model.class_names, model.seen) if seen}
    with page.expect_download() as download:
        page.click("#export")
    download.value.save_as(tmp_path / "classes.csv")
    assert pd.read_csv(tmp_path / "classes.csv", index_col="class")["seen"].tolist() == model.seen.astype(int).tolist()
    page.wait_for_function("() => location.hash.includes('seen=')")


BAD_TABLES = {
    "class,seen,r,g,b,constant\nx,maybe,1,2,3,4\n": "Line 2: “maybe” as “seen” of “x”",
    "": "empty",
    "class,r,g,b\nx,1,2,3\n": "“constant” is missing",
    "class,r,g,b,constant,d\nx,1,2,3,4,5\n": "no attribute “d”",
    "class,r,g,b,constant\nx,1,2,many,4\n": "Line 2: “many” is no number",
    "class,r,g,b,constant\nx,1,2,3,4\n\ny,1\n": "Line 4: 2 cells under 5 columns",
    'class,r,g,b,constant\n"x,1,2,3,4\n': "not closed",
    "class,r,g,b,constant\n": "no class",
}


def test_a_bad_csv_is_refused_by_its_line(page):
    for text, problem in BAD_TABLES.items():
        import_csv(page, text, "bad.csv")
        page.wait_for_function("text => document.getElementById('notice').textContent.includes(text)", arg=problem)
        assert page.inner_text("#notice").startswith("bad.csv") and page.query_selector("#mine li") is None


def test_a_name_never_becomes_markup(exported, model, page):
    evil = "<img src=x onerror=document.title='taken'>"
    show(page, exported.image_bytes[0], f"{evil}.jpg")
    import_csv(page, csv_of({evil: best_class(model, exported.image_bytes[0])}, model.attribute_names))
    page.wait_for_selector("#ranks li:first-child .score.yours")
    page.click("#tab-why")
    assert evil in page.inner_text("#why-title") and page.title() == "BGSNet playground"
    assert page.query_selector("img[src='x']") is None


def test_names_of_classes_stay_apart(page, model):
    page.click("#tab-make")
    page.click("#new")
    page.fill("#name", model.class_names[0])
    assert "choose another" in page.inner_text("#name-problem")
    page.click("#new")
    page.wait_for_function("() => document.querySelectorAll('#mine li').length === 2")
    assert [chip.inner_text() for chip in page.query_selector_all("#mine button")] == ["my class", "my class (2)"]


def test_the_search_finds_sliders(page):
    page.click("#tab-make")
    page.click("#new")
    page.fill("#search", "CONST")
    assert page.locator(".slider:visible label").all_inner_texts() == ["constant"]
