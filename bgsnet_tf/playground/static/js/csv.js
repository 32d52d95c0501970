// Classes as the CSV that `--attributes` takes: a column `class`, then one column an attribute. A column `seen`, as an export's
// `classes.csv` has it, says which ones δ lowers (1).

/** The text of the file; with a column `seen` where a class is. */
export function format(classes, attributeNames) {
  const withSeen = classes.some((one) => one.seen);
  const lines = [
    ["class", ...(withSeen ? ["seen"] : []), ...attributeNames],
    ...classes.map((one) => [one.name, ...(withSeen ? [one.seen ? "1" : "0"] : []), ...Array.from(one.values, shortest)]),
  ];
  return lines.map((cells) => cells.map(quoted).join(",") + "\n").join("");
}

/**
 * Classes {name, seen, values} of a file's text; columns may come in any order.
 *
 * @throws {Error} that names the line and what is wrong with it.
 */
export function parse(text, attributeNames) {
  const [header, ...rows] = cellsOf(text.replace(/^\ufeff/, ""));
  if (!header) throw new Error("The file is empty.");
  const columns = new Map(header.cells.map((name, i) => [name, i]));
  for (const name of ["class", ...attributeNames]) {
    if (!columns.has(name)) throw new Error(`Line 1: the column “${name}” is missing. The first line names “class” and every attribute.`);
  }
  const known = new Set(["class", "seen", ...attributeNames]);
  const unknown = header.cells.find((name) => !known.has(name));
  if (unknown !== undefined) throw new Error(`Line 1: this model has no attribute “${unknown}”.`);
  if (columns.size < header.cells.length) throw new Error("Line 1: a column comes twice.");
  if (!rows.length) throw new Error("There is no class under the first line.");
  return rows.map(({ line, cells }) => {
    if (cells.length !== header.cells.length) {
      throw new Error(`Line ${line}: ${cells.length} cells under ${header.cells.length} columns.`);
    }
    const name = cells[columns.get("class")];
    if (!name) throw new Error(`Line ${line}: the class has no name.`);
    const values = Float32Array.from(attributeNames, (attribute) => {
      const cell = cells[columns.get(attribute)];
      const value = cell === "" ? NaN : Math.fround(Number(cell));
      if (!Number.isFinite(value)) throw new Error(`Line ${line}: “${cell}” is no number, as “${attribute}” of “${name}”.`);
      return value;
    });
    const seen = attributeNames.includes("seen") ? "0" : (cells[columns.get("seen")] ?? "0");
    if (!["0", "1"].includes(seen)) throw new Error(`Line ${line}: “${seen}” as “seen” of “${name}”; give 1 or 0.`);
    return { name, seen: seen === "1", values };
  });
}

/** The fewest digits that give the same float32 again. */
export function shortest(value) {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return String(short);
  }
  return String(Number(value.toPrecision(9)));
}

function quoted(cell) {
  return /[",\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

/** {line, cells} of each row that is not empty; `line` is where it starts, from 1. */
function cellsOf(text) {
  const rows = [];
  let cells = [];
  let cell = "";
  let inQuotes = false;
  let line = 1;
  let start = 1;
  const endRow = () => {
    cells.push(cell.trim());
    if (cells.length > 1 || cells[0]) rows.push({ line: start, cells });
    cells = [];
    cell = "";
    start = line;
  };
  for (let i = 0; i < text.length; i++) {
    const letter = text[i];
    if (letter === "\n") line++;
    if (inQuotes) {
      if (letter !== '"') cell += letter;
      else if (text[i + 1] === '"') cell += text[i++];
      else inQuotes = false;
    } else if (letter === '"' && !cell.trim()) {
      inQuotes = true;
      cell = "";
    } else if (letter === ",") {
      cells.push(cell.trim());
      cell = "";
    } else if (letter === "\n") endRow();
    else cell += letter;
  }
  if (inQuotes) throw new Error(`Line ${start}: a quotation mark is not closed.`);
  endRow();
  return rows;
}
