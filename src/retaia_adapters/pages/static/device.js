// Lets a person sign in, see what asks under a code, and decide. The token lives in this page only.
// Everything that comes from elsewhere is written as text (textContent), never as markup.

import { language, texts } from "./texts.js";

const CLIENT = { client_id: "device-page", client_kind: "UI_WEB" };
const el = (id) => document.getElementById(id);
const forms = ["sign-in", "ask", "decide"].map(el);
let token = null;
let asked = null;

class Refusal extends Error {
  constructor(code, seconds) {
    super(code);
    this.code = code;
    this.seconds = seconds;
  }
}

async function call(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const options = { method: "POST", headers, body: JSON.stringify(body), cache: "no-store" };
  const answer = await fetch(`api/v1${path}`, options);
  if (answer.ok) return answer.status === 200 ? answer.json().catch(() => ({})) : {};
  const { code } = await answer.json();
  throw new Refusal(code, answer.headers.get("Retry-After"));
}

function show(form) {
  for (const one of forms) one.hidden = one !== form;
  form?.querySelector("input")?.focus();
}

function say(text, wrong = false) {
  const said = el("said");
  said.textContent = text;
  said.classList.toggle("wrong", wrong);
}

const EXPLAINED = {
  EMAIL_NOT_VERIFIED: "unverified",
  MFA_REQUIRED: "otpNeeded",
  INVALID_TOKEN: "linkOver",
  INVALID_2FA_CODE: "wrongOtp",
  INVALID_DEVICE_CODE: "wrongCode",
  VALIDATION_FAILED: "wrongCode",
  EXPIRED_DEVICE_CODE: "expired",
  STATE_CONFLICT: "decided",
};

function explain(error) {
  if (!(error instanceof Refusal)) return texts.failed;
  if (error.code === "TOO_MANY_ATTEMPTS" || error.code === "RATE_LIMITED")
    return texts.wait.replace("{seconds}", error.seconds);
  if (error.code === "UNAUTHORIZED") return token ? texts.signedOut : texts.wrongLogin;
  return texts[EXPLAINED[error.code]] ?? texts.failed;
}

function refused(error) {
  say(explain(error), true);
  if (error.code === "UNAUTHORIZED" && token) {
    token = null;
    show(el("sign-in"));
  }
  if (error.code === "MFA_REQUIRED" && !token) {
    el("sign-in-otp").hidden = false;
    el("otp").required = true;
    el("otp").focus();
  }
  if (error.code === "EXPIRED_DEVICE_CODE" || error.code === "STATE_CONFLICT") show(el("ask"));
}

// One request at a time: while it runs the form's buttons rest.
function on(form, work) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const buttons = form.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    say("");
    try {
      await work(event.submitter?.value);
    } catch (error) {
      refused(error);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  });
}

async function signedIn(answer) {
  token = answer.access_token;
  el("password").value = "";
  el("otp").value = "";
  show(el("ask"));
  if (el("code").value) await lookUp();
}

async function signIn() {
  const body = { email: el("email").value, password: el("password").value, ...CLIENT };
  if (el("otp").value) body.otp_code = el("otp").value.trim();
  await signedIn(await call("/auth/login", body));
}

async function lookUp() {
  asked = await call("/auth/device/lookup", { user_code: el("code").value });
  const since = new Date(asked.requested_at);
  el("seen-label").textContent = asked.client_label || texts.unnamed;
  el("seen-kind").textContent = texts[asked.client_kind];
  el("seen-address").textContent = asked.address;
  el("seen-since").textContent = since.toLocaleString(language);
  el("seen-code").textContent = asked.user_code;
  el("decide-otp").hidden = !asked.otp_required;
  el("again").required = asked.otp_required;
  show(el("decide"));
  el("asked").focus(); // Not a button: a key that is pressed once too often must not let anybody in.
}

async function decide(act) {
  const body = { user_code: asked.user_code };
  if (act === "approve" && asked.otp_required) body.otp_code = el("again").value.trim();
  await call(`/auth/device/${act}`, body);
  show(null);
  say(act === "approve" ? texts.approved : texts.denied);
  el("said").focus();
  await call("/auth/logout", {}).catch(() => {}); // The page is done with its token; it ends by itself too.
  token = null;
}

async function begin() {
  document.documentElement.lang = language;
  document.title = `${texts.title} – Retaia`;
  for (const one of document.querySelectorAll("[data-say]")) one.textContent = texts[one.dataset.say];
  on(el("sign-in"), signIn);
  on(el("ask"), lookUp);
  on(el("decide"), decide);
  const given = new URLSearchParams(location.hash.slice(1));
  history.replaceState(null, "", location.pathname); // Neither stays in the address.
  el("code").value = given.get("code") ?? "";
  show(el("sign-in"));
  if (given.has("link"))
    await call("/auth/link", { token: given.get("link"), ...CLIENT }).then(signedIn).catch(refused);
}

begin();
