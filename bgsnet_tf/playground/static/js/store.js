// The page's one state, and what follows from it. Panels read the view and never change it; they call `update`.
import { contributions, embedding, ranked } from "./scores.js";

/** {state, update}: `update(change)` merges a change and draws once before the next frame, however many changes came. */
export function createStore(state, draw) {
  let waiting = false;
  return {
    state,
    update(change) {
      Object.assign(state, change);
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        draw(viewOf(state));
      });
    },
  };
}

/** The model's classes {key, name, seen, values, phi}. */
export function exportedClasses({ classNames, seen, classAttributes, attributeNames, attributeOrigin }) {
  const size = attributeNames.length;
  return classNames.map((name, c) => {
    const values = classAttributes.subarray(c * size, (c + 1) * size);
    return { key: c, name, seen: seen[c], values, phi: embedding(values, attributeOrigin) };
  });
}

let made = 0;

/** A class of the user's own; δ lowers its score where it counts as seen. */
export function madeClass(name, values, origin, seen = false) {
  return { key: `mine-${++made}`, name, seen, mine: true, values, phi: embedding(values, origin) };
}

/** The name, or with a number behind it where another class has it. */
export function freeName(name, taken) {
  for (let n = 1; ; n++) {
    const candidate = n === 1 ? name : `${name} (${n})`;
    if (!taken.has(candidate)) return candidate;
  }
}

/** The state with what follows from it: the current photo, its ranking, the pair compared, and what decided between them. */
function viewOf(state) {
  const classes = [...state.exported, ...state.mine];
  const photo = state.photos.find((one) => one.id === state.current) ?? null;
  const ranking = photo && rankingOf(photo, classes, state.delta);
  const pair = ranking && pairOf(ranking, state.chosen);
  const reasons = {};
  for (const branch of pair ? state.model.branches : []) {
    reasons[branch] = contributions(photo.seen.attributes[branch], pair[0].of, pair[1].of);
  }
  const bestOf = (one) => (one === photo ? ranking : rankingOf(one, classes, state.delta))?.[0];
  return { ...state, classes, photo, ranking, pair, reasons, bestOf };
}

function rankingOf(photo, classes, delta) {
  return photo.seen ? ranked(photo.seen.attributes.fused, classes, delta) : null;
}

/** The two entries compared, the better one first: those chosen, filled up with the best of the others. */
function pairOf(ranking, chosen) {
  const wanted = ranking.filter((entry) => chosen.includes(entry.of.key));
  const others = ranking.filter((entry) => !chosen.includes(entry.of.key));
  const pair = [...wanted, ...others].slice(0, 2).sort((a, b) => a.rank - b.rank);
  return pair.length === 2 ? pair : null;
}
