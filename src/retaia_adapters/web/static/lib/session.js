// Who is signed in. The tokens are in the memory of this page, of the person's other pages of this
// browser, and of the service worker, which hands them to a page that was loaded again and to players,
// whose requests cannot carry a token themselves. They are in no storage, no cookie and no address.

/** @typedef {{access: string, refresh: string, until: number}} Tokens */
/** @typedef {import("../api.js").Schemas} Schemas */

const CLIENT = "retaia.client";
const PATIENCE_MS = 400;
const PING_MS = 15_000;

const channel = new BroadcastChannel("retaia-session");
/** @type {Tokens | null} */
let tokens = null;
/** @type {Promise<boolean> | null} */
let renewing = null;
/** @type {Array<() => void>} */
let waiting = [];
/** The service worker has no tokens, and there is no other page that could have some. */
let nobody = false;
/** It keeps the tokens from its first moment on, and also for a page that the browser loaded past it. @type {ServiceWorker | null} */
let worker = null;

/** Told when the session begins (`in`), is over (`over`), or was left by the person (`out`). */
export const changes = new EventTarget();

/** Each browser has a live session of its own; this name of it is no secret. */
function client() {
  const known = localStorage.getItem(CLIENT);
  if (known) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  const name = `web-${Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("")}`;
  localStorage.setItem(CLIENT, name);
  return name;
}

export const isSignedIn = () => tokens !== null;

/** @type {Promise<void>} */
let started = Promise.resolve();

/** Whether players can be given an address, since a service worker adds the token to what they ask for. */
export async function canStream() {
  await started;
  return Boolean(navigator.serviceWorker?.controller);
}

/** @param {Tokens | null} given @param {{tell?: boolean}} [how] */
function keep(given, { tell = true } = {}) {
  tokens = given;
  if (!tell) return;
  channel.postMessage({ what: given ? "have" : "gone", tokens: given });
  worker?.postMessage({ what: "keep", tokens });
}

/** A page that has no tokens yet must not take them from the worker, which may have them. */
function tellWorker() {
  if (tokens) worker?.postMessage({ what: "keep", tokens });
}

/** @param {Schemas["AuthLoginSuccess"]} answer @returns {Tokens} */
function read(answer) {
  const until = Date.now() + (answer.expires_in ?? 3600) * 1000;
  return { access: answer.access_token, refresh: answer.refresh_token ?? "", until };
}

