// What the person is told: said aloud by a screen reader, and shown for a while.

import { h } from "./dom.js";
import { Refusal, Unreachable } from "./api.js";
import { isWord, t } from "./words.js";

const SHOWN_MS = 6000;
const aloud = h("div", { class: "aloud", role: "status", "aria-live": "polite" });
const shelf = h("section", { class: "notes", "aria-label": t("notes") });

export function setUp() {
  document.body.append(aloud, shelf);
}

/** Say something to who cannot see it change. @param {string} text */
export function announce(text) {
  aloud.textContent = text;
}

/**
 * Say and show something; what needs an answer stays until it is put away.
 * @param {string} text
 * @param {{wrong?: boolean, act?: {label: string, run: () => void}}} [how]
 */
export function note(text, { wrong = false, act } = {}) {
  const put = () => card.remove();
  const card = h(
    "div",
    { class: wrong ? "note wrong" : "note", role: wrong ? "alert" : null },
    h("span", null, text),
    act && h("button", { class: "quiet small", click: () => (put(), act.run()) }, act.label),
    h("button", { class: "quiet small", click: put, "aria-label": t("dismiss") }, "×"),
  );
  shelf.append(card);
  while (shelf.children.length > 4) shelf.firstElementChild?.remove();
  if (!wrong) {
    announce(text);
    setTimeout(put, SHOWN_MS);
  }
}

/** What went wrong, in the person's language as far as it has a word for it. @param {unknown} error */
export function explain(error) {
  if (error instanceof Unreachable) return t("error_unreachable");
  if (error instanceof Refusal) {
    const word = `error_${error.code}`;
    return isWord(word) ? t(word, { seconds: error.after, message: error.message }) : error.message;
  }
  console.error(error);
  return t("error_own");
}

/** @param {unknown} error @param {() => void} [again] */
export function wrong(error, again) {
  note(explain(error), { wrong: true, ...(again ? { act: { label: t("try_again"), run: again } } : {}) });
}

/** A state of a view where there is nothing, or nothing that could be shown. @param {string} title @param {string} text @param {...Node} acts */
export function blank(title, text, ...acts) {
  return h("div", { class: "blank" }, h("h2", null, title), h("p", null, text), h("p", { class: "acts" }, ...acts));
}
