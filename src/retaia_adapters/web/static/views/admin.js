// Administration: the frame of its pages, and the page that leads to them.

import { get } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { isAdmin } from "../lib/person.js";
import { blank, explain } from "../lib/tell.js";
import { t } from "../lib/words.js";
import "./features.js";

/** @typedef {import("../lib/words.js").Word} Word */
/** @typedef {import("../lib/dom.js").Child} Child */

/** @type {Array<[string, Word, Word]>} path, title, what is there */
const PAGES = [
  ["/admin/people", "people", "people_help"],
  ["/admin/clients", "clients", "clients_help"],
  ["/admin/features", "features", "features_help"],
  ["/admin/settings", "settings", "settings_help"],
  ["/admin/sidecars", "sidecars", "sidecars_help"],
];

/** A page for administrators: who is none is told so, and nothing is asked of the server. */
export class AdminPage extends HTMLElement {
  /** @type {Word} */
  heading = "admin";
  body = h("div", { class: "admin-body" });

  connectedCallback() {
    this.classList.add("admin");
    if (!isAdmin()) {
      fill(this, h("h1", null, t(this.heading)), blank(t("admin_only"), t("admin_only_help"), h("a", { class: "button", href: "/" }, t("nav_library"))));
      return;
    }
    const here = location.pathname;
    const link = (/** @type {typeof PAGES[number]} */ [path, word]) => h("a", { href: path, "aria-current": path === here && "page" }, t(word));
    fill(this, h("nav", { class: "admin-nav", "aria-label": t("admin") }, PAGES.map(link)), h("h1", { tabIndex: -1 }, t(this.heading)), this.body);
    fill(this.body, h("p", { class: "soft", role: "status" }, t("loading")));
    void this.look();
  }

  /** What the page shows, as the server says it now. @returns {Promise<any>} */
  async read() {
    return null;
  }

  /** @param {any} _found @returns {(Child | Child[])[]} */
  draw(_found) {
    return [];
  }

  /** Read and draw anew; the focus stays in the row where it was. */
  look = async () => {
    try {
      const found = await this.read();
      if (!this.isConnected) return;
      const row = document.activeElement?.closest("[data-row]")?.getAttribute("data-row");
      fill(this.body, ...this.draw(found));
      if (row) this.#focus(row);
    } catch (error) {
      fill(this.body, blank(t("error_title"), explain(error), h("button", { click: this.look }, t("try_again"))));
    }
  };

  /** @param {string} row */
  #focus(row) {
    const kept = this.querySelector(`[data-row="${CSS.escape(row)}"] :is(button, select)`) ?? this.querySelector("h1");
    /** @type {HTMLElement | null} */ (kept)?.focus();
  }
}

class Overview extends AdminPage {
  /** @override */
  async read() {
    const [accounts, clients, why] = await Promise.all(["/auth/accounts", "/auth/clients", "/auth/me/features/why"].map((path) => get(path)));
    const off = why.items.filter((/** @type {{enabled: boolean}} */ one) => !one.enabled).length;
    const open = clients.items.filter((/** @type {{revoked_at?: string}} */ one) => !one.revoked_at).length;
    return [t("people_n", { n: accounts.items.length }), t("clients_n", { n: open }), t("features_off_n", { n: off })];
  }

  /** @override @param {string[]} figures */
  draw(figures) {
    const row = (/** @type {typeof PAGES[number]} */ [path, word, help], /** @type {number} */ at) =>
      h("li", null, h("h2", null, h("a", { href: path }, t(word))), h("p", null, t(help)), figures[at] && h("p", { class: "soft" }, figures[at]));
    return [h("ul", { class: "admin-pages" }, PAGES.map(row))];
  }
}

class FeaturesPage extends AdminPage {
  /** @override @type {Word} */
  heading = "features";
  /** @override */
  draw() {
    return [h("p", { class: "soft" }, t("features_app_help")), document.createElement("r-features")];
  }
}

customElements.define("r-admin", Overview);
customElements.define("r-admin-features", FeaturesPage);
