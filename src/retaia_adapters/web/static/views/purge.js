// Deleting what was rejected: shown file by file, confirmed by a typed word, and certified afterwards.

import { freshKey, get, post } from "../lib/api.js";
import { fill, h, named, plain } from "../lib/dom.js";
import { bytes, when } from "../lib/format.js";
import { actorName } from "../lib/person.js";
import { explain, note, wrong } from "../lib/tell.js";
import { say, t } from "../lib/words.js";
import { pathOf, table } from "./plan.js";

/** @typedef {import("../api.js").Schemas} Schemas */

export const WORD = "PURGE";

/** Show what would be deleted; whether it was. @param {string} uuid @param {string} name @returns {Promise<boolean>} */
export async function purge(uuid, name) {
  try {
    /** @type {Schemas["PurgePreview"]} */
    const preview = await post(`/assets/${uuid}/purge/preview`);
    if (!(await confirmed(preview, name))) return false;
    /** @type {Schemas["PurgeResult"]} */
    const done = await post(`/assets/${uuid}/purge`, { body: { confirm: true, digest: preview.digest }, key: freshKey() });
    note(t("purged", { name: plain(name), size: bytes(done.bytes_freed) }));
    await certificate(uuid);
    return true;
  } catch (error) {
    wrong(error);
    return false;
  }
}

/** @param {Schemas["PurgePreview"]} preview @param {string} name @returns {Promise<boolean>} */
function confirmed(preview, name) {
  const { blocked, bytes_freed, eligible, files, warnings } = preview;
  return new Promise((done) => {
    const yes = h("button", { value: "yes", class: "main reject", disabled: true }, t("purge_yes", { n: files.length }));
    const word = h("input", { id: "purge-word", autocomplete: "off", spellcheck: false, input: () => (yes.disabled = word.value.trim() !== WORD) });
    const row = (/** @type {Schemas["PurgeFile"]} */ file) =>
      h("tr", null, h("td", null, say("role", file.role)), h("td", null, pathOf(file.path)), h("td", { class: "number" }, bytes(file.size_bytes)));
    const why = (/** @type {Schemas["PurgePreview"]["blocked"][number]} */ one) =>
      h("li", null, one.path && [named(one.path), ": "], h("span", { lang: "en" }, plain(one.message)));
    const dialog = h(
      "dialog",
      { class: "confirm wide", "aria-labelledby": "purge-title", close: () => (dialog.remove(), done(dialog.returnValue === "yes")) },
      h("h2", { id: "purge-title", tabIndex: -1, autofocus: true }, t("purge_title", { name: plain(name) })),
      blocked.length > 0 && [h("p", { class: "wrong-text" }, t("purge_blocked")), h("ul", null, blocked.map(why))],
      warnings.map((warning) => h("p", { class: "soft", lang: "en" }, plain(warning))),
      h("p", null, t("purge_text", { size: bytes(bytes_freed) })),
      table([t("role"), t("path"), t("plan_size")], files.map(row), "purge"),
      h("form", { method: "dialog", class: "acts" },
        eligible && [h("label", { htmlFor: "purge-word" }, t("purge_type", { word: WORD })), word, yes],
        h("button", { value: "no", class: "quiet", formNoValidate: true }, t(eligible ? "cancel" : "close"))),
    ); // prettier-ignore
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** What is kept of a purged asset. @param {string} uuid */
export async function certificate(uuid) {
  const told = h("div", { "aria-busy": "true" }, t("loading"));
  const dialog = h(
    "dialog",
    { class: "wide", "aria-labelledby": "certificate-title", close: () => dialog.remove() },
    h("h2", { id: "certificate-title" }, t("certificate")),
    told,
    h("form", { method: "dialog" }, h("button", { class: "quiet" }, t("close"))),
  );
  document.body.append(dialog);
  dialog.showModal();
  try {
    fill(told, lines(await get(`/assets/${uuid}/purge/certificate`)));
  } catch (error) {
    fill(told, h("p", { class: "wrong-text" }, explain(error)));
  }
  told.removeAttribute("aria-busy");
}

/** @param {Schemas["PurgeCertificate"]} given */
function lines({ path, purged_at, purged_by, found_at, files, bytes_freed }) {
  const row = (/** @type {Schemas["PurgeCertificate"]["files"][number]} */ file) =>
    h("tr", null, h("td", null, say("role", file.role)), h("td", null, pathOf(file.path), file.digest && h("div", { class: "soft digest" }, file.digest)), h("td", { class: "number" }, bytes(file.size_bytes)), h("td", null, when(file.removed_at)));
  return [
    h("dl", { class: "facts" },
      h("dt", null, t("path")), h("dd", null, named(path)),
      h("dt", null, t("found")), h("dd", null, when(found_at)),
      h("dt", null, t("state_PURGED")), h("dd", null, when(purged_at), ", ", plain(actorName(purged_by))),
      h("dt", null, t("freed")), h("dd", null, bytes(bytes_freed))),
    table([t("role"), t("path"), t("plan_size"), t("removed")], files.map(row), "certificate"),
  ]; // prettier-ignore
}
