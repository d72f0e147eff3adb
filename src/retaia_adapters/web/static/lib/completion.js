// A field that completes what is typed: the combobox with a list of ARIA's authoring practices.

import { fill, h, plain } from "./dom.js";
import { t } from "./words.js";

const TYPED_MS = 120;
let boxes = 0;

/**
 * @param {object} how
 * @param {string} how.label
 * @param {(typed: string) => Promise<Array<{value: string, more: string}>>} how.find what begins so
 * @param {(value: string) => void} how.take something was chosen or typed
 * @param {(event: KeyboardEvent) => void} how.press any other key
 */
export function completion({ label, find, take, press }) {
  const id = `completion-${(boxes += 1)}`;
  const list = h("ul", { id, role: "listbox", class: "completion", "aria-label": label, hidden: true });
  const input = h("input", {
    class: "tag-input", role: "combobox", autocomplete: "off", maxLength: 100, placeholder: label, "aria-label": label,
    "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": id, "aria-description": t("completion_help"),
  }); // prettier-ignore
  /** @type {Array<{value: string, more: string}>} */
  let found = [];
  let at = -1;
  let turn = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let soon;

  const close = () => {
    clearTimeout(soon);
    turn += 1;
    found = [];
    show(-1);
  };

  /** @param {number} place */
  function show(place) {
    at = place;
    list.hidden = !found.length;
    input.setAttribute("aria-expanded", String(found.length > 0));
    const option = (/** @type {{value: string, more: string}} */ one, /** @type {number} */ n) =>
      h("li", { role: "option", id: `${id}-${n}`, "aria-selected": String(n === at), pointerdown: (/** @type {Event} */ event) => (event.preventDefault(), choose(one.value)) },
        h("span", null, plain(one.value)), h("span", { class: "soft" }, one.more)); // prettier-ignore
    fill(list, found.map(option));
    if (at < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", `${id}-${at}`);
    list.children[at]?.scrollIntoView({ block: "nearest" });
  }

  /** @param {string} value */
  function choose(value) {
    const given = value.trim();
    input.value = "";
    close();
    if (given) take(given);
  }

  async function complete() {
    const typed = input.value.trim();
    if (!typed) return close();
    const mine = (turn += 1);
    const all = await find(typed).catch(() => []); // Whoever types goes on without completion.
    if (mine !== turn) return;
    found = all;
    show(-1);
  }

  input.addEventListener("input", () => {
    if (input.value.includes(",")) return choose(input.value.replaceAll(",", " "));
    clearTimeout(soon);
    soon = setTimeout(() => void complete(), TYPED_MS);
  });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (by && found.length) show(at < 0 && by < 0 ? found.length - 1 : (at + by + found.length) % found.length);
    else if (event.key === "Enter") choose(found[at]?.value ?? input.value);
    else if (event.key === "Escape" && found.length) close();
    else return press(event);
    event.preventDefault();
    event.stopPropagation();
  });
  return { input, box: h("div", { class: "completing" }, input, list) };
}
