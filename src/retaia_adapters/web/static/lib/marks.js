// What stands beside an asset in a list and is no part of its row: flags, sidecars, a storage that is away.
// Asked for what is in sight, together.

import { get } from "./api.js";
import { news } from "./events.js";

/** @typedef {{flags: string[], sidecars: number}} Marks `flags` has `offline` too */

const AT_ONCE = 100;
const SOON_MS = 40;
const KEPT = 20_000;
/** @type {Marks} */
export const NO_MARKS = { flags: [], sidecars: 0 };

/** Dispatches `change` when marks came. */
export class MarkBook extends EventTarget {
  /** @type {Map<string, Marks>} */
  #known = new Map();
  /** What is known as it is now, or asked for. @type {Set<string>} */
  #fresh = new Set();
  /** @type {Set<string>} */
  #wanted = new Set();
  #timer = 0;
  #one = (/** @type {Event} */ event) => this.#forget(/** @type {CustomEvent} */ (event).detail.id);
  #all = () => this.#forget();

  open() {
    news.addEventListener("asset", this.#one);
    for (const topic of ["storage", "all"]) news.addEventListener(topic, this.#all);
  }

  close() {
    news.removeEventListener("asset", this.#one);
    for (const topic of ["storage", "all"]) news.removeEventListener(topic, this.#all);
    clearTimeout(this.#timer);
  }

  /** As far as they are known; the same object as long as they do not change. @param {string} uuid */
  of(uuid) {
    if (!this.#fresh.has(uuid)) this.#want(uuid);
    return this.#known.get(uuid) ?? NO_MARKS;
  }

  /** What is shown stays until the newer marks come. @param {string} [uuid] */
  #forget(uuid) {
    if (uuid) this.#fresh.delete(uuid);
    else this.#fresh.clear();
    this.dispatchEvent(new Event("change"));
  }

  /** @param {string} uuid */
  #want(uuid) {
    this.#fresh.add(uuid);
    this.#wanted.add(uuid);
    this.#timer ||= setTimeout(() => void this.#ask(), SOON_MS);
  }

  async #ask() {
    this.#timer = 0;
    const all = [...this.#wanted];
    this.#wanted.clear();
    if (this.#known.size > KEPT) this.#known.clear();
    for (let at = 0; at < all.length; at += AT_ONCE) await this.#askFor(all.slice(at, at + AT_ONCE));
  }

  /** @param {string[]} uuids */
  async #askFor(uuids) {
    try {
      /** @type {{items: import("../api.js").Schemas["AssetMarks"][]}} */
      const { items } = await get("/marks", { query: { uuid: uuids } });
      const found = new Map(items.map((one) => [one.uuid, one]));
      for (const uuid of uuids) this.#put(uuid, found.get(uuid));
      this.dispatchEvent(new Event("change"));
    } catch {
      for (const uuid of uuids) this.#fresh.delete(uuid); // The next look asks again; `reach` has told the person.
    }
  }

  /** @param {string} uuid @param {import("../api.js").Schemas["AssetMarks"] | undefined} found */
  #put(uuid, found) {
    const now = this.#known.get(uuid);
    const flags = found ? [...found.flags, ...(found.offline ? ["offline"] : [])] : [];
    const next = { flags, sidecars: found?.sidecars ?? 0 };
    if (JSON.stringify(now ?? NO_MARKS) === JSON.stringify(next)) return;
    if (found) this.#known.set(uuid, next);
    else this.#known.delete(uuid);
  }
}
