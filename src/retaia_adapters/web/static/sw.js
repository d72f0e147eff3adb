// Lends players the token that they cannot send themselves, and keeps the session while a page is loaded
// again. It caches nothing: what the interface shows is what the server says now.

/** @typedef {{access: string, refresh: string, until: number}} Tokens */

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const DERIVED = /^\/api\/v1\/assets\/[^/]+\/derived\/[^/]+$/;

/** @type {Tokens | null} */
let tokens = null;

worker.addEventListener("install", () => void worker.skipWaiting());
worker.addEventListener("activate", (event) => event.waitUntil(worker.clients.claim()));

worker.addEventListener("message", (event) => {
  const { data, ports } = event;
  if (data.what === "keep") tokens = data.tokens;
  if (data.what === "claim") event.waitUntil(claim());
  if (data.what === "ask" && ports[0]) event.waitUntil(say(ports[0]));
});

/** Serve a page that the browser loaded past this worker; before it is active, it claims all pages anyway. */
const claim = () => worker.clients.claim().catch(() => undefined);

/** The tokens; where there are none, whether no other page can have them either. @param {MessagePort} line */
async function say(line) {
  const pages = tokens ? [] : await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  line.postMessage({ what: "have", tokens, alone: pages.length < 2 });
}

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const mine = url.origin === location.origin && DERIVED.test(url.pathname);
  if (mine && request.method === "GET" && !request.headers.has("Authorization"))
    event.respondWith(withToken(event));
});

/** @param {FetchEvent} event */
async function withToken({ request, clientId }) {
  let answer = await ask(request, tokens && tokens.until > Date.now() ? tokens.access : await fromPage(clientId));
  if (answer.status === 401) answer = await ask(request, await fromPage(clientId));
  return answer;
}

/** @param {Request} request @param {string} access */
function ask(request, access) {
  const headers = new Headers(request.headers);
  headers.set("Authorization", `Bearer ${access}`);
  return fetch(request.url, { headers, mode: "same-origin", credentials: "omit", signal: request.signal });
}

/** A token from the page that asks: it knows how to get another. @param {string} id @returns {Promise<string>} */
async function fromPage(id) {
  const page = await worker.clients.get(id);
  if (!page) return "";
  const line = new MessageChannel();
  return new Promise((go) => {
    line.port1.onmessage = ({ data }) => go(data);
    page.postMessage({ what: "token" }, [line.port2]);
  });
}
