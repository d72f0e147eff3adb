// A batch: how far it is, what became of each file, and the way back.

import { Unreachable, freshKey, get, post } from "../lib/api.js";
import { confirmed } from "../lib/dialogs.js";
import { fill, h, plain } from "../lib/dom.js";
import { news } from "../lib/events.js";
import { bytes, when } from "../lib/format.js";
import { actorName } from "../lib/person.js";
import { go } from "../lib/router.js";
import { announce, blank, explain, wrong } from "../lib/tell.js";
import { say, t } from "../lib/words.js";
import { blockedOf, firstOf, pathOf, planOf, summaryOf } from "./plan.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {Schemas["MoveBatch"]} Batch */

const POLL_MS = 1000;

class BatchPage extends HTMLElement {
  #id = location.pathname.split("/")[2] ?? "";
  #timer = 0;
  #told = "";
  #heard = () => void this.#look();

  connectedCallback() {
    news.addEventListener("batch", this.#heard);
    news.addEventListener("all", this.#heard);
    fill(this, h("h1", null, t("batch_title")), h("p", { class: "soft", role: "status" }, t("loading")));
    void this.#look();
  }

  disconnectedCallback() {
    news.removeEventListener("batch", this.#heard);
    news.removeEventListener("all", this.#heard);
    clearTimeout(this.#timer);
  }

  async #look() {
    clearTimeout(this.#timer);
    try {
      const batch = await get(`/batches/moves/${this.#id}`);
      if (!this.isConnected) return;
      this.#show(batch);
      if (batch.status !== "DONE") this.#timer = setTimeout(this.#heard, POLL_MS);
    } catch (error) {
      if (this.#told && error instanceof Unreachable) {
        // What is shown was so a moment ago, and the head of the page says that the server is away.
        this.#timer = setTimeout(this.#heard, POLL_MS);
        return;
      }
      fill(this, h("h1", null, t("batch_title")), blank(t("error_title"), explain(error), h("button", { click: this.#heard }, t("try_again"))));
    }
  }

  /** @param {Batch} batch */
  #show(batch) {
    const of = JSON.stringify(batch);
    if (of === this.#told) return;
    this.#told = of;
    const { done, total } = batch.progress;
    const bad = batch.results.filter((result) => result.outcome === "FAILED" || result.outcome === "PARKED");
    const moved = batch.results.filter((result) => result.outcome === "MOVED");
    const over = batch.status === "DONE";
    const said = over ? t(bad.length ? "batch_done_bad" : "batch_done", { n: moved.length, bad: bad.length }) : t("batch_running", { done, total });
    const copies = over ? [] : batch.results.flatMap((result) => (result.outcome === "PENDING" && result.copying) || []);
    announce(batch.waits ? t("batch_waits") : said);
    fill(
      this,
      h("h1", null, t(batch.undoes ? "batch_undo_title" : "batch_title")),
      h("p", { class: "soft" }, t("batch_by", { by: plain(actorName(batch.created_by)) }), " ", when(batch.created_at), batch.undoes && [" · ", h("a", { href: `/batches/${batch.undoes}` }, t("batch_undoes"))]),
      h("p", { class: bad.length ? "wrong-text" : "" }, said),
      !over && h("progress", { max: total || 1, value: done + part(copies), "aria-label": t("batch_progress") }),
      copies.map((copy) => h("p", { class: "soft" }, pathOf(copy.from), " ", t("batch_copying", { of: bytes(copy.total_bytes / 2), part: percent(copy) }))),
      (batch.waits ?? []).map((away) => h("p", { class: "wrong-text" }, t("batch_waits"), " ", h("span", { lang: "en" }, plain(away.reason)), away.since && [" ", when(away.since)])),
      h("div", { class: "acts" }, over && !batch.undoes && moved.length > 0 && h("button", { click: () => void this.#undo() }, t("batch_undo")), h("a", { class: "button quiet", href: "/batches" }, t("batches_title")), h("a", { class: "button quiet", href: "/" }, t("nav_library"))),
      bad.length > 0 && [h("h2", null, t("batch_bad", { n: bad.length })), ...this.#table(bad)],
      moved.length > 0 && [h("h2", null, t("batch_moved", { n: moved.length })), ...this.#table(moved)],
      blockedOf(batch.blocked),
    ); // prettier-ignore
  }

  /** @param {Batch["results"]} results */
  #table(results) {
    const row = (/** @type {Batch["results"][number]} */ result) =>
      h("tr", null, h("td", null, say("outcome", result.outcome)),
        h("td", null, pathOf(result.from)),
        h("td", null, h("a", { href: `/review/${result.asset_uuid}?in=all` }, pathOf(result.to)), result.sidecars.map((file) => h("div", null, pathOf(file.to))),
          result.error && h("div", { class: "wrong-text", lang: "en" }, plain(result.error)))); // prettier-ignore
    return firstOf([t("outcome"), t("plan_from"), t("plan_to")], results, row, "results");
  }

  async #undo() {
    try {
      /** @type {Schemas["MovePreview"]} */
      const plan = await post(`/batches/moves/${this.#id}/undo/preview`);
      const { files, assets } = plan.summary;
      const question = { title: t("undo_title", { n: files }), kind: "wide", yes: t("undo_yes", { n: files }), able: assets > 0 };
      if (!(await confirmed(question, summaryOf(plan, { undo: true }), ...planOf(plan)))) return;
      const batch = await post(`/batches/moves/${this.#id}/undo`, { body: { digest: plan.digest }, key: freshKey() });
      go(`/batches/${batch.batch_id}`);
    } catch (error) {
      wrong(error);
    }
  }
}

/** @typedef {NonNullable<Batch["results"][number]["copying"]>} Copy */
/** @param {Copy} copy */
const share = (copy) => (copy.total_bytes ? copy.done_bytes / copy.total_bytes : 1);
/** @param {Copy[]} copies how much of their assets they are */
const part = (copies) => copies.reduce((sum, copy) => sum + share(copy), 0);
/** @param {Copy} copy */
const percent = (copy) => `${Math.round(100 * share(copy))} %`;

/** A batch at another address is another page. */
class BatchFrame extends HTMLElement {
  connectedCallback() {
    this.dataset["follows"] = "";
    this.addEventListener("address", () => fill(this, new BatchPage()));
    fill(this, new BatchPage());
  }
}

customElements.define("r-batch-page", BatchPage);
customElements.define("r-batch", BatchFrame);
