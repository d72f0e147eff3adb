// Technical clients: agents and orchestration, let in, given another secret, and shut out.

import { get, post } from "../lib/api.js";
import { fill, h, named, plain } from "../lib/dom.js";
import { when } from "../lib/format.js";
import { confirmed } from "../lib/dialogs.js";
import { field, form } from "../lib/forms.js";
import { actorName } from "../lib/person.js";
import { note, wrong } from "../lib/tell.js";
import { say, t } from "../lib/words.js";
import { AdminPage } from "./admin.js";
import { table } from "./plan.js";

/** @typedef {import("../api.js").Schemas["TechnicalClient"]} Client */
/** @typedef {import("../lib/words.js").Word} Word */
/** @typedef {{client_id: string, secret_key: string}} Secret */

class Clients extends AdminPage {
  /** @override @type {Word} */
  heading = "clients";
  /** Outlives the list: the secret is shown this once. */
  #shown = h("div", { class: "secret-shown" });

  /** @override */
  async read() {
    return (await get("/auth/clients")).items;
  }

  /** @override @param {Client[]} clients */
  draw(clients) {
    const heads = [t("name"), t("client_kind"), t("client_by"), t("standing"), t("acts")];
    return [
      this.#shown,
      clients.length ? table(heads, clients.map((client) => this.#row(client)), "clients") : h("p", null, t("clients_none")),
      h("p", { class: "soft" }, t("clients_device"), " ", h("a", { href: "/device" }, t("device_title"))),
      h("h2", null, t("client_add")),
      this.#add(),
    ]; // prettier-ignore
  }

  /** @param {Client} client */
  #row(client) {
    const { client_id, client_kind, label, created_at, created_by, rotated_at, revoked_at } = client;
    const name = `client-${client_id}`;
    const acts = [
      h("button", { class: "small", "aria-describedby": name, click: () => void this.#do(() => this.#rotate(client)) }, t("client_rotate")),
      h("button", { class: "small", "aria-describedby": name, click: () => void this.#do(() => this.#revoke(client)) }, t("client_revoke")),
    ];
    return h(
      "tr",
      { "data-row": client_id },
      h("th", { scope: "row", id: name }, named(label || t("client_unnamed")), h("div", { class: "digest soft" }, plain(client_id))),
      h("td", null, say("client", client_kind)),
      h("td", null, named(actorName(created_by)), h("div", { class: "soft" }, when(created_at))),
      h("td", null, revoked_at ? [t("client_revoked"), " ", when(revoked_at)] : rotated_at ? [t("client_rotated"), " ", when(rotated_at)] : t("standing_well")),
      h("td", { class: "row-acts" }, !revoked_at && acts),
    );
  }

  /** @param {() => Promise<void>} act */
  async #do(act) {
    try {
      await act();
    } catch (error) {
      wrong(error);
    }
  }

  /** @param {Client} client */
  async #rotate({ client_id, label }) {
    const name = plain(label || client_id);
    if (!(await confirmed({ title: t("client_rotate_title", { name }), yes: t("client_rotate") }, h("p", null, t("client_rotate_text"))))) return;
    const secret = await post(`/auth/clients/${encodeURIComponent(client_id)}/rotate-secret`);
    await this.look();
    this.#show(secret);
  }

  /** @param {Client} client */
  async #revoke({ client_id, label }) {
    const name = plain(label || client_id);
    if (!(await confirmed({ title: t("client_revoke_title", { name }), yes: t("client_revoke") }, h("p", null, t("client_revoke_text"))))) return;
    await post(`/auth/clients/${encodeURIComponent(client_id)}/revoke-token`);
    note(t("client_revoked_said", { name }));
    await this.look();
  }

  #add() {
    const label = field("client-label", "name", { autocomplete: "off", maxLength: 80 });
    const kinds = ["AGENT", "MCP"].map((kind) => h("option", { value: kind }, say("client", kind)));
    const kind = h("select", { id: "client-kind" }, kinds);
    const parts = [...label.parts, h("label", { htmlFor: "client-kind" }, t("client_kind")), kind];
    return form(parts, "client_add", async () => {
      const secret = await post("/auth/clients", { body: { client_kind: kind.value, client_label: label.input.value } });
      await this.look();
      this.#show(secret);
    });
  }

  /** @param {Secret} secret */
  #show({ client_id, secret_key }) {
    const title = h("h2", { tabIndex: -1 }, t("client_secret"));
    const file = JSON.stringify({ client_id, secret_key }, null, 2);
    const put = () => (fill(this.#shown), this.querySelector("h1")?.focus());
    fill(
      this.#shown,
      title,
      h("p", null, t("client_secret_once")),
      h("dl", { class: "facts" },
        h("dt", null, t("client_id")), h("dd", null, h("code", null, client_id)),
        h("dt", null, t("client_secret_key")), h("dd", null, h("code", { class: "secret" }, secret_key))),
      h("p", { class: "acts" },
        h("button", { click: () => void copy(secret_key) }, t("client_copy")),
        h("button", { click: () => void copy(file) }, t("client_copy_file")),
        h("button", { class: "quiet", click: put }, t("client_kept"))),
      h("p", { class: "soft" }, t("client_file_help")),
    ); // prettier-ignore
    title.focus();
  }
}

/** The clipboard is there only where the connection is safe; else the secret is marked for the person's own keys. @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    note(t("copied"));
  } catch {
    const secret = document.querySelector(".secret");
    if (secret) getSelection()?.selectAllChildren(secret);
    note(t("copy_yourself"));
  }
}

customElements.define("r-admin-clients", Clients);
