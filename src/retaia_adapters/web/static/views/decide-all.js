// One decision on several assets: shown first, then confirmed.

import { get } from "../lib/api.js";
import { decisions, isOpen } from "../lib/decisions.js";
import { h, named } from "../lib/dom.js";
import { note } from "../lib/tell.js";
import { say, t } from "../lib/words.js";

/** @typedef {import("../api.js").Schemas["AssetSummary"]} Asset */
/** @typedef {import("../lib/decisions.js").Action} Action */

const SHOWN = 100;

/** @param {Asset[]} assets @param {Action} action @returns {Promise<boolean>} whether it was confirmed */
export function decideAll(assets, action) {
  const open = assets.filter((asset) => isOpen(asset.state));
  const closed = assets.filter((asset) => !isOpen(asset.state));
  return new Promise((done) => {
    /** @param {Asset} asset */
    const line = (asset) => h("li", null, named(asset.name ?? asset.uuid), " ", h("span", { class: "state", "data-state": asset.state }, say("state", asset.state)));
    const rest = (/** @type {Asset[]} */ list) => list.length > SHOWN && h("li", { class: "soft" }, t("and_more", { n: list.length - SHOWN }));
    const dialog = h(
      "dialog",
      { class: "confirm", "aria-labelledby": "all-title", close: () => (dialog.remove(), done(dialog.returnValue === "yes")) },
      h("h2", { id: "all-title", tabIndex: -1, autofocus: true }, t("all_title", { action: say("action", action), n: open.length })),
      h("ul", { class: "lines", tabIndex: 0, "aria-label": t("all_list") }, open.slice(0, SHOWN).map(line), rest(open)),
      closed.length > 0 && [h("p", null, t("all_closed", { n: closed.length })), h("ul", { class: "lines", tabIndex: 0, "aria-label": t("all_closed", { n: closed.length }) }, closed.slice(0, SHOWN).map(line), rest(closed))],
      h("form", { method: "dialog", class: "acts" },
        h("button", { value: "yes", class: `main ${action.toLowerCase()}`, disabled: !open.length }, t("all_confirm", { action: say("action", action), n: open.length })),
        h("button", { value: "no", class: "quiet" }, t("cancel"))),
    ); // prettier-ignore
    document.body.append(dialog);
    dialog.showModal();
  }).then(async (yes) => {
    if (yes) await decideEach(open, action);
    return Boolean(yes);
  });
}

/** @param {Asset[]} assets @param {Action} action */
async function decideEach(assets, action) {
  for (const asset of assets) {
    const detail = await get(`/assets/${asset.uuid}`).catch(() => null);
    const seen = detail?.decisions?.history?.length ?? -1;
    decisions.decide({ uuid: asset.uuid, name: asset.name ?? asset.uuid, state: detail?.summary.state ?? asset.state, seen }, action);
  }
  note(t("decided_n", { n: assets.length, action: say("action", action) }));
}
