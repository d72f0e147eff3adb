// People's accounts: who may sign in, and what an administrator does for them.

import { get, post } from "../lib/api.js";
import { h, named, plain } from "../lib/dom.js";
import { when } from "../lib/format.js";
import { confirmed } from "../lib/dialogs.js";
import { field, form } from "../lib/forms.js";
import { person, readPerson } from "../lib/person.js";
import { note, wrong } from "../lib/tell.js";
import { say, t } from "../lib/words.js";
import { AdminPage } from "./admin.js";
import { table } from "./plan.js";

/** @typedef {import("../api.js").Schemas["Account"]} Account */
/** @typedef {import("../lib/words.js").Word} Word */

class People extends AdminPage {
  /** @override @type {Word} */
  heading = "people";

  /** @override */
  async read() {
    return (await get("/auth/accounts")).items;
  }

  /** @override @param {Account[]} accounts */
  draw(accounts) {
    const heads = [t("name"), t("roles"), t("standing"), t("made"), t("acts")];
    return [
      table(heads, accounts.map((account) => this.#row(account)), "people"),
      h("p", { class: "soft" }, t("messages_where")),
      h("h2", null, t("person_add")),
      this.#add(),
    ]; // prettier-ignore
  }

  /** @param {Account} account */
  #row(account) {
    const { email, display_name, roles, created_at } = account;
    return h(
      "tr",
      { "data-row": email },
      h("th", { scope: "row", id: `who-${account.uuid}` }, named(display_name || email), display_name && h("div", { class: "soft" }, plain(email))),
      h("td", null, roles.map((role) => say("role", role)).join(", ") || say("role", "USER")),
      h("td", null, standing(account).map((text) => h("div", null, text))),
      h("td", null, when(created_at)),
      h("td", { class: "row-acts" }, this.#acts(account)),
    );
  }

  /** @param {Account} account */
  #acts(account) {
    const { email, disabled, email_verified, local_name } = account;
    /** @param {Word} word @param {() => Promise<unknown>} act @param {Word} said */
    const button = (word, act, said) =>
      h("button", { class: "small", "aria-describedby": `who-${account.uuid}`, click: () => void this.#do(act, t(said, { name: plain(email) })) }, t(word));
    const body = { email };
    const mine = account.uuid === person().uuid;
    return [
      !email_verified && button("person_verify", () => post("/auth/verify-email/admin-confirm", { body }), "person_verified"),
      !disabled && button("person_unlock", () => post("/auth/accounts/unlock", { body }), "person_unlocked"),
      !disabled && !local_name && button("person_reset", () => post("/auth/accounts/reset", { body }), "person_reset_sent"),
      disabled && button("person_enable", () => post("/auth/accounts/enable", { body }), "person_enabled"),
      !disabled && !mine && button("person_disable", () => this.#disable(email), "person_disabled"),
    ];
  }

  /** @param {string} email */
  async #disable(email) {
    const name = plain(email);
    if (!(await confirmed({ title: t("person_disable_title", { name }), yes: t("person_disable") }, h("p", null, t("person_disable_text"))))) return false;
    return post("/auth/accounts/disable", { body: { email } });
  }

  /** @param {() => Promise<unknown>} act @param {string} said */
  async #do(act, said) {
    try {
      if ((await act()) === false) return;
      note(said);
    } catch (error) {
      wrong(error);
    }
    await this.look();
  }

  #add() {
    const email = field("person-email", "signin_email", { type: "email", autocomplete: "off", required: true });
    const name = field("person-name", "name", { autocomplete: "off", maxLength: 200 });
    const password = field("person-password", "person_password", { type: "password", autocomplete: "new-password", minLength: 10, "aria-describedby": "person-password-help" });
    const admin = h("input", { type: "checkbox" });
    const help = h("p", { id: "person-password-help", class: "soft" }, t("person_password_help"));
    const parts = [...email.parts, ...name.parts, ...password.parts, help, h("label", { class: "check" }, admin, t("role_ADMIN"))];
    return form(parts, "person_add", async () => {
      const given = { email: email.input.value, display_name: name.input.value, roles: admin.checked ? ["ADMIN"] : [] };
      await post("/auth/accounts", { body: { ...given, ...(password.input.value ? { password: password.input.value } : {}) } });
      await Promise.all([readPerson(), this.look()]);
      note(t("person_added", { name: plain(given.email) }));
      this.querySelector("h1")?.focus();
    });
  }
}

/** @param {Account} account */
function standing({ disabled, email_verified, has_password, mfa_enabled, local_name }) {
  const said = [
    disabled && t("standing_disabled"),
    !email_verified && t("standing_unverified"),
    !has_password && !local_name && t("standing_no_password"),
    local_name && t("standing_local"),
    mfa_enabled && t("standing_second"),
  ].filter(Boolean); // prettier-ignore
  return said.length ? said : [t("standing_well")];
}

customElements.define("r-admin-people", People);
