// Deleting what was rejected: shown file by file, confirmed by a typed word, and certified afterwards.

import { freshKey, get, post } from "../lib/api.js";
import { confirmed, showRead } from "../lib/dialogs.js";
import { h, named, plain } from "../lib/dom.js";
import { bytes, when } from "../lib/format.js";
import { actorName } from "../lib/person.js";
import { note, wrong } from "../lib/tell.js";
import { say, t } from "../lib/words.js";
import { firstOf, pathOf, table } from "./plan.js";

/** @typedef {import("../api.js").Schemas} Schemas */

/** @typedef {Schemas["PurgeFile"]} File */
/** @typedef {import("../lib/dom.js").Child} Child */

/** Show what would be deleted; whether it was. @param {string} uuid @param {string} name @returns {Promise<boolean>} */
export async function purge(uuid, name) {
  try {
    /** @type {Schemas["PurgePreview"]} */
    const preview = await post(`/assets/${uuid}/purge/preview`);
    const { blocked, bytes_freed: size } = preview;
    const problems = blocked.length > 0 && [h("p", { class: "wrong-text" }, t("purge_blocked")), h("ul", null, blocked.map(why))];
    if (!(await purgeConfirmed({ ...preview, title: t("purge_title", { name: plain(name) }), size }, problems))) return false;
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

/** @param {Schemas["PurgePreview"]["blocked"][number]} one */
const why = (one) => h("li", null, one.path && [named(one.path), ": "], h("span", { lang: "en" }, plain(one.message)));

/**
 * Ask for a typed word, with the files that it deletes.
 * @typedef {{title: string, eligible: boolean, files: File[], size: number, warnings: string[]}} Purge
 * @param {Purge} purge @param {...(Child | Child[])} problems
 */
export function purgeConfirmed({ title, eligible, files, size, warnings }, ...problems) {
  const row = (/** @type {File} */ file) =>
    h("tr", null, h("td", null, say("role", file.role)), h("td", null, pathOf(file.path)), h("td", { class: "number" }, bytes(file.size_bytes)));
  return confirmed(
    { title, kind: "wide", yes: eligible ? t("purge_yes", { n: files.length }) : "", act: "reject", typed: "PURGE" },
    ...problems,
    warnings.map((warning) => h("p", { class: "soft", lang: "en" }, plain(warning))),
    h("p", null, t("purge_text", { size: bytes(size) })),
    ...firstOf([t("role"), t("path"), t("plan_size")], files, row, "purge"),
  );
}

/** What is kept of a purged asset. @param {string} uuid */
export function certificate(uuid) {
  return showRead({ title: t("certificate"), kind: "wide" }, async () => lines(await get(`/assets/${uuid}/purge/certificate`)));
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
