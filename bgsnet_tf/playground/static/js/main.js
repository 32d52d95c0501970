// Loads the model, makes the panels, and draws them whenever the state changes.
import { acceptDrops } from "./drops.js";
import { byId, h, notify } from "./dom.js";
import { createHeat } from "./panels/heat.js";
import * as link from "./link.js";
import { createMaker } from "./panels/make.js";
import { count } from "./names.js";
import { createPhotos } from "./panels/photos.js";
import { createRanking } from "./panels/ranking.js";
import { loadModel } from "./server.js";
import { createStore, exportedClasses } from "./store.js";
import { createWhy } from "./panels/why.js";

async function start() {
  const model = await loadModel();
  if (model.exifRotation) document.documentElement.style.setProperty("--rotation", "from-image");
  const exported = exportedClasses(model);
  const state = {
    model,
    exported,
    mine: [], // classes of the user's own
    editing: null, // key of the one in the editor
    photos: [], // {id, name, file, url, seen, problem}
    current: null, // id of the one on the stage
    delta: model.delta,
    branch: "fused",
    chosen: [], // keys of up to two classes that were clicked
    shown: null, // attribute that is looked at
    opacity: Number(byId("opacity").value),
    showAll: false,
  };
  const panels = [];
  const store = createStore(state, (view) => panels.forEach((panel) => panel.render(view)));
  const photos = createPhotos(store);
  const maker = createMaker(store, exported);
  panels.push(photos, createHeat(store), createRanking(store), createWhy(store), maker, { render: writeLink });
  acceptDrops(photos.add, maker.importClasses);
  addTabs();
  showFacts(model);
  readLink(store, maker);
  addEventListener("hashchange", () => location.hash.slice(1) !== link.write(store.state) && location.reload());
  store.update({});
  requestAnimationFrame(() => (document.body.dataset.ready = "yes")); // after the first drawing
}

function readLink(store, maker) {
  try {
    const { delta, classes } = link.read(location.hash.slice(1), store.state.model);
    if (delta !== undefined) store.update({ delta });
    maker.addClasses(classes);
  } catch (problem) {
    notify(problem instanceof SyntaxError ? "The link is damaged; it is left aside." : problem.message, true);
  }
}

let written;

/** Keeps the address that of the state, once it has been still for a moment: browsers refuse many changes in a row. */
function writeLink(view) {
  clearTimeout(written);
  written = setTimeout(() => {
    const fragment = link.write(view);
    history.replaceState(null, "", fragment ? `#${fragment}` : location.pathname);
  }, 150);
}

function showFacts({ classNames, seen, attributeNames, name }) {
  const seenCount = seen.filter(Boolean).length;
  const facts = [
    name,
    count(seenCount, "seen class", "seen classes"),
    `${classNames.length - seenCount} unseen`,
    count(attributeNames.length, "attribute"),
  ];
  byId("facts").replaceChildren(...facts.map((fact) => h("li", {}, fact)));
}

function addTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const select = (chosen) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      byId(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
    }
  };
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(i + step + tabs.length) % tabs.length];
      select(next);
      next.focus();
    });
  });
}

start().catch((problem) => notify(problem.message, true));
