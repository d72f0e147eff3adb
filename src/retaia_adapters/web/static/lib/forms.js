// Forms that say themselves what went wrong, and questions that are answered before something happens.

import { fill, h } from "./dom.js";
import { explain } from "./tell.js";
import { t } from "./words.js";

/** @typedef {import("./words.js").Word} Word */

/** @param {string} id @param {Word} label @param {import("./dom.js").Props} props */
export function field(id, label, props) {
  const input = h("input", { id, ...props });
  return { input, parts: [h("label", { htmlFor: id }, t(label)), input] };
}

export const codeField = () =>
  field("code", "second_code", { autocomplete: "one-time-code", inputMode: "numeric", pattern: "[0-9]{6}", maxLength: 6, required: true });

/** @param {HTMLElement[]} parts @param {Word} label @param {() => Promise<void>} act */
export function form(parts, label, act) {
  const said = h("p", { class: "wrong-text", role: "alert" });
  const button = h("button", null, t(label));
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    button.disabled = true;
    fill(said);
    try {
      await act();
    } catch (error) {
      fill(said, explain(error));
    } finally {
      button.disabled = false;
    }
  };
  return h("form", { class: "account-form", submit }, parts, said, button);
}

/** @param {{title: string, text: string, yes: string}} question @returns {Promise<boolean>} */
export function confirmed({ title, text, yes }) {
  return new Promise((done) => {
    const dialog = h(
      "dialog",
      { class: "confirm", "aria-labelledby": "confirm-title", close: () => (dialog.remove(), done(dialog.returnValue === "yes")) },
      h("h2", { id: "confirm-title", tabIndex: -1, autofocus: true }, title),
      h("p", null, text),
      h("form", { method: "dialog", class: "acts" }, h("button", { value: "yes", class: "main" }, yes), h("button", { value: "no", class: "quiet" }, t("cancel"))),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}
