// What was rejected, as a list to delete from: what would go, how much, since when, and on which proof.
// One typed word confirms several, and each is its own purge with its own outcome and certificate.

import { freshKey, get, post } from "../lib/api.js";
import { fill, h, named, plain } from "../lib/dom.js";
import { bytes, number, when } from "../lib/format.js";
import { announce, blank, explain, note } from "../lib/tell.js";
import { t } from "../lib/words.js";
import { pathOf, table } from "./plan.js";
import { certificate, purgeConfirmed } from "./purge.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {Schemas["PurgePreview"]} Preview */
/** @typedef {"" | "going" | "gone" | "failed"} Stage */
/** @typedef {{uuid: string, preview: Preview | null, said: string, stage: Stage, freed: number}} Row */

const PAGE = 50;
const AT_ONCE = 4;

class PurgeList extends HTMLElement {
  /** @type {Row[]} */
  #rows = [];
  /** @type {Set<string>} */
  #chosen = new Set();
  /** @type {string | undefined} */
  #next;
  #busy = false;
  #only = (new URLSearchParams(location.search).get("only") ?? "").split(",").filter(Boolean);

  connectedCallback() {
    fill(this, h("h1", null, t("purge_list")), h("p", { class: "soft", role: "status" }, t("loading")));
    void this.#begin();
  }

