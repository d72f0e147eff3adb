// A list of assets of any length, page by page. Pages far from what is looked at are let go, and come
// back by the cursor that they began at.

import { get, search } from "./api.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {Schemas["AssetSummary"]} Asset */
/** @typedef {{cursor: string | undefined, items: Asset[] | null, asked: Promise<void> | null}} Page */

export const PAGE = 100;
const KEPT_PAGES = 60;

/** A first page that was asked for before there was anything to show it. @type {{of: string, answer: Promise<any>} | null} */
let early = null;

/** @param {import("./api.js").Query} query */
const first = (query) => ({ ...query, limit: PAGE, cursor: undefined });

/** Ask for the first page of what will be shown first, while other things are still to be read. @param {import("./api.js").Query} query */
export function askEarly(query) {
  early = { of: search(first(query)), answer: get("/assets", { query: first(query) }) };
  early.answer.catch(() => undefined); // Who takes it tells.
}

/** What was asked early of this query: once. @param {import("./api.js").Query} query */
function taken(query) {
  const found = early?.of === search(query) ? early.answer : null;
  early = null;
  return found;
}

/** Answers overtake each other: only what was asked last of a thing says how it is now. */
export class Turns {
  /** @type {Map<string, number>} */
  #turns = new Map();

  /** Begin to ask; the function says whether nobody asked since. @param {string} id */
  begin(id) {
    const turn = (this.#turns.get(id) ?? 0) + 1;
    this.#turns.set(id, turn);
    return () => this.#turns.get(id) === turn;
  }
}

/** Dispatches `change` when rows came or changed, `error` when they could not. */
export class Feed extends EventTarget {
  /** @type {Page[]} */
  #pages = [{ cursor: undefined, items: null, asked: null }];
  /** @type {Map<string, number>} */
  #places = new Map();
  #ended = false;
  #count = 0;
  #closed = new AbortController();
  /** @type {unknown} */
  error = null;

  /** @param {import("./api.js").Query} query */
  constructor(query) {
    super();
    this.query = query;
  }

  /** How many rows are known; with `ended` these are all. */
  get count() {
    return this.#count;
  }

  get ended() {
    return this.#ended;
  }

  /** Whether the first rows have come. */
  get begun() {
    return this.#ended || this.#count > 0;
  }

  /** The row at a place, where it is here; else it is asked for. @param {number} place */
  at(place) {
    const page = this.#pages[Math.floor(place / PAGE)];
    if (page && !page.items) void this.#load(Math.floor(place / PAGE));
    return page?.items?.[place % PAGE];
  }

  /** @param {string} uuid */
  placeOf(uuid) {
    return this.#places.get(uuid);
  }

  /** Make sure of the rows up to a place, as far as there are so many. @param {number} place */
  async reach(place) {
    while (!this.#ended && this.#count <= place && !this.error && !this.#closed.signal.aborted) {
      const last = this.#pages.length - 1;
      await this.#load(last);
    }
    const page = Math.floor(place / PAGE);
    if (this.#pages[page] && !this.#pages[page].items) await this.#load(page);
    return this.at(place);
  }

  /** Another try after an error. */
  retry() {
    this.error = null;
    this.dispatchEvent(new Event("change"));
    void this.reach(this.#count);
  }

  close() {
    this.#closed.abort();
  }

  /** Put a newer state of an asset in its place. @param {Asset} asset */
  renew(asset) {
    const place = this.#places.get(asset.uuid);
    if (place === undefined) return;
    const items = this.#pages[Math.floor(place / PAGE)]?.items;
    if (items) items[place % PAGE] = asset;
    this.dispatchEvent(new Event("change"));
  }

  /** @param {number} index */
  #load(index) {
    const page = this.#pages[index];
    if (!page || this.error || this.#closed.signal.aborted) return Promise.resolve();
    page.asked ??= this.#ask(page, index).finally(() => {
      page.asked = null;
    });
    return page.asked;
  }

  /** @param {Page} page @param {number} index */
  async #ask(page, index) {
    const query = { ...this.query, limit: PAGE, cursor: page.cursor };
    let answer;
    try {
      answer = await (taken(query) ?? get("/assets", { query, signal: this.#closed.signal }));
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      this.error = error;
      this.dispatchEvent(new Event("error"));
      return;
    }
    page.items = answer.items;
    const items = /** @type {Asset[]} */ (answer.items);
    items.forEach((asset, at) => this.#places.set(asset.uuid, index * PAGE + at));
    if (index === this.#pages.length - 1) {
      this.#count = index * PAGE + items.length;
      this.#ended = !answer.next_cursor;
      if (answer.next_cursor) this.#pages.push({ cursor: answer.next_cursor, items: null, asked: null });
    }
    this.#letGo(index);
    this.dispatchEvent(new Event("change"));
  }

  /** @param {number} around */
  #letGo(around) {
    if (this.#pages.length <= KEPT_PAGES) return;
    this.#pages.forEach((page, index) => {
      if (Math.abs(index - around) > KEPT_PAGES / 2) page.items = null;
    });
  }
}
