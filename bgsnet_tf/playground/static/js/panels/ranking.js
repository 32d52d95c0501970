// The ranking: a bar a class, what δ takes off seen ones, and the two that are compared.
import { byId, gliding, h, keyed } from "../dom.js";
import { count, number, words } from "../names.js";

const TOP = 8; // classes shown before "all" is asked for

export function createRanking(store) {
  const { model } = store.state;
  const slider = byId("delta");
  slider.addEventListener("input", () => store.update({ delta: Number(slider.value) }));
  byId("delta-trained").addEventListener("click", () => store.update({ delta: model.delta }));
  byId("ranks-all").addEventListener("click", () => store.update({ showAll: !store.state.showAll }));

  return {
    render(view) {
      drawDelta(view);
      const ranking = view.ranking ?? [];
      const rows = view.showAll ? ranking : ranking.filter((entry) => entry.rank <= TOP || entry.of.mine || view.pair?.includes(entry));
      const scale = Math.max(...rows.map(({ raw, score }) => Math.max(Math.abs(raw), Math.abs(score))), 1e-9);
      const below = rows.some(({ raw, score }) => Math.min(raw, score) < 0);
      const update = (element, entry) =>
        updateRow(element, entry, view, below ? { scale, zero: 0.5, unit: 0.5 / scale } : { scale, zero: 0, unit: 1 / scale });
      const create = (entry) => createRow(entry.of, () => choose(store, entry.of.key));
      gliding(byId("ranks"), () => keyed(byId("ranks"), rows, (entry) => entry.of.key, create, update));
      byId("ranks-empty").hidden = ranking.length > 0;
      byId("ranks-note").hidden = !ranking.length;
      byId("ranks-all").hidden = ranking.length <= TOP;
      byId("ranks-all").textContent = view.showAll ? `Show the first ${TOP}` : `Show all ${count(ranking.length, "class", "classes")}`;
      byId("ranks-all").setAttribute("aria-expanded", String(view.showAll));
    },
  };
}

function drawDelta({ delta, model, exported, ranking }) {
  const slider = byId("delta");
  if (!slider.dataset.ready && (model.delta > 0 || ranking)) {
    slider.max = model.delta > 0 ? 2 * model.delta : ranking[0].raw - ranking.at(-1).raw;
    slider.dataset.ready = "yes";
  }
  if (delta > Number(slider.max)) slider.max = delta;
  if (Number(slider.value) !== delta) slider.value = delta;
  byId("delta-value").textContent = number(delta);
  byId("delta-trained").classList.toggle("away", delta === model.delta);
  byId("calibration").hidden = !exported.some((one) => one.seen);
}

/** Marks a class for the comparison, or unmarks it; a third one takes the place of the first. */
function choose(store, key) {
  const { chosen } = store.state;
  store.update({ chosen: chosen.includes(key) ? chosen.filter((one) => one !== key) : [...chosen, key].slice(-2), shown: null });
}

function createRow(of, onclick) {
  const kind = of.mine ? "yours" : of.seen ? "seen" : "unseen";
  const tag = h("span", { className: `tag ${kind}` }, kind);
  const bar = h("span", { className: "bar" }, h("i", { className: "lost" }), h("i", { className: `score ${kind}` }));
  const button = h("button", { type: "button", onclick });
  button.append(h("span", { className: "rank" }), h("span", { className: "name" }), h("span", { className: "value" }), bar, tag);
  return h("li", {}, button);
}

function updateRow(element, { of, rank, raw, score }, { pair, chosen }, { scale, zero, unit }) {
  const [button] = element.children;
  const [rankText, name, value, bar] = button.children;
  rankText.textContent = rank;
  name.textContent = words(of.name);
  value.textContent = number(score, { scale });
  button.title = of.seen ? `${of.name}: ${number(raw)} less δ` : of.name;
  button.setAttribute("aria-pressed", String(chosen.includes(of.key)));
  element.dataset.side = pair?.[0].of === of ? "first" : pair?.[1].of === of ? "second" : "";
  const [lost, kept] = bar.children;
  span(kept, 0, score, zero, unit);
  span(lost, score, raw, zero, unit);
  bar.style.setProperty("--zero", `${100 * zero}%`);
}

/** Lays a piece of a bar from one score to another. */
function span(piece, from, to, zero, unit) {
  piece.style.left = `${100 * (zero + unit * Math.min(from, to))}%`;
  piece.style.width = `${100 * unit * Math.abs(to - from)}%`;
}
