// Forms that say themselves what went wrong.

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
