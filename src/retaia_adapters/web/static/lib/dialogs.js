// What is shown over a page, and questions that are answered before something happens.

import { fill, h } from "./dom.js";
import { explain } from "./tell.js";
import { t } from "./words.js";

/** @typedef {import("./dom.js").Child} Child */
/** @typedef {{title: string, kind?: string}} Head `kind`: classes of the dialog */

/** Show something until the person puts it away. @param {Head} head @param {...(Child | Child[])} parts */
export function show(head, ...parts) {
  open(head, parts, [h("button", { class: "quiet" }, t("close"))]);
}

/** Show what is read now. @param {Head} head @param {() => Promise<(Child | Child[])[]>} read */
export async function showRead(head, read) {
  const told = h("div", { "aria-busy": "true" }, t("loading"));
  show(head, told);
  try {
    fill(told, ...(await read()));
  } catch (error) {
    fill(told, h("p", { class: "wrong-text" }, explain(error)));
  }
  told.removeAttribute("aria-busy");
}

/**
 * Ask before something happens; whatever is no yes is a no.
 * @typedef {{yes: string, act?: string, able?: boolean, typed?: string}} Question
 *   `yes`: what the button says, empty where there is nothing to say yes to; `act`: its class; `able`: whether it can
 *   be pressed; `typed`: what is to be typed before
 * @param {Head & Question} question
 * @param {...(Child | Child[])} parts what is to be known before
 * @returns {Promise<boolean>}
 */
export function confirmed({ yes, act = "", able = true, typed = "", ...head }, ...parts) {
  const button = h("button", { value: "yes", class: `main ${act}`, disabled: !able || Boolean(typed) }, yes);
  const input = h("input", { id: "confirm-word", autocomplete: "off", spellcheck: false, input: () => (button.disabled = input.value.trim() !== typed) });
  const answers = [typed && [h("label", { htmlFor: "confirm-word" }, t("confirm_word", { word: typed })), input], button].flat();
  const dialog = open(head, parts, [...(yes ? answers : []), h("button", { value: "no", class: "quiet" }, t(yes ? "cancel" : "close"))]);
  dialog.classList.add("confirm");
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "yes")));
}

/** @param {Head} head @param {(Child | Child[])[]} parts @param {Child[]} answers */
function open({ title, kind = "" }, parts, answers) {
  const dialog = h(
    "dialog",
    { class: kind, "aria-labelledby": "dialog-title", close: () => dialog.remove() },
    h("h2", { id: "dialog-title", tabIndex: -1, autofocus: true }, title),
    ...parts,
    h("form", { method: "dialog", class: "acts" }, answers),
  );
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
