// Every batch of moves there was, newest first.

import { get } from "../lib/api.js";
import { fill, h, plain } from "../lib/dom.js";
import { news } from "../lib/events.js";
import { number, when } from "../lib/format.js";
import { actorName } from "../lib/person.js";
import { announce, blank, explain } from "../lib/tell.js";
import { say, t } from "../lib/words.js";
import { table } from "./plan.js";

/** @typedef {import("../api.js").Schemas["MoveBatchLine"]} Line */

const PAGE = 30;
const SOON_MS = 400;

class Batches extends HTMLElement {
  /** @type {Line[]} */
  #lines = [];
  /** @type {string | undefined} */
  #next;
  #timer = 0;
  #soon = () => {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(), SOON_MS);
  };

  connectedCallback() {
    news.addEventListener("batch", this.#soon);
    news.addEventListener("all", this.#soon);
    fill(this, h("h1", null, t("batches_title")), h("p", { class: "soft", role: "status" }, t("loading")));
    void this.#look();
  }

  disconnectedCallback() {
    news.removeEventListener("batch", this.#soon);
    news.removeEventListener("all", this.#soon);
    clearTimeout(this.#timer);
  }

  /** The newest ones again; those that were read behind them stay. */
  async #look() {
    try {
      const page = await get("/batches/moves", { query: { limit: PAGE } });
      if (!this.isConnected) return;
      const fresh = new Set(page.items.map((/** @type {Line} */ line) => line.batch_id));
      const rest = this.#lines.filter(({ batch_id }) => !fresh.has(batch_id));
      if (!rest.length) this.#next = page.next_cursor;
      this.#lines = [...page.items, ...rest];
      this.#show();
    } catch (error) {
      if (!this.isConnected) return;
      fill(this, h("h1", null, t("batches_title")), blank(t("error_title"), explain(error), h("button", { click: () => void this.#look() }, t("try_again"))));
    }
  }

  async #more() {
    try {
      const page = await get("/batches/moves", { query: { limit: PAGE, cursor: this.#next } });
      const first = this.#lines.length;
      this.#lines.push(...page.items);
      this.#next = page.next_cursor;
      this.#show();
      /** @type {HTMLElement | undefined} */ (this.querySelectorAll("tbody a.batch")[first])?.focus();
      announce(t("batches_n", { n: this.#lines.length }));
    } catch (error) {
      announce(explain(error));
    }
  }

  #show() {
    if (!this.#lines.length)
      return fill(this, h("h1", null, t("batches_title")), blank(t("batches_none"), t("batches_none_help"), h("a", { class: "button", href: "/apply" }, t("nav_apply"))));
    const at = this.contains(document.activeElement) ? document.activeElement?.getAttribute("href") : null;
    const heads = [t("batch"), t("started_by"), t("health"), t("outcome_MOVED"), t("outcome_FAILED"), t("outcome_PARKED"), t("stayed"), t("undone_assets")];
    fill(
      this,
      h("h1", null, t("batches_title")),
      table(heads, this.#lines.map(row), "batches"),
      this.#next && h("p", null, h("button", { click: () => void this.#more() }, t("batches_more"))),
    );
    if (at) /** @type {HTMLElement | null} */ (this.querySelector(`a[href="${at}"]`))?.focus();
  }
}

/** @param {Line} line */
function row(line) {
  const count = (/** @type {number} */ n, /** @type {boolean} */ bad = false) =>
    h("td", { class: bad && n ? "number wrong-text" : "number" }, n ? number(n) : h("span", { class: "soft" }, "–"));
  return h("tr", null,
    h("td", null, h("a", { class: "batch", href: `/batches/${line.batch_id}` }, when(line.created_at)),
      line.undoes && h("div", null, h("a", { class: "soft", href: `/batches/${line.undoes}` }, t("undo_of")))),
    h("td", null, plain(actorName(line.created_by))),
    h("td", null, say("batch_status", line.status), line.status !== "DONE" && h("span", { class: "soft" }, ` ${number(line.moved + line.failed + line.parked)} / ${number(line.total)}`)),
    count(line.moved), count(line.failed, true), count(line.parked, true), count(line.blocked), count(line.undone)); // prettier-ignore
}

customElements.define("r-batches", Batches);
