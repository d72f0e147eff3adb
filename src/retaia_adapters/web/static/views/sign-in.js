// Signing in: as a page of its own, or over what the person was doing when their session ended.

import { h, fill } from "../lib/dom.js";
import { NotSignedIn, signIn } from "../lib/session.js";
import { isWord, t } from "../lib/words.js";

/** @param {unknown} error */
export function whyNot(error) {
  if (!(error instanceof NotSignedIn)) return t("error_unreachable");
  const word = `signin_${error.code}`;
  return isWord(word) ? t(word, { seconds: error.seconds }) : t("error_unreachable");
}

/** @param {{said?: string}} [given] */
export function signInForm({ said = "" } = {}) {
  const email = h("input", { id: "email", type: "email", autocomplete: "username", required: true });
  const password = h("input", { id: "password", type: "password", autocomplete: "current-password", required: true });
  const code = h("input", { id: "otp", autocomplete: "one-time-code", maxLength: 40, "aria-describedby": "otp-help" });
  const second = h(
    "div",
    { hidden: true },
    h("label", { htmlFor: "otp" }, t("signin_code")),
    code,
    h("p", { id: "otp-help", class: "soft" }, t("signin_code_help")),
  );
  const message = h("p", { id: "said", class: "wrong-text", role: "alert", tabIndex: -1 }, said);
  const button = h("button", { class: "main" }, t("signin"));

  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    fill(message);
    try {
      const given = code.value.trim();
      const factor = /^\d{6,8}$/.test(given) ? { otp_code: given } : given ? { recovery_code: given } : {};
      await signIn({ email: email.value, password: password.value, ...factor });
    } catch (error) {
      fill(message, whyNot(error));
      if (error instanceof NotSignedIn && error.code === "MFA_REQUIRED") {
        second.hidden = false;
        code.required = true;
        code.focus();
      }
    } finally {
      button.disabled = false;
    }
  }

  return h(
    "form",
    { class: "sign-in", submit, "aria-labelledby": "sign-in-title" },
    h("h1", { id: "sign-in-title" }, t("signin_title")),
    h("label", { htmlFor: "email" }, t("signin_email")),
    email,
    h("label", { htmlFor: "password" }, t("signin_password")),
    password,
    second,
    message,
    button,
    h("p", { class: "soft" }, t("signin_link_help")),
  );
}

/** Ask again without leaving the page: what the person was doing stays as it is. */
export function signInAgain() {
  if (document.querySelector("dialog.again")) return;
  const dialog = h(
    "dialog",
    { class: "again", cancel: (/** @type {Event} */ e) => e.preventDefault(), "aria-labelledby": "sign-in-title" },
    signInForm({ said: t("signin_again") }),
  );
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
