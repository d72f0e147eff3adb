// What changed on the server, as it says so. Each word means: look again.

import { isReached, send } from "./api.js";
import { changes, isSignedIn } from "./session.js";

/** @typedef {{kind: string, id: string, change: string}} Hint */

/** Dispatches `asset`, `job`, `batch`, `storage`, `policy` (detail: a Hint) and `all`: look at everything. */
export const news = new EventTarget();

let last = "";
let running = false;

/** @param {string} name @param {unknown} detail */
const tell = (name, detail) => news.dispatchEvent(new CustomEvent(name, { detail }));

/** @param {string} block */
function read(block) {
  let name = "";
  let data = "";
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    if (line.startsWith("data: ")) data += line.slice(6);
    if (line.startsWith("id: ")) last = line.slice(4);
  }
  if (name === "reset") tell("all", null);
  else if (name && name !== "ready" && name !== "closed") tell(name, JSON.parse(data));
}

async function listenOnce() {
  /** @type {Record<string, string>} */
  const headers = last ? { "Last-Event-ID": last } : {};
  const answer = await send("/events", { headers });
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!answer.ok || !reader) return;
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop() ?? "";
    blocks.forEach(read);
  }
}

/** Listen for as long as the page is there; a break is mended, and then everything is worth a look. */
export async function listen() {
  if (running) return;
  running = true;
  for (let wait = 500; ; wait = Math.min(wait * 2, 15_000)) {
    if (!isSignedIn()) await new Promise((go) => changes.addEventListener("in", go, { once: true }));
    const began = Date.now();
    try {
      await listenOnce();
    } catch {
      // The next turn asks again; `reach` has told the person.
    }
    if (Date.now() - began > 5000) wait = 500;
    await new Promise((go) => setTimeout(go, wait * (0.5 + Math.random())));
    if (isReached()) tell("all", null);
  }
}
