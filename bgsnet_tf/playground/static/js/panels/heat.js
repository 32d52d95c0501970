// The heat map over the photo: of the attribute that is looked at, or of what one class has over another.
import { byId } from "../dom.js";
import { number, split } from "../names.js";
import { attributeMap, differenceMap } from "../scores.js";

const FOR = [240, 96, 16];
const AGAINST = [28, 100, 242];
const STRONGEST = 0.85; // opacity of the largest value

export function createHeat(store) {
  const { model } = store.state;
  const frames = [...document.querySelectorAll(".frame")]; // on the stage, and on narrow screens beside the attributes
  byId("opacity").addEventListener("input", (event) => store.update({ opacity: Number(event.target.value) }));
  byId("photo").addEventListener("load", () => frames.forEach((frame) => placeView(frame, model.view)));

  return {
    render(view) {
      const map = view.photo?.seen ? mapOf(view, model) : null;
      byId("heat").hidden = !map;
      byId("caption").replaceChildren(...(map ? map.caption : [view.photo?.seen ? model.noMaps : ""]));
      for (const frame of frames) {
        const [image, place] = frame.children;
        if (image.id !== "photo" && view.photo && image.src !== view.photo.url) image.src = view.photo.url;
        image.className = byId("photo").className;
        place.hidden = !map;
        place.style.opacity = view.opacity;
        if (map) draw(place.firstElementChild, map.values, view.photo.seen.mapShape);
      }
    },
  };
}

/** {values (h·w,), caption} of what is to be shown; null where there is nothing. */
function mapOf({ photo, branch, shown, pair }, { attributeNames }) {
  const maps = photo.seen.maps[branch];
  if (!maps) return null;
  if (shown !== null) {
    const values = attributeMap(maps, shown, attributeNames.length);
    const [group, value] = split(attributeNames[shown]);
    const sum = values.reduce((a, b) => a + b, 0);
    const constant = photo.seen.constants[branch][shown];
    const name = group ? `${group}: ${value}` : value;
    const scale = Math.max(Math.abs(sum), Math.abs(constant));
    const [inMap, outside, whole] = [sum, Math.abs(constant), sum + constant].map((term) => number(term, { scale }));
    const terms = ` was seen: ${inMap} in the map ${constant < 0 ? "−" : "+"} ${outside} constant = ${whole}.`;
    return { values, caption: ["Where ", strong(name), terms] };
  }
  if (!pair) return null;
  const [first, second] = pair.map((entry) => entry.of);
  const caption = ["What speaks for the ", strong("first class", "first"), ", and what for the ", strong("second", "second"), "."];
  return { values: differenceMap(maps, first, second), caption };
}

function strong(text, className = "") {
  return Object.assign(document.createElement("b"), { textContent: text, className });
}

/** Paints positive values orange and negative ones blue, the stronger the less transparent. */
function draw(canvas, values, [height, width]) {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const pixels = new ImageData(width, height);
  values.forEach((value, i) => {
    const share = largest ? Math.abs(value) / largest : 0;
    pixels.data.set([...(value < 0 ? AGAINST : FOR), 255 * STRONGEST * share], 4 * i);
  });
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  byId("legend-low").textContent = number(-largest);
  byId("legend-high").textContent = number(largest, { sign: true });
}

/** Lays the map over the part of the photo that the network sees: its middle square, less the crop's margin. */
function placeView(frame, { size, resize }) {
  const { naturalWidth: width, naturalHeight: height } = byId("photo");
  const side = (Math.min(width, height) * size) / resize;
  Object.assign(frame.lastElementChild.style, {
    left: `${(50 * (width - side)) / width}%`,
    top: `${(50 * (height - side)) / height}%`,
    width: `${(100 * side) / width}%`,
    height: `${(100 * side) / height}%`,
  });
}
