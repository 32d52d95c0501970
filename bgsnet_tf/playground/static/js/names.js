// How names and numbers are written for people.

/** A class's or attribute's name in words. */
export const words = (name) => name.replaceAll("_", " ").trim();

/** [group, value] of an attribute's name: the part before `::` or `=`, and the one after; without either, the group is "". */
export function split(name) {
  const [, group, value] = /^(.+?)(?:::|=)(.+)$/.exec(name) ?? [null, "", name];
  return [words(group), words(value)];
}

/** Map from each group's name to the indices of its attributes, both in the order of the attributes. */
export function grouped(names) {
  const groups = new Map();
  names.forEach((name, k) => {
    const [group] = split(name);
    groups.set(group, [...(groups.get(group) ?? []), k]);
  });
  return groups;
}

/** A number with a true minus; `scale`, the largest of those it stands beside, decides how many digits it has. */
export function number(value, { sign = false, scale = value } = {}) {
  const digits = Math.abs(scale) >= 100 ? 0 : Math.abs(scale) >= 10 ? 1 : 2;
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : sign ? "+" : "") + text;
}

export const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;