  async #begin() {
    try {
      await this.#more();
      // Who came with a choice has made it; else nothing is chosen.
      if (this.#only.length) this.#rows.forEach((row) => this.#choose(row, true));
      this.#show();
    } catch (error) {
      fill(this, h("h1", null, t("purge_list")), blank(t("error_title"), explain(error), h("button", { click: () => void this.#begin() }, t("try_again"))));
    }
  }

  async #more() {
    const first = this.#rows.length;
    if (this.#only.length) this.#rows = this.#only.map(rowOf);
    else {
      const page = await get("/assets", { query: { state: ["REJECTED"], sort: "updated_at", limit: PAGE, cursor: this.#next } });
      this.#next = page.next_cursor;
      this.#rows.push(...page.items.map((/** @type {Schemas["AssetSummary"]} */ asset) => rowOf(asset.uuid)));
    }
    const queue = this.#rows.slice(first);
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      for (let row = queue.shift(); row && this.isConnected; row = queue.shift()) await look(row);
    })); // prettier-ignore
    announce(t("purge_listed", { n: this.#rows.length }));
  }

  /** @param {Row} row @param {boolean} yes */
  #choose(row, yes) {
    if (yes && row.preview?.eligible && !row.stage) this.#chosen.add(row.uuid);
    else this.#chosen.delete(row.uuid);
  }

  get #meant() {
    return this.#rows.filter((row) => this.#chosen.has(row.uuid));
  }

  #show() {
    if (!this.isConnected) return;
    if (!this.#rows.length)
      return fill(this, h("h1", null, t("purge_list")), blank(t("purge_none"), t("purge_none_help"), h("a", { class: "button", href: "/" }, t("nav_library"))));
    const focused = this.contains(document.activeElement) ? document.activeElement?.id : "";
    const heads = [t("purge_choose"), t("file"), t("purge_since"), t("files"), t("plan_size"), t("purge_copy"), t("outcome")];
    const open = this.#rows.filter((row) => row.preview?.eligible && !row.stage);
    const all = h("input", { type: "checkbox", id: "purge-all", disabled: this.#busy || !open.length, checked: open.length > 0 && open.every(({ uuid }) => this.#chosen.has(uuid)),
      change: () => (open.forEach((row) => this.#choose(row, all.checked)), this.#show()) }); // prettier-ignore
    fill(
      this,
      h("h1", null, t("purge_list")),
      h("p", null, t("purge_list_help")),
      this.#sum(),
      h("p", null, h("label", { class: "view" }, all, " ", t("purge_choose_all"))),
      table(heads, this.#rows.map((row) => this.#row(row)), "purges"),
      this.#next && h("p", null, h("button", { disabled: this.#busy, click: (/** @type {Event} */ e) => void this.#another(e) }, t("purge_more"))),
    );
    if (focused) document.getElementById(focused)?.focus();
  }

  /** @param {Event} event */
  async #another(event) {
    const button = /** @type {HTMLButtonElement} */ (event.target);
    button.disabled = true;
    try {
      await this.#more();
    } catch (error) {
      note(explain(error), { wrong: true });
    }
    this.#show();
  }

  #sum() {
    const meant = this.#meant;
    const files = meant.reduce((sum, { preview }) => sum + (preview?.files.length ?? 0), 0);
    const size = meant.reduce((sum, { preview }) => sum + (preview?.bytes_freed ?? 0), 0);
    const figure = (/** @type {string} */ value, /** @type {string} */ label) => h("div", { class: "figure" }, h("strong", null, value), h("span", null, label));
    return [
      h("div", { class: "figures" }, figure(number(meant.length), t("purge_assets")), figure(number(files), t("plan_files")), figure(bytes(size), t("plan_size"))),
      h("div", { class: "acts" }, h("button", { id: "purge-do", class: "main reject", disabled: this.#busy || !meant.length, click: () => void this.#purge() }, t("purge_do", { n: meant.length }))),
    ];
  }

  /** @param {Row} row */
  #row(row) {
    const { uuid, preview, said } = row;
    const name = preview ? (preview.path.split("/").at(-1) ?? uuid) : uuid;
    const box = h("input", { type: "checkbox", id: `purge-${uuid}`, "aria-label": plain(name), checked: this.#chosen.has(uuid), disabled: this.#busy || !preview?.eligible || Boolean(row.stage),
      change: () => (this.#choose(row, box.checked), this.#show()) }); // prettier-ignore
    return h("tr", { "data-uuid": uuid, "data-stage": row.stage },
      h("td", null, box),
      h("td", null, h("a", { href: `/review/${uuid}?in=rejected` }, preview ? pathOf(preview.path) : uuid)),
      h("td", null, preview?.rejected_at ? when(preview.rejected_at) : "–"),
      h("td", { class: "number" }, preview ? number(preview.files.length) : "–"),
      h("td", { class: "number" }, preview ? bytes(preview.bytes_freed) : "–"),
      h("td", null, preview ? copyOf(preview) : "–"),
      h("td", null, this.#outcome(row), said && h("span", { class: "wrong-text", lang: "en" }, plain(said)))); // prettier-ignore
  }

  /** @param {Row} row */
  #outcome({ uuid, preview, stage, freed }) {
    if (stage === "going") return t("purge_going");
    if (stage === "gone") return [t("purge_gone", { size: bytes(freed) }), " ", h("button", { class: "small", click: () => void certificate(uuid) }, t("certificate"))];
    if (!preview || preview.eligible) return null;
    return preview.blocked.map((one) => h("div", { class: "wrong-text", lang: "en" }, one.path && one.path !== preview.path && [named(one.path), ": "], plain(one.message)));
  }

  async #purge() {
    const meant = this.#meant;
    const previews = meant.flatMap(({ preview }) => preview ?? []);
    const files = previews.flatMap((preview) => preview.files);
    const size = previews.reduce((sum, { bytes_freed }) => sum + bytes_freed, 0);
    const warnings = [...new Set(previews.flatMap((preview) => preview.warnings))];
    if (!(await purgeConfirmed({ title: t("purge_all_title", { n: meant.length }), eligible: true, files, size, warnings }))) return;
    this.#busy = true;
    this.#show();
    for (const row of meant) {
      row.stage = "going";
      this.#show();
      await remove(row);
      this.#chosen.delete(row.uuid);
      this.#show();
    }
    this.#busy = false;
    this.#show();
    const gone = meant.filter((row) => row.stage === "gone");
    const freed = bytes(gone.reduce((sum, row) => sum + row.freed, 0));
    const failed = meant.length - gone.length;
    note(`${t("purged_n", { n: gone.length, size: freed })}${failed ? ` ${t("purge_failed_n", { n: failed })}` : ""}`, { wrong: failed > 0 });
  }
}

/** @param {string} uuid @returns {Row} */
const rowOf = (uuid) => ({ uuid, preview: null, said: "", stage: "", freed: 0 });

/** @param {Row} row */
async function look(row) {
  try {
    row.preview = await post(`/assets/${row.uuid}/purge/preview`);
    row.said = "";
  } catch (error) {
    row.said = explain(error);
  }
}

/** What was read goes with its digest: where anything changed since, nothing is deleted. @param {Row} row */
async function remove(row) {
  try {
    /** @type {Schemas["PurgeResult"]} */
    const done = await post(`/assets/${row.uuid}/purge`, { body: { confirm: true, digest: row.preview?.digest }, key: freshKey() });
    row.stage = "gone";
    row.freed = done.bytes_freed;
  } catch (error) {
    await look(row); // As it is now, for another try.
    row.stage = "";
    row.said = explain(error);
  }
}

/** Whether another copy of what was found, not made from it, was proven. @param {Preview} preview */
function copyOf({ files, proof_required }) {
  const own = files.filter((file) => file.role !== "derived");
  const proven = own.filter((file) => file.proof).length;
  const waived = own.filter((file) => !file.proof && file.waiver).length;
  if (own.length && proven === own.length) return t("copy_proven");
  if (proven + waived === own.length && waived) return t("copy_waived");
  return h("span", { class: proof_required ? "wrong-text" : "soft" }, t(proof_required ? "copy_lacking" : "copy_unknown"));
}

/** Other assets at another address are another page. */
class PurgeFrame extends HTMLElement {
  connectedCallback() {
    this.dataset["follows"] = "";
    this.addEventListener("address", () => fill(this, new PurgeList()));
    fill(this, new PurgeList());
  }
}

customElements.define("r-purge-list", PurgeList);
customElements.define("r-purge", PurgeFrame);