/** @param {string} path @param {object} body */
async function post(path, body) {
  return fetch(`/api/v1${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    cache: "no-store",
  });
}

/** A refusal to sign in. */
export class NotSignedIn extends Error {
  /** @param {string} code @param {number} seconds */
  constructor(code, seconds) {
    super(code);
    this.code = code;
    this.seconds = seconds;
  }
}

/** @param {string} path @param {object} body */
async function begin(path, body) {
  const answer = await post(path, { ...body, client_id: client(), client_kind: "UI_WEB" });
  const said = await answer.json();
  if (!answer.ok) throw new NotSignedIn(said.code, Number(answer.headers.get("Retry-After") ?? 0));
  keep(read(said));
  for (const go of waiting.splice(0)) go();
  changes.dispatchEvent(new Event("in"));
}

/** @param {{email: string, password: string, otp_code?: string, recovery_code?: string}} given */
export const signIn = (given) => begin("/auth/login", given);

/** @param {string} token */
export const followLink = (token) => begin("/auth/link", { token });

export async function signOut() {
  const last = tokens;
  keep(null);
  changes.dispatchEvent(new Event("out"));
  if (last)
    await fetch("/api/v1/auth/logout", {
      method: "POST",
      headers: { Authorization: `Bearer ${last.access}`, "Content-Type": "application/json" },
      body: "{}",
    }).catch(() => undefined); // The server forgets it by itself.
}

/** The access token, renewed where it is about to end; waits for the person where it cannot be. */
export async function token() {
  for (;;) {
    if (tokens && tokens.until - Date.now() > 30_000) return tokens.access;
    if (!(await renew())) await new Promise((go) => waiting.push(() => go(undefined)));
  }
}

/** The server refused this token: get another. @param {string} refused */
export async function refused(refused) {
  if (tokens?.access === refused) tokens.until = 0;
  await token();
}

/** One pair of tokens for all pages: one renews, the others are told. @returns {Promise<boolean>} */
function renew() {
  renewing ??= alone(renewNow).finally(() => {
    renewing = null;
  });
  return renewing;
}

/** @param {() => Promise<boolean>} work @returns {Promise<boolean>} */
async function alone(work) {
  if (!navigator.locks) return work();
  return navigator.locks.request("retaia-renew", work);
}

async function renewNow() {
  if (tokens && tokens.until - Date.now() > 30_000) return true;
  if (!tokens?.refresh) return over();
  let answer;
  try {
    answer = await post("/auth/refresh", { refresh_token: tokens.refresh });
  } catch {
    await pause(2000); // The server is away; the session is not.
    return true;
  }
  if (answer.ok) {
    keep(read(await answer.json()));
    return true;
  }
  if (answer.status === 401 || answer.status === 422) return over();
  await pause(2000);
  return true;
}

function over() {
  if (tokens) keep(null);
  changes.dispatchEvent(new Event("over"));
  return false;
}

/** @param {number} ms */
const pause = (ms) => new Promise((go) => setTimeout(go, ms));

/** @param {MessageEvent} event */
function heard({ data, ports }) {
  if (data.what === "ask" && tokens) channel.postMessage({ what: "have", tokens });
  if (data.what === "token" && ports[0]) token().then((access) => ports[0]?.postMessage(access));
  if (data.what === "have" && !data.tokens && data.alone) nobody = true;
  if (data.what === "have" && data.tokens && newer(data.tokens)) {
    keep(data.tokens, { tell: false });
    for (const go of waiting.splice(0)) go();
    changes.dispatchEvent(new Event("in"));
  }
  if (data.what === "gone" && tokens) {
    keep(null, { tell: false });
    changes.dispatchEvent(new Event("out"));
  }
}

/** @param {Tokens} given */
const newer = (given) => !tokens || given.until > tokens.until;

/** Be a page among the person's pages. The service worker comes when it comes: only players wait for it. */
export function join() {
  channel.addEventListener("message", heard);
  worker = navigator.serviceWorker?.controller ?? null;
  started = startWorker();
  addEventListener("pagehide", tellWorker);
  document.addEventListener("visibilitychange", tellWorker);
  setInterval(() => document.visibilityState === "visible" && tellWorker(), PING_MS);
}

/** Take the session up again after the page was loaded; whether there is one. */
export async function restore() {
  // A browser may forbid to ask for it, where it forbids to have one.
  const asked = worker ?? workerOf(await navigator.serviceWorker?.getRegistration().catch(() => undefined));
  if (asked) {
    const line = new MessageChannel();
    line.port1.onmessage = heard;
    asked.postMessage({ what: "ask" }, [line.port2]);
  }
  channel.postMessage({ what: "ask" });
  const until = Date.now() + PATIENCE_MS;
  while (!tokens && !nobody && Date.now() < until) await pause(10);
  return tokens !== null;
}

/** Only where the browser holds the connection to be safe: over https, or on the machine itself. */
async function startWorker() {
  const workers = navigator.serviceWorker;
  if (!workers) return;
  workers.addEventListener("message", heard);
  workers.addEventListener("controllerchange", () => {
    worker = workers.controller;
    tellWorker();
  });
  try {
    worker = workerOf(await workers.register(/** @type {string} */ (trusted("/sw.js"))));
    tellWorker();
    if (workers.controller) return;
    worker?.postMessage({ what: "claim" });
    const taken = new Promise((go) => workers.addEventListener("controllerchange", go, { once: true }));
    await Promise.race([taken, pause(2000)]);
  } catch (error) {
    console.info("no service worker: players load whole files", error);
  }
}

/** @param {ServiceWorkerRegistration | undefined} found */
const workerOf = (found) => found?.active ?? found?.waiting ?? found?.installing ?? null;

/** @param {string} url */
function trusted(url) {
  const types = Reflect.get(window, "trustedTypes");
  return types ? types.createPolicy("retaia", { createScriptURL: () => url }).createScriptURL("") : url;
}
