// Why one class and not another: what each attribute gives the first one's score over the second's.
import { byId, h, keyed } from "../dom.js";
import { count, grouped, number, split, words } from "../names.js";

const NEGLIGIBLE = 0.002; // share of the largest contribution below which an attribute decides nothing
const BRANCHES = { fused: "both", general: "general", special: "special" };

export function createWhy(store) {
  const { model } = store.state;
  const groups = [...grouped(model.attributeNames)];
  addBranches(store);
  const panel = byId("why-full");
  const look = (event) => {
    const row = event.target.closest("[data-attribute]");
    if (row) store.update({ shown: Number(row.dataset.attribute) });
  };
  const leave = () => store.update({ shown: null });
  panel.addEventListener("pointerover", look);
  panel.addEventListener("focusin", look);
  panel.addEventListener("click", look);
  panel.addEventListener("pointerleave", leave);
  panel.addEventListener("focusout", leave);

  return {
    render(view) {
      byId("why-full").hidden = !view.pair;
      byId("why-empty").hidden = Boolean(view.pair);
      if (!view.pair) return;
      drawSummary(view);
      const reasons = view.reasons[view.branch];
      const largest = greatest(reasons);
      const decides = (k) => Math.abs(reasons[k]) > NEGLIGIBLE * largest;
      const deciding = groups
        .map(([name, all]) => ({ name, attributes: all.filter(decides) }))
        .filter(({ attributes }) => attributes.length)
        .map((group) => ({ ...group, sum: group.attributes.reduce((sum, k) => sum + reasons[k], 0) }))
        .sort((a, b) => b.sum - a.sum);
      const values = view.photo.seen.attributes[view.branch];
      const context = { ...view, values, strongest: greatest(values), reasons, largest };
      keyed(
        byId("groups"),
        deciding,
        (one) => one.name,
        createGroup,
        (element, group) => updateGroup(element, group, context),
      );
      const alike = model.attributeNames.map((_, k) => k).filter((k) => !decides(k));
      byId("alike").hidden = !alike.length;
      byId("alike").firstElementChild.textContent =
        `${count(alike.length, "attribute")} that ${alike.length === 1 ? "does" : "do"} not tell these two apart`;
      updateRows(byId("alike").lastElementChild, alike, context);
    },
  };
}

const greatest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

function addBranches(store) {
  const { branches } = store.state.model;
  const radios = branches.map((branch) => {
    const radio = h("input", { type: "radio", name: "branch", value: branch, checked: branch === "fused" });
    radio.addEventListener("change", () => store.update({ branch }));
    return h("label", {}, radio, h("span", {}, BRANCHES[branch]));
  });
  byId("branches").append(...radios);
  byId("branches").hidden = branches.length < 2;
}

function drawSummary({ pair, reasons, branch, delta }) {
  const [first, second] = pair;
  const name = (entry, side) => h("b", { className: side }, words(entry.of.name));
  byId("why-title").replaceChildren("Why ", name(first, "first"), " and not ", name(second, "second"), "?");
  const given = reasons[branch].reduce((sum, value) => sum + value, 0);
  const calibration = (second.of.seen ? delta : 0) - (first.of.seen ? delta : 0);
  const scale = Math.max(Math.abs(given), Math.abs(calibration));
  const parts = [`The first leads by ${number(first.score - second.score, { scale })}. `];
  const of = branch === "fused" ? "The attributes give" : `The ${branch} branch's attributes give`;
  const signed = (value) => number(value, { sign: true, scale });
  parts.push(`${of} it ${signed(given)}`, calibration ? `, δ ${signed(calibration)}.` : ".");
  byId("why-sum").textContent = parts.join("");
}

function createGroup({ name }) {
  const heading = h("h3", {}, h("span", {}, name || "attributes"), h("span", { className: "sum" }));
  return h("section", {}, heading, h("div"));
}

function updateGroup(element, { attributes, sum }, context) {
  element.querySelector(".sum").textContent = number(sum, { sign: true, scale: context.largest });
  updateRows(
    element.lastElementChild,
    [...attributes].sort((a, b) => context.reasons[b] - context.reasons[a]),
    context,
  );
}

function updateRows(container, attributes, context) {
  keyed(
    container,
    attributes,
    (k) => k,
    createRow,
    (element, k) => updateRow(element, k, context),
  );
}

function createRow(k) {
  const bar = h("span", { className: "tug" }, h("i"));
  const row = h("button", { type: "button", className: "reason", "data-attribute": k });
  row.append(h("span", { className: "name" }), h("span", { className: "seen-value" }), bar, h("span", { className: "value" }));
  return row;
}

function updateRow(row, k, { model, values, strongest, reasons, largest, pair, shown }) {
  const [name, value, bar, given] = row.children;
  const [first, second] = pair.map((entry) => entry.of);
  name.textContent = split(model.attributeNames[k])[1];
  value.textContent = number(values[k], { scale: strongest });
  given.textContent = number(reasons[k], { sign: true, scale: largest });
  const share = largest ? (50 * Math.abs(reasons[k])) / largest : 0;
  const [piece] = bar.children;
  piece.className = reasons[k] < 0 ? "second" : "first";
  piece.style.width = `${share}%`;
  piece.style.left = reasons[k] < 0 ? `${50 - share}%` : "50%";
  row.classList.toggle("shown", k === shown);
  row.title = `${model.attributeNames[k]}: ${number(values[k])} in the photo; ${number(first.values[k])} in the first class, ${number(second.values[k])} in the second`;
  row.setAttribute("aria-label", `${row.title}; gives the first ${given.textContent}`);
}
