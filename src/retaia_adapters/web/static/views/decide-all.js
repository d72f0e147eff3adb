// One decision on several assets: shown first, then confirmed.

import { get } from "../lib/api.js";
import { decisions, isOpen } from "../lib/decisions.js";
import { confirmed } from "../lib/dialogs.js";
import { h, named } from "../lib/dom.js";
import { note } from "../lib/tell.js";
import { say, t } from "../lib/words.js";

/** @typedef {import("../api.js").Schemas["AssetSummary"]} Asset */
/** @typedef {import("../lib/decisions.js").Action} Action */

const SHOWN = 100;

/** @param {Asset[]} assets @param {Action} action @returns {Promise<boolean>} whether it was confirmed */
export async function decideAll(assets, action) {
  const open = assets.filter((asset) => isOpen(asset.state));
  const closed = assets.filter((asset) => !isOpen(asset.state));
  const given = { action: say("action", action), n: open.length };
  const yes = await confirmed(
    { title: t("all_title", given), yes: t("all_confirm", given), act: action.toLowerCase(), able: open.length > 0 },
    lines(open, t("all_list")),
    closed.length > 0 && [h("p", null, t("all_closed", { n: closed.length })), lines(closed, t("all_closed", { n: closed.length }))],
  );
  if (yes) await decideEach(open, action);
  return yes;
}

/** @param {Asset[]} assets @param {string} label */
function lines(assets, label) {
  const line = (/** @type {Asset} */ asset) =>
    h("li", null, named(asset.name ?? asset.uuid), " ", h("span", { class: "state", "data-state": asset.state }, say("state", asset.state)));
  const more = assets.length > SHOWN && h("li", { class: "soft" }, t("and_more", { n: assets.length - SHOWN }));
  return h("ul", { class: "lines", tabIndex: 0, "aria-label": label }, assets.slice(0, SHOWN).map(line), more);
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
