// The person's own account: password, second factor, recovery codes.

import { post } from "../lib/api.js";
import { fill, h, named, plain } from "../lib/dom.js";
import { codeField, field, form } from "../lib/forms.js";
import { person, readPerson } from "../lib/person.js";
import { note } from "../lib/tell.js";
import { say, t } from "../lib/words.js";
import "./features.js";

/** @typedef {import("../api.js").Schemas} Schemas */

const SHORTEST = 10;

class Account extends HTMLElement {
  connectedCallback() {
    this.#show();
  }

  #show() {
    const { email, display_name, roles } = person();
    fill(
      this,
      h("h1", null, t("account")),
      h("dl", { class: "facts" },
        display_name && [h("dt", null, t("name")), h("dd", null, named(display_name))],
        h("dt", null, t("signin_email")), h("dd", null, plain(email)),
        h("dt", null, t("roles")), h("dd", null, (roles ?? []).map((role) => say("role", role)).join(", ") || say("role", "USER"))),
      h("h2", null, t("signin_password")),
      this.#password(),
      h("h2", null, t("second")),
      this.#second(),
      h("h2", null, t("features")),
      h("p", { class: "soft" }, t("features_mine_help")),
      document.createElement("r-my-features"),
    ); // prettier-ignore
  }

  #password() {
    const now = field("password-now", "password_now", { type: "password", autocomplete: "current-password" });
    const next = field("password-next", "password_next", { type: "password", autocomplete: "new-password", required: true, minLength: SHORTEST });
    const who = h("input", { hidden: true, autocomplete: "username", value: person().email }); // For password managers.
    return form([who, ...now.parts, ...next.parts], "password_change", async () => {
      const given = now.input.value ? { current_password: now.input.value } : {};
      await post("/auth/password", { body: { ...given, new_password: next.input.value } });
      now.input.value = next.input.value = "";
      note(t("password_changed"));
    });
  }

  #second() {
    const told = h("div", { class: "second" });
    if (person().mfa_enabled) fill(told, h("p", null, t("second_on")), this.#regenerate(told), this.#disable());
    else fill(told, h("p", null, t("second_off")), form([], "second_set_up", async () => this.#setUp(told, await post("/auth/2fa/setup"))));
    return told;
  }

  /** @param {HTMLElement} told @param {Schemas["Auth2faSetupResponse"]} given */
  #setUp(told, given) {
    const code = codeField();
    const picture = given.qr_svg ? URL.createObjectURL(new Blob([given.qr_svg], { type: "image/svg+xml" })) : "";
    fill(
      told,
      h("p", null, t("second_scan")),
      picture && h("img", { class: "qr", src: picture, alt: t("second_qr"), load: () => URL.revokeObjectURL(picture) }),
      h("p", null, t("second_secret"), " ", h("code", null, given.secret)),
      form(code.parts, "second_enable", async () => {
        const answer = await post("/auth/2fa/enable", { body: { otp_code: code.input.value.trim() } });
        await readPerson();
        this.#codes(told, answer.recovery_codes);
      }),
    );
    code.input.focus();
  }

  /** @param {HTMLElement} told @param {string[]} codes */
  #codes(told, codes) {
    const title = h("p", { tabIndex: -1 }, h("strong", null, t("codes_once")));
    fill(told, title, h("ul", { class: "codes" }, codes.map((code) => h("li", null, h("code", null, code)))), h("button", { click: () => this.#show() }, t("codes_kept")));
    title.focus();
  }

  /** @param {HTMLElement} told */
  #regenerate(told) {
    return form([], "codes_new", async () => this.#codes(told, (await post("/auth/2fa/recovery-codes/regenerate")).recovery_codes));
  }

  #disable() {
    const code = codeField();
    return form(code.parts, "second_disable", async () => {
      await post("/auth/2fa/disable", { body: { otp_code: code.input.value.trim() } });
      await readPerson();
      this.#show();
      note(t("second_off"));
    });
  }
}

customElements.define("r-account", Account);
