// Making classes: a name and a slider an attribute. A class competes as soon as it leaves the model's origin.
import { announce, byId, h, keyed, notify } from "../dom.js";
import { format, parse } from "../csv.js";
import { count, grouped, number, split, words } from "../names.js";
import { embedding } from "../scores.js";
import { freeName, madeClass } from "../store.js";

const FEW = 40; // attributes up to which all groups are open at the start

export function createMaker(store, exported) {
  const { model } = store.state;
  const sliders = addSliders(model, (k, value) => {
    const one = edited();
    one.values[k] = value;
    change(one, { phi: embedding(one.values, model.attributeOrigin) });
  });
  const edited = () => store.state.mine.find((one) => one.key === store.state.editing);
  const namesBut = (one) => new Set([...exported, ...store.state.mine].filter((other) => other !== one).map((other) => other.name));

  /** Puts a changed copy in the class's place, so that nothing that was drawn from the old one is mistaken for it. */
  function change(one, properties) {
    store.update({ mine: store.state.mine.map((other) => (other === one ? { ...one, ...properties } : other)) });
  }

  function addClasses(classes) {
    for (const { name, values, seen } of classes) {
      const one = madeClass(freeName(name, namesBut(null)), values, model.attributeOrigin, seen);
      store.update({ mine: [...store.state.mine, one], editing: one.key });
    }
  }

  byId("new").addEventListener("click", () => {
    addClasses([{ name: "my class", values: model.attributeOrigin.slice() }]);
    requestAnimationFrame(() => byId("name").select());
  });
  byId("name").addEventListener("input", () => {
    const name = byId("name").value.trim();
    const problem = !name ? "A class needs a name." : namesBut(edited()).has(name) ? "There is a class of this name; choose another." : "";
    showNameProblem(problem);
    if (!problem) change(edited(), { name });
  });
  byId("base").addEventListener("change", () => {
    const base = [...exported, ...store.state.mine].find((one) => String(one.key) === byId("base").value);
    const values = base ? base.values.slice() : model.attributeOrigin.slice();
    change(edited(), { values, phi: embedding(values, model.attributeOrigin) });
    byId("base").value = "";
  });
  byId("search").addEventListener("input", () => filter(byId("search").value));
  byId("editor").addEventListener("submit", (event) => event.preventDefault());
  byId("remove").addEventListener("click", () => {
    const mine = store.state.mine.filter((one) => one !== edited());
    store.update({ mine, editing: mine.at(-1)?.key ?? null });
    byId("new").focus();
  });
  byId("export").addEventListener("click", () => save("classes.csv", format(store.state.mine, model.attributeNames)));
  byId("import").addEventListener("click", () => byId("csv").click());
  byId("csv").addEventListener("change", (event) => {
    importClasses(event.target.files[0]);
    event.target.value = "";
  });
  byId("link").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      notify("The link is copied. It holds δ and your classes, but no photo.");
    } catch {
      notify("The browser does not let the page copy. The link is this page's address, above.", true);
    }
  });

  async function importClasses(file) {
    if (!file) return;
    try {
      const classes = parse(await file.text(), model.attributeNames);
      addClasses(classes);
      notify(`${count(classes.length, "class", "classes")} imported from ${file.name}.`);
    } catch (problem) {
      notify(`${file.name}: ${problem.message}`, true);
    }
  }

  addBases(exported);
  let shown = null;
  return {
    addClasses,
    importClasses,
    render(view) {
      const one = view.mine.find((other) => other.key === view.editing);
      byId("export").disabled = !view.mine.length;
      keyed(
        byId("mine"),
        view.mine,
        (other) => other.key,
        (other) => createChip(other, store),
        (element, other) => updateChip(element, other, view),
      );
      byId("editor").hidden = !one;
      if (!one) return;
      if (shown !== one.key) {
        shown = one.key;
        byId("name").value = one.name;
        showNameProblem("");
      }
      sliders.forEach((slider, k) => slider(one.values[k]));
      drawStanding(view, one);
    },
  };
}

function showNameProblem(problem) {
  byId("name-problem").textContent = problem;
  byId("name").setAttribute("aria-invalid", String(Boolean(problem)));
}

function drawStanding({ ranking, photo }, one) {
  const entry = ranking?.find(({ of }) => of.key === one.key);
  const text = !one.phi
    ? "All attributes are 0. Move a slider, and it competes."
    : !entry
      ? "It competes as soon as there is a photo."
      : `Rank ${entry.rank} of ${ranking.length} for ${photo.name}, score ${number(entry.score)}.`;
  if (byId("standing").textContent === text) return;
  byId("standing").textContent = text;
  byId("standing").classList.toggle("wins", entry?.rank === 1);
  if (!byId("make").hidden) announce(text);
}

function createChip({ key }, store) {
  return h("li", {}, h("button", { type: "button", onclick: () => store.update({ editing: key }) }));
}

function updateChip(element, one, { editing, ranking }) {
  const [button] = element.children;
  const rank = ranking?.find(({ of }) => of.key === one.key)?.rank;
  button.replaceChildren(one.name, h("span", {}, rank ? ` ${rank}.` : ""));
  button.setAttribute("aria-pressed", String(one.key === editing));
}

function addBases(exported) {
  const options = (classes) => classes.map((one) => h("option", { value: one.key }, words(one.name)));
  const group = (label, classes) => (classes.length ? [h("optgroup", { label }, ...options(classes))] : []);
  byId("base").append(
    h("option", { value: "" }, "… another class, or nothing"),
    h("option", { value: "nothing" }, "nothing: all attributes 0"),
    ...group(
      "unseen",
      exported.filter((one) => !one.seen),
    ),
    ...group(
      "seen",
      exported.filter((one) => one.seen),
    ),
  );
}

/** Adds a slider an attribute, in groups; returns for each a function that shows a value. */
function addSliders({ attributeNames, classAttributes }, onInput) {
  const low = classAttributes.reduce((a, b) => Math.min(a, b), 0);
  const high = classAttributes.reduce((a, b) => Math.max(a, b), low + 1e-6);
  const setters = [];
  for (const [name, attributes] of grouped(attributeNames)) {
    const rows = attributes.map((k) => {
      const [, value] = split(attributeNames[k]);
      const input = h("input", { type: "range", id: `attribute-${k}`, min: low, max: high, step: "any" });
      const output = h("output", { htmlFor: input.id });
      input.addEventListener("input", () => onInput(k, Number(input.value)));
      setters[k] = (shown) => {
        if (shown > Number(input.max)) input.max = shown;
        if (shown < Number(input.min)) input.min = shown;
        if (Math.fround(Number(input.value)) !== shown) input.value = shown;
        output.textContent = number(shown);
        input.parentElement.classList.toggle("zero", shown === 0);
      };
      const row = h("div", { className: "slider" }, h("label", { htmlFor: input.id }, value), input, output);
      row.dataset.name = words(attributeNames[k]).toLowerCase();
      return row;
    });
    const group = h("details", { open: attributeNames.length <= FEW }, h("summary", {}, name || "attributes"), ...rows);
    byId("sliders").append(group);
  }
  return setters;
}

/** Leaves the sliders whose name holds all words of the search. */
function filter(search) {
  const wanted = search.toLowerCase().split(/\s+/).filter(Boolean);
  for (const group of byId("sliders").children) {
    let found = 0;
    for (const row of group.querySelectorAll(".slider")) {
      row.hidden = !wanted.every((word) => row.dataset.name.includes(word));
      found += !row.hidden;
    }
    group.hidden = !found;
    if (wanted.length) group.open = true;
  }
}

function save(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
