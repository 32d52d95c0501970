// The photos: how they come in, the one on the stage, and the contact sheet of all.
import { announce, byId, h, keyed, notify } from "../dom.js";
import { count, number, words } from "../names.js";
import { loadExample, see } from "../server.js";

const AT_ONCE = 2; // photos under way to the server
const SMALL = 160; // pixels: a photo below this is shown with its own sharp pixels

export function createPhotos(store) {
  const { model } = store.state;
  const waiting = [];
  let underWay = 0;
  let made = 0;

  function add(files) {
    const photos = files.map((file) => {
      return { id: `photo-${++made}`, name: file.name || "pasted photo", file, url: URL.createObjectURL(file), seen: null, problem: "" };
    });
    if (!photos.length) return;
    waiting.push(...photos);
    store.update({ photos: [...store.state.photos, ...photos], current: photos[0].id, shown: null });
    byId("stage").scrollIntoView({ block: "nearest" });
    work();
  }

  function work() {
    while (underWay < AT_ONCE && waiting.length) {
      underWay++;
      const photo = waiting.shift();
      ask(photo).then(() => {
        underWay--;
        store.update({});
        work();
      });
    }
  }

  async function ask(photo) {
    try {
      if (photo.file.size > model.maxBytes) {
        throw new Error(`has ${Math.ceil(photo.file.size / 2 ** 20)} MB; up to ${Math.floor(model.maxBytes / 2 ** 20)} MB are taken.`);
      }
      photo.seen = await see(photo.file);
    } catch (problem) {
      photo.problem = problem.message;
    }
  }

  function remove(photo) {
    URL.revokeObjectURL(photo.url);
    if (waiting.includes(photo)) waiting.splice(waiting.indexOf(photo), 1);
    const index = store.state.photos.indexOf(photo);
    const photos = store.state.photos.filter((one) => one !== photo);
    const next = photos[Math.min(index, photos.length - 1)]?.id ?? null;
    store.update({ photos, current: store.state.current === photo.id ? next : store.state.current });
    (byId("sheet").hidden ? byId("choose") : byId("sheet").querySelector("button"))?.focus();
  }

  byId("choose").addEventListener("click", () => byId("files").click());
  byId("files").addEventListener("change", (event) => {
    add([...event.target.files]);
    event.target.value = ""; // so that the same file can be chosen again
  });
  addExamples(model.examples, add);

  let announced = "";
  return {
    add,
    render(view) {
      drawStage(view);
      byId("sheet").hidden = view.photos.length < 2 && !view.photos.some((one) => one.problem);
      keyed(
        byId("sheet"),
        view.photos,
        (one) => one.id,
        (one) => createTile(one, store, remove),
        (element, one) => updateTile(element, one, view),
      );
      const said = sayOf(view);
      if (said !== announced) announce((announced = said));
    },
  };
}

function drawStage({ photo }) {
  const stage = byId("stage");
  const image = byId("photo");
  stage.dataset.state = !photo ? "empty" : photo.problem ? "refused" : photo.seen ? "photo" : "busy";
  stage.setAttribute("aria-busy", String(stage.dataset.state === "busy"));
  byId("refusal").textContent = photo?.problem ? refusal(photo) : "";
  if (!photo || photo.problem) {
    image.removeAttribute("src");
    image.alt = "";
  } else if (image.src !== photo.url) {
    image.src = photo.url;
    image.alt = photo.name;
    image.onload = () => image.classList.toggle("tiny", Math.max(image.naturalWidth, image.naturalHeight) <= SMALL);
  }
}

/** A sentence; most problems are said as what the photo is, such as “is neither a JPEG nor a PNG file”. */
const refusal = ({ name, problem }) => (/^[a-z]/.test(problem) ? `${name} ${problem}` : `${name}: ${problem}`);

function sayOf({ photo, photos, ranking }) {
  const underWay = photos.filter((one) => !one.seen && !one.problem).length;
  if (underWay) return `Looking at ${count(underWay, "photo")}`;
  if (!ranking) return "";
  const best = ranking.slice(0, 3).map(({ of, score }) => `${words(of.name)} ${number(score)}`);
  return `${photo.name}: first ${best.join(", then ")}`;
}

function createTile(photo, store, remove) {
  const button = h("button", { type: "button", className: "tile", onclick: () => show(store, photo) });
  button.append(h("img", { src: photo.url, alt: "" }), h("span", { className: "label" }));
  const close = h("button", { type: "button", className: "close", title: "Remove", onclick: () => remove(photo) }, "×");
  close.setAttribute("aria-label", `Remove ${photo.name}`);
  return h("li", {}, button, close);
}

function show(store, photo) {
  store.update({ current: photo.id, shown: null });
  byId("stage").scrollIntoView({ block: "nearest" });
}

function updateTile(element, photo, view) {
  const [button] = element.children;
  const best = view.bestOf(photo)?.of;
  const said = photo.problem ? "refused" : best ? words(best.name) : "…";
  button.lastElementChild.textContent = said;
  button.lastElementChild.classList.toggle("mine", Boolean(best?.mine));
  button.title = photo.problem ? refusal(photo) : `${photo.name}: ${said}`;
  button.setAttribute("aria-label", button.title);
  button.setAttribute("aria-pressed", String(photo.id === view.current));
  element.classList.toggle("bad", Boolean(photo.problem));
}

function addExamples(names, add) {
  byId("examples").hidden = !names.length;
  const tiles = names.map((name, i) => {
    const take = () =>
      loadExample(i).then(
        (blob) => add([new File([blob], name)]),
        (problem) => notify(problem.message, true),
      );
    const button = h("button", { type: "button", className: "tile", title: words(name), onclick: take });
    button.setAttribute("aria-label", `Example: ${words(name)}`);
    button.append(h("img", { src: `/examples/${i}`, alt: "", loading: "lazy" }));
    return h("li", {}, button);
  });
  byId("examples")
    .querySelector("ul")
    .replaceChildren(...tiles);
}
