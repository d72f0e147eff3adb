// Sidecars that belong to nothing, and a person's word on them.

import { get, post } from "../lib/api.js";
import { fill, h, named, plain } from "../lib/dom.js";
import { note, wrong } from "../lib/tell.js";
import { say, t } from "../lib/words.js";
import { AdminPage } from "./admin.js";
import { table } from "./plan.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {Schemas["UnmatchedSidecar"]} Unmatched */
/** @typedef {Schemas["SidecarCandidates"]["items"][number]} Candidate */
/** @typedef {import("../lib/words.js").Word} Word */

const AT_ONCE = 200;

/** @param {string} path */
const nameOf = (path) => path.slice(path.lastIndexOf("/") + 1);

class Sidecars extends AdminPage {
  /** @override @type {Word} */
  heading = "sidecars";
  /** What was attached since this page was opened, so that it can be taken back. @type {Array<{sidecar: string, asset: Candidate}>} */
  #done = [];

  /** @override */
  async read() {
    return get("/ops/unmatched-sidecars", { query: { limit: AT_ONCE } });
  }

  /** @override @param {{items: Unmatched[], next_cursor?: string}} found */
  draw({ items, next_cursor }) {
    const rows = items.map((one) => this.#row(one));
    return [
      h("p", { class: "soft" }, t("sidecars_help_page")),
      this.#done.length > 0 && this.#attached(),
      items.length ? table([t("file"), t("plan_why"), t("acts")], rows, "unmatched") : h("p", { class: "all-well" }, t("sidecars_none")),
      next_cursor && h("p", { class: "soft" }, t("sidecars_more", { n: AT_ONCE })),
    ];
  }

  #attached() {
    const line = (/** @type {{sidecar: string, asset: Candidate}} */ one) =>
      h("li", { "data-row": `done ${one.sidecar}` },
        h("span", null, t("sidecar_belongs", { sidecar: plain(nameOf(one.sidecar)), asset: "" }), h("a", { href: `/review/${one.asset.asset_uuid}?in=all` }, named(nameOf(one.asset.path)))),
        h("button", { class: "small", "aria-label": t("sidecar_take_back_of", { sidecar: plain(nameOf(one.sidecar)) }), click: () => void this.#takeBack(one) }, t("sidecar_take_back"))); // prettier-ignore
    return h("ul", { class: "lines attached" }, this.#done.map(line));
  }

  /** @param {Unmatched} one */
  #row(one) {
    const acts = h("td", { class: "row-acts" });
    const name = `sidecar-${one.storage_id}-${one.path}`;
    const button = h("button", { class: "small", "aria-describedby": name, click: () => void this.#choose(one, acts, button) }, t("sidecar_attach"));
    fill(acts, button);
    return h("tr", { "data-row": one.path }, h("th", { scope: "row", id: name }, named(one.path)), h("td", null, say("unmatched", one.reason)), acts);
  }

  /** Ask which of the assets beside it. @param {Unmatched} one @param {HTMLElement} acts @param {HTMLElement} before */
  async #choose(one, acts, before) {
    try {
      const { items } = /** @type {{items: Candidate[]}} */ (await get("/ops/unmatched-sidecars/candidates", { query: { storage_id: one.storage_id, path: one.path } }));
      const put = () => (fill(acts, before), before.focus());
      if (!items.length) {
        note(t("sidecar_alone", { sidecar: plain(nameOf(one.path)) }), { wrong: true });
        return;
      }
      const select = h("select", { "aria-label": t("sidecar_which", { sidecar: plain(nameOf(one.path)) }) },
        items.map((asset) => h("option", { value: asset.asset_uuid }, `${plain(nameOf(asset.path))} · ${say("state", asset.state)}`))); // prettier-ignore
      const submit = (/** @type {Event} */ event) => {
        event.preventDefault();
        const asset = items.find((each) => each.asset_uuid === select.value);
        if (asset) void this.#attach(one, asset);
      };
      fill(acts, h("form", { class: "acts", submit }, select, h("button", { class: "small main" }, t("sidecar_attach_yes")), h("button", { type: "button", class: "quiet small", click: put }, t("cancel"))));
      select.focus();
    } catch (error) {
      wrong(error);
    }
  }

  /** @param {Unmatched} one @param {Candidate} asset */
  async #attach({ path }, asset) {
    try {
      await post(`/assets/${asset.asset_uuid}/sidecars`, { body: { path } });
      this.#done = [...this.#done, { sidecar: path, asset }];
      note(t("sidecar_belongs", { sidecar: plain(nameOf(path)), asset: plain(nameOf(asset.path)) }));
    } catch (error) {
      wrong(error);
    }
    await this.look();
    this.querySelector("h1")?.focus();
  }

  /** @param {{sidecar: string, asset: Candidate}} one */
  async #takeBack(one) {
    try {
      await post(`/assets/${one.asset.asset_uuid}/sidecars/detach`, { body: { path: one.sidecar } });
      this.#done = this.#done.filter((each) => each !== one);
      note(t("sidecar_taken_back", { sidecar: plain(nameOf(one.sidecar)) }));
    } catch (error) {
      wrong(error);
    }
    await this.look();
    this.querySelector("h1")?.focus();
  }
}

customElements.define("r-admin-sidecars", Sidecars);
