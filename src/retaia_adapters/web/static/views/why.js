// Why something is as it is, and what can be done next: in the server's own sentence.

import { get } from "../lib/api.js";
import { showRead } from "../lib/dialogs.js";
import { fill, h, plain } from "../lib/dom.js";
import { when } from "../lib/format.js";
import { actorName } from "../lib/person.js";
import { explain } from "../lib/tell.js";
import { t } from "../lib/words.js";

/** @param {string} uuid */
export function whyPanel(uuid) {
  return showRead({ title: t("why_title"), kind: "why" }, async () => {
    /** @type {import("../api.js").Schemas["Explanation"]} */
    const why = await get(`/assets/${uuid}/why`);
    return [sentences(why), history(uuid)];
  });
}

/** Everything that happened to it, asked for when it is opened. @param {string} uuid */
function history(uuid) {
  const list = h("ol", { class: "history", lang: "en", reversed: true });
  const more = h("details", { toggle: () => more.open && !list.childElementCount && void read(uuid, list) }, h("summary", null, t("history_all")), list);
  return more;
}

/** @param {string} uuid @param {HTMLElement} list */
async function read(uuid, list) {
  try {
    /** @type {{items: import("../api.js").Schemas["HistoryLine"][]}} */
    const { items } = await get(`/assets/${uuid}/history`, { query: { limit: 200 } });
    fill(list, items.map((line) => h("li", null, h("span", { class: "soft" }, when(line.at)), " ", plain(line.sentence))));
  } catch (error) {
    fill(list, h("li", { class: "wrong-text" }, explain(error)));
  }
}

/** @param {import("../api.js").Schemas["Explanation"]} why */
function sentences(why) {
  const facts = Object.entries(why.evidence).filter(([, value]) => value !== null && value !== "" && String(value) !== "");
  return [
    h("p", { class: "sentence", lang: "en" }, plain(why.sentence)),
    h("p", { class: "soft" }, why.by && t("why_by", { by: plain(actorName(why.by)) }), " ", why.since && when(why.since)),
    why.next.length > 0 && h("h3", null, t("why_next")),
    h("ul", { lang: "en" }, why.next.map((step) => h("li", null, plain(step)))),
    facts.length > 0 && h("details", null, h("summary", null, t("why_evidence")),
      h("dl", { class: "facts", lang: "en" }, facts.map(([name, value]) => [h("dt", null, plain(name)), h("dd", null, plain(typeof value === "object" ? JSON.stringify(value) : String(value)))]).flat())),
  ]; // prettier-ignore
}
