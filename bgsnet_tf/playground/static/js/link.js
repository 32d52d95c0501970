// The state that a link carries, in the part of the address after # that no server sees: δ and the made-up classes.
import { shortest } from "./csv.js";

/** The fragment, empty where everything is as at the start; classes are written as their attributes that are not 0. */
export function write({ model, delta, mine }) {
  const parameters = new URLSearchParams();
  if (delta !== model.delta) parameters.set("delta", shortest(delta));
  for (const { name, values, seen } of mine) {
    const pairs = [];
    values.forEach((value, k) => value && pairs.push(k, Number(shortest(value))));
    parameters.append(seen ? "seen" : "class", JSON.stringify([name, ...pairs]));
  }
  if (mine.length) parameters.set("model", fingerprint(model.attributeNames));
  return parameters.toString();
}

/**
 * {delta, classes} of a fragment; delta is undefined where it holds none.
 *
 * @throws {Error} where it was made with another model, or is cut short.
 */
export function read(fragment, model) {
  const parameters = new URLSearchParams(fragment);
  const delta = parameters.has("delta") ? Number(parameters.get("delta")) : undefined;
  const written = ["class", "seen"].flatMap((kind) => parameters.getAll(kind).map((text) => ({ text, seen: kind === "seen" })));
  if (delta !== undefined && !Number.isFinite(delta)) throw new Error("The link is damaged: its δ is no number.");
  if (written.length && parameters.get("model") !== fingerprint(model.attributeNames)) {
    throw new Error("The link's classes were made with another model, or the link is cut short.");
  }
  const classes = written.map(({ text, seen }) => {
    const [name, ...pairs] = JSON.parse(text);
    const values = new Float32Array(model.attributeNames.length);
    for (let i = 0; i < pairs.length; i += 2) values[pairs[i]] = pairs[i + 1];
    if (typeof name !== "string" || !values.every(Number.isFinite)) throw new Error("The link is damaged.");
    return { name, seen, values };
  });
  return { delta, classes };
}

/** A short hash (FNV-1a) of the attributes' names. */
function fingerprint(names) {
  let hash = 0x811c9dc5;
  for (const letter of names.join("\n")) hash = Math.imul(hash ^ letter.codePointAt(0), 0x01000193);
  return (hash >>> 0).toString(36);
}
