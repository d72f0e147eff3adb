// The API: every call carries the token, waits while the person signs in again, and fails in one shape.

import { canStream, refused, token } from "./session.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {Record<string, string | number | boolean | string[] | undefined>} Query */
/** @typedef {{query?: Query, body?: object, key?: string, signal?: AbortSignal}} Asked */

const BASE = "/api/v1";

/** The server answered, and refused. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {Partial<Schemas["ErrorResponse"]>} said
   * @param {number} after seconds to wait
   */
  constructor(status, said, after) {
    super(said.message ?? `HTTP ${status}`);
    this.status = status;
    this.code = said.code ?? "";
    this.details = /** @type {Record<string, unknown>} */ (said.details ?? {});
    this.retryable = said.retryable ?? status >= 500;
    this.after = after;
  }
}

/** The server could not be asked. */
export class Unreachable extends Error {}

/** A name for a request that is done once, however often it is sent. */
export function freshKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

/** @param {Query} query */
export function search(query) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) params.append(name, String(one));
  }
  const text = params.toString();
  return text && `?${text}`;
}

/** Told whether the server answers: `up` and `down`. */
export const reach = new EventTarget();
let reached = true;

/** @param {boolean} now */
function noteReach(now) {
  if (now === reached) return;
  reached = now;
  reach.dispatchEvent(new Event(now ? "up" : "down"));
}

export const isReached = () => reached;

/**
 * An answer, whatever it says; a token that is refused is renewed once.
 * @param {string} path below the API's base, or a whole path of it
 * @param {RequestInit & {headers?: Record<string, string>}} options
 */
export async function send(path, options = {}) {
  const url = path.startsWith(BASE) ? path : BASE + path;
  for (let again = true; ; again = false) {
    const access = await token();
    let answer;
    try {
      answer = await fetch(url, { ...options, headers: { ...options.headers, Authorization: `Bearer ${access}` } });
    } catch (error) {
      if (options.signal?.aborted) throw error;
      noteReach(false);
      throw new Unreachable("the server cannot be reached");
    }
    noteReach(true);
    if (answer.status !== 401 || !again) return answer;
    await refused(access);
  }
}

/** @param {Response} answer */
async function refusal(answer) {
  const said = await answer.json().catch(() => ({}));
  return new Refusal(answer.status, said, Number(answer.headers.get("Retry-After") ?? 0));
}

/**
 * @param {string} method
 * @param {string} path
 * @param {Asked} [asked]
 * @returns {Promise<any>}
 */
async function call(method, path, { query, body, key, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (body) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  const answer = await send(path + search(query ?? {}), {
    method,
    headers,
    ...(body ? { body: JSON.stringify(body) } : {}),
    ...(signal ? { signal } : {}),
  });
  if (!answer.ok) throw await refusal(answer);
  return answer.headers.get("Content-Type")?.startsWith("application/json") ? answer.json() : null;
}

/** @param {string} path @param {Asked} [asked] */
export const get = (path, asked) => call("GET", path, asked);
/** @param {string} path @param {Asked} [asked] */
export const post = (path, asked) => call("POST", path, { body: {}, ...asked });
/** @param {string} path @param {Asked} [asked] */
export const patch = (path, asked) => call("PATCH", path, asked);

// Pictures and other derived files

const KEPT_BYTES = 200_000_000;
/** By address, the one that was looked at last at the end. @type {Map<string, {local: string, size: number}>} */
const pictures = new Map();
let held = 0;

/** The address of a picture in this page's memory. @param {string} url @param {AbortSignal} [signal] */
export async function picture(url, signal) {
  const known = pictures.get(url);
  if (known) {
    pictures.delete(url);
    pictures.set(url, known);
    return known.local;
  }
  const file = await blob(url, signal);
  const meanwhile = pictures.get(url);
  if (meanwhile) return meanwhile.local;
  const local = URL.createObjectURL(file);
  pictures.set(url, { local, size: file.size });
  held += file.size;
  for (const [old, { local: address, size }] of pictures) {
    if (held <= KEPT_BYTES || old === url) break;
    pictures.delete(old);
    held -= size;
    URL.revokeObjectURL(address);
  }
  return local;
}

/** The address of a picture that is here already. @param {string} url */
export const pictureHere = (url) => pictures.get(url)?.local;

/** @param {string} url @param {AbortSignal} [signal] */
async function blob(url, signal) {
  const answer = await send(url, signal ? { signal } : {});
  if (!answer.ok) throw await refusal(answer);
  return answer.blob();
}

/** What a player plays: a stream, or the whole file where nothing can lend it a token. @param {string} url @param {AbortSignal} signal */
export async function playable(url, signal) {
  return (await canStream()) ? url : URL.createObjectURL(await blob(url, signal));
}
