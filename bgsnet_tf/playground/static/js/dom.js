// Elements, made and kept. Every text goes in as text, so a name can never become markup.

export const byId = (id) => document.getElementById(id);

/** A new element; `on…` properties are listeners, names with a dash attributes, all others properties. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/**
 * Makes the children of `container` those of `items`, in order: children of known keys stay (and keep the focus), the
 * others come and go.
 *
 * @param key function from an item to its key.
 * @param create function from an item to a new element.
 * @param update called with (element, item) for each.
 */
export function keyed(container, items, key, create, update) {
  const old = new Map([...container.children].map((element) => [element.dataset.key, element]));
  const focused = container.contains(document.activeElement) ? document.activeElement : null;
  let place = container.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    const element = old.get(name) ?? create(item);
    element.dataset.key = name;
    old.delete(name);
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else container.insertBefore(element, place);
  }
  for (const element of old.values()) element.remove();
  if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

/** Calls `change`, then lets the children of `container` glide from where they were. */
export function gliding(container, change) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const before = still ? [] : [...container.children].map((element) => [element, element.offsetTop]);
  change();
  for (const [element, top] of before) {
    const moved = top - element.offsetTop;
    if (moved && element.isConnected) {
      element.animate([{ transform: `translateY(${moved}px)` }, { transform: "none" }], { duration: 220, easing: "ease-out" });
    }
  }
}

/** Says it in the line at the foot of the page; a problem stays until the next notice. */
export function notify(text, isProblem = false) {
  const notice = byId("notice");
  notice.textContent = text;
  notice.classList.toggle("problem", isProblem);
  clearTimeout(notify.timer);
  if (!isProblem) notify.timer = setTimeout(() => (notice.textContent = ""), 5000);
}

/** Says it to screen readers alone, once nothing has been said for a moment. */
export function announce(text) {
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => (byId("announcer").textContent = text), 400);
}
