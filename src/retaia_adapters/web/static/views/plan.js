// A plan of moves, readable: what goes where, under which name, what stays and why.

import { h, named, plain } from "../lib/dom.js";
import { bytes, number } from "../lib/format.js";
import { say, t } from "../lib/words.js";

/** @typedef {import("../api.js").Schemas} Schemas */

const SHOWN = 500;

/** @param {Schemas["MovePreview"]} plan @param {{undo?: boolean}} [how] */
export function summaryOf({ summary }, { undo = false } = {}) {
  /** @param {string | number} value @param {string} label @param {string} [kind] */
  const figure = (value, label, kind) => h("div", { class: `figure ${kind ?? ""}` }, h("strong", null, typeof value === "number" ? number(value) : value), h("span", null, label));
  return h(
    "div",
    { class: "figures" },
    figure(summary.keep, t(undo ? "undo_keep" : "plan_keep"), "keep"),
    figure(summary.reject, t(undo ? "undo_reject" : "plan_reject"), "reject"),
    figure(summary.files, t("plan_files")),
    figure(bytes(summary.size_bytes), t("plan_size")),
    summary.collisions > 0 && figure(summary.collisions, t("plan_renamed"), "renamed"),
    summary.blocked > 0 && figure(summary.blocked, t("plan_blocked"), "blocked"),
  );
}

/** @param {Schemas["MovePreview"]} plan */
export function planOf({ eligible, blocked }) {
  return [
    blockedOf(blocked),
    eligible.length > 0 && [h("h2", null, t("plan_moves_title", { n: eligible.length })), ...firstOf([t("decision"), t("plan_from"), t("plan_to"), t("plan_size")], eligible, rows, "moves")],
  ].flat(); // prettier-ignore
}

/** What cannot be done, where there is any. @param {Schemas["BlockedMove"][]} blocked */
export function blockedOf(blocked) {
  return blocked.length > 0 && [h("h2", null, t("plan_blocked_title", { n: blocked.length })), ...firstOf([t("file"), t("plan_why")], blocked, blockedRow, "blocked")];
}

/**
 * The first of these as a table, and how many more there are.
 * @template Item
 * @param {string[]} heads @param {Item[]} items @param {(item: Item) => HTMLElement | HTMLElement[]} row @param {string} kind
 */
export function firstOf(heads, items, row, kind) {
  const more = items.length > SHOWN && h("p", { class: "soft" }, t("and_more", { n: items.length - SHOWN }));
  return [table(heads, items.slice(0, SHOWN).flatMap(row), kind), more];
}

/** @param {string[]} heads @param {HTMLElement[]} body @param {string} kind */
export function table(heads, body, kind) {
  const head = h("thead", null, h("tr", null, heads.map((text) => h("th", { scope: "col" }, text))));
  return h("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": heads.join(", ") }, h("table", { class: `plan ${kind}` }, head, h("tbody", null, body)));
}

/** @param {Schemas["BlockedMove"]} blocked */
function blockedRow({ asset_uuid, path, message }) {
  return h("tr", null, h("td", null, h("a", { href: `/review/${asset_uuid}?in=all` }, named(path))), h("td", { lang: "en" }, plain(message)));
}

/** @param {Schemas["PlannedMove"]} move */
function rows(move) {
  return move.files.map((file, at) =>
    h(
      "tr",
      { class: at ? "sidecar" : "main-file" },
      h("td", null, at ? h("span", { class: "soft" }, t("sidecar")) : h("span", { class: "state", "data-state": `DECIDED_${move.verdict}` }, say("verdict", move.verdict))),
      h("td", null, pathOf(file.from)),
      h("td", null, pathOf(file.to), move.nonce && h("span", { class: "badge", title: move.collides_with.map(plain).join(", ") }, t("renamed")),
        at === 0 && move.warnings.map((warning) => h("div", { class: "soft", lang: "en" }, plain(warning)))),
      h("td", { class: "number" }, bytes(file.size_bytes)),
    ),
  ); // prettier-ignore
}

/** The folder softer than the name. @param {string} path */
export function pathOf(path) {
  const at = path.lastIndexOf("/") + 1;
  return h("span", { class: "path" }, h("span", { class: "soft" }, named(path.slice(0, at))), named(path.slice(at), { class: "name" }));
}
