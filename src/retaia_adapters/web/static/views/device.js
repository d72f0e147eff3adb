// Letting a device in: what asks under a code that it shows, and the person's word on it.

import { Refusal, post } from "../lib/api.js";
import { fill, h, named, plain } from "../lib/dom.js";
import { when } from "../lib/format.js";
import { field, form } from "../lib/forms.js";
import { explain } from "../lib/tell.js";
import { say, t } from "../lib/words.js";

/** @typedef {import("../api.js").Schemas["DeviceRequest"]} Asked */

/** The code of the address that this page was opened with; it does not stay there. */
let given = "";
/** @param {string} code */
export const handCode = (code) => (given = code);

class Device extends HTMLElement {
  #said = h("p", { id: "device-said", role: "status", tabIndex: -1 });
  #body = h("div");

  connectedCallback() {
    fill(this, h("h1", null, t("device_title")), this.#body, this.#said);
    const code = given;
    given = "";
    this.#ask(code);
    if (code) void this.#lookUp(code).catch((error) => this.#refused(error));
  }

  /** @param {string} [code] */
  #ask(code = "") {
    const typed = field("device-code", "device_code", {
      autocomplete: "off", autocapitalize: "characters", spellcheck: false, maxLength: 20, placeholder: "XXXX-XXXX", required: true, value: code,
    }); // prettier-ignore
    fill(this.#body, form(typed.parts, "device_next", () => this.#lookUp(typed.input.value)));
    typed.input.focus();
  }

  /** @param {string} code */
  async #lookUp(code) {
    fill(this.#said);
    this.#show(await post("/auth/device/lookup", { body: { user_code: code } }));
  }

  /** @param {Asked} asked */
  #show(asked) {
    const { client_label, client_kind, address, requested_at, user_code, otp_required } = asked;
    const title = h("h2", { tabIndex: -1 }, t("device_asks"));
    const otp = field("device-otp", "second_code", { autocomplete: "one-time-code", inputMode: "numeric", maxLength: 16, required: true });
    const deny = h("button", { class: "quiet", type: "button", click: () => void this.#decide(asked, "deny").catch((error) => this.#refused(error)) }, t("device_deny"));
    const approve = form(otp_required ? otp.parts : [], "device_approve", () => this.#decide(asked, "approve", otp_required ? otp.input.value.trim() : ""));
    approve.append(deny);
    fill(
      this.#body,
      title,
      h("dl", { class: "facts" },
        h("dt", null, t("name")), h("dd", { class: "device-label" }, client_label ? named(client_label) : t("client_unnamed")),
        h("dt", null, t("client_kind")), h("dd", null, say("client", client_kind)),
        h("dt", null, t("device_may")), h("dd", null, say("device_may", client_kind)),
        h("dt", null, t("device_from")), h("dd", null, plain(address)),
        h("dt", null, t("device_since")), h("dd", null, when(requested_at)),
        h("dt", null, t("device_until")), h("dd", null, when(asked.expires_at)),
        h("dt", null, t("device_code_seen")), h("dd", { class: "device-code" }, h("code", null, user_code))),
      h("p", null, t("device_warning")),
      approve,
    ); // prettier-ignore
    title.focus(); // Not a button: a key that is pressed once too often must let nobody in.
  }

  /** @param {Asked} asked @param {"approve" | "deny"} act @param {string} [code] */
  async #decide({ user_code }, act, code = "") {
    await post(`/auth/device/${act}`, { body: { user_code, ...(code ? { otp_code: code } : {}) } });
    const other = h("button", { click: () => (fill(this.#said), this.#ask()) }, t("device_other"));
    fill(this.#body, other);
    this.#tell(t(act === "approve" ? "device_approved" : "device_denied"));
  }

  /** What cannot be mended by another try in the same form. @param {unknown} error */
  #refused(error) {
    if (error instanceof Refusal && ["EXPIRED_DEVICE_CODE", "STATE_CONFLICT"].includes(error.code)) this.#ask();
    this.#tell(explain(error), true);
  }

  /** @param {string} text @param {boolean} [wrong] */
  #tell(text, wrong = false) {
    fill(this.#said, text);
    this.#said.classList.toggle("wrong-text", wrong);
    if (!wrong) this.#said.focus();
  }
}

customElements.define("r-device", Device);
