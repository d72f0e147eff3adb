// Keys, and what they do here and now: one list that is obeyed and shown.

import { show } from "./dialogs.js";
import { h, isTyping } from "./dom.js";
import { t } from "./words.js";

/**
 * @typedef {object} Shortcut
 * @property {string} keys as `press` writes them; several by spaces
 * @property {import("./words.js").Word} does
 * @property {(event: KeyboardEvent) => unknown} act false: the key was not meant for this
 */

/** @type {Array<{title: import("./words.js").Word, shortcuts: Shortcut[]}>} */
const layers = [];

/** A key press by name: `ctrl+z`, `shift+ArrowLeft`, `p`, `?`. @param {KeyboardEvent} event */
function press(event) {
  const letter = event.key.length === 1;
  const key = event.key === " " ? "Space" : letter ? event.key.toLowerCase() : event.key;
  const shift = event.shiftKey && (!letter || /[a-z]/.test(key)) ? "shift+" : "";
  return (event.ctrlKey || event.metaKey ? "ctrl+" : event.altKey ? "alt+" : "") + shift + key;
}

/**
 * Obey these until the function that is returned is called.
 * @param {import("./words.js").Word} title
 * @param {Shortcut[]} shortcuts
 */
export function shortcuts(title, shortcuts) {
  const layer = { title, shortcuts };
  layers.push(layer);
  return () => void layers.splice(layers.indexOf(layer), 1);
}

/** @param {KeyboardEvent} event */
function obey(event) {
  if (event.defaultPrevented || isTyping(event) || event.isComposing) return;
  if (document.querySelector("dialog[open]")) return;
  const pressed = press(event);
  // A control that has the focus keeps the keys that work it.
  const on = /** @type {Element} */ (event.target);
  if ((pressed === "Enter" || pressed === "Space") && on.matches("button, a, summary, input")) return;
  if (pressed.startsWith("Arrow") && on.matches("input")) return;
  for (const { shortcuts } of [...layers].reverse())
    for (const shortcut of shortcuts)
      if (shortcut.keys.split(" ").includes(pressed) && shortcut.act(event) !== false) {
        event.preventDefault();
        return;
      }
}

const SHOWN = new Map([
  ["ArrowLeft", "←"], ["ArrowRight", "→"], ["ArrowUp", "↑"], ["ArrowDown", "↓"],
  ["Escape", "Esc"], ["alt", "Alt"], ["ctrl", navigator.platform.startsWith("Mac") ? "⌘" : "Ctrl"], ["shift", "⇧"],
]); // prettier-ignore

/** @param {string} pressed */
export function keycap(pressed) {
  const parts = pressed === "+" ? ["+"] : pressed.split("+");
  const text = parts.map((part) => SHOWN.get(part) ?? (part === "Space" ? t("key_space") : part.length === 1 ? part.toUpperCase() : part));
  return h("kbd", null, text.join(" "));
}

/** Show every key that does something here. */
export function showKeys() {
  show({ title: t("keys_title"), kind: "keys" }, h("div", { class: "keys-groups" }, [...layers].reverse().map(group)));
}

/** @param {typeof layers[number]} layer */
function group({ title, shortcuts }) {
  const rows = shortcuts.map(({ keys, does }) =>
    h("div", null, h("dt", null, keys.split(" ").map(keycap)), h("dd", null, t(does))),
  );
  return h("section", null, h("h3", null, t(title)), h("dl", null, rows));
}

document.addEventListener("keydown", obey);
