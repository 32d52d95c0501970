// What the export computes behind its attributes, once more: embeddings, scores, and what decided between two classes.
// Letters: C classes, A attributes, h and w the heat map's height and width.

/** φ (A,): the values less the model's origin, L2-normalised as in the export; null at the origin, which has no direction. */
export function embedding(values, origin) {
  const apart = Float64Array.from(values, (value, k) => value - origin[k]);
  let largest = 0;
  for (const value of apart) largest = Math.max(largest, Math.abs(value));
  if (largest === 0) return null;
  let squares = 0;
  for (const value of apart) squares += (value / largest) ** 2; // divided first: squares of 1e30 overflow
  return Float32Array.from(apart, (value) => value / largest / Math.sqrt(squares));
}

export function product(a, b) {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += a[k] * b[k];
  return sum;
}

/** Entries {of, raw, score, rank} of all classes that have a direction, best first; equal scores keep their order. */
export function ranked(attributes, classes, delta) {
  const entries = [];
  for (const of of classes) {
    if (!of.phi) continue;
    const raw = product(attributes, of.phi);
    entries.push({ of, raw, score: of.seen ? raw - delta : raw });
  }
  entries.sort((a, b) => b.score - a.score);
  entries.forEach((entry, i) => (entry.rank = i + 1));
  return entries;
}

/** (A,): what each attribute gives the first class's score over the second's. */
export function contributions(attributes, first, second) {
  return attributes.map((value, k) => value * (first.phi[k] - second.phi[k]));
}

/** (h·w,): the map of attribute `k` out of maps (h, w, A). */
export function attributeMap(maps, k, count) {
  return Float32Array.from({ length: maps.length / count }, (_, position) => maps[position * count + k]);
}

/** (h·w,): where the first class's lead over the second comes from: the maps (h, w, A) weighted by the difference of φ. */
export function differenceMap(maps, first, second) {
  const count = first.phi.length;
  const weights = first.phi.map((value, k) => value - second.phi[k]);
  return Float32Array.from({ length: maps.length / count }, (_, position) => {
    return product(maps.subarray(position * count, (position + 1) * count), weights);
  });
}
