// All that is asked of the server: the model's description, the examples, and a photo's attributes and maps.

/** The model: classNames, seen, attributeNames, classAttributes (C·A), attributeOrigin (A), delta, branches, view, exifRotation, examples, maxBytes, noMaps. */
export async function loadModel() {
  const [description, values] = await Promise.all([ask("/model"), ask("/class-attributes")]);
  const model = await description.json();
  const attributeOrigin = new Float32Array(model.attributeOrigin);
  return { ...model, attributeOrigin, classAttributes: new Float32Array(await values.arrayBuffer()) };
}

export async function loadExample(index) {
  return (await ask(`/examples/${index}`)).blob();
}

/**
 * What the model says of a JPEG or PNG file: branch name to attributes (A,), and to maps (h, w, A) and constants (A,).
 *
 * @throws {Error} whose message says why the photo is refused.
 */
export async function see(file) {
  const headers = { "Content-Type": "application/octet-stream" };
  const answer = await (await ask("/photo", { method: "POST", headers, body: file })).json();
  const unpacked = (packed) => Object.fromEntries(Object.entries(packed).map(([branch, text]) => [branch, floats(text)]));
  return {
    attributes: unpacked(answer.attributes),
    maps: unpacked(answer.maps),
    constants: unpacked(answer.constants),
    mapShape: answer.mapShape,
  };
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. Is the command still running?");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Error(problem.error ?? `The server answered with status ${response.status}.`);
}

function floats(base64) {
  return new Float32Array(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)).buffer);
}
