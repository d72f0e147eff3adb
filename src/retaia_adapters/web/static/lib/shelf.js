// A grid or a list of any length, of which only what can be seen is in the page. It has the focus as a
// whole; the current asset is told by `aria-activedescendant`, and stays where it is while rows come.

import { picture, pictureHere } from "./api.js";
import { decisions, stateAfter } from "./decisions.js";
import { h, named, plain } from "./dom.js";
import { Feed, PAGE } from "./feed.js";
import { clock, day } from "./format.js";
import { NO_MARKS } from "./marks.js";
import { Scrub } from "./scrub.js";
import { say, t } from "./words.js";

/** @typedef {import("../api.js").Schemas["AssetSummary"]} Asset */
/** @typedef {import("./marks.js").Marks} Marks */

const GAP = 10;
const CELL = 180;
const SMALL_CELL = 145;
const SMALL = 600;
const CAPTION = 46;
const ROW = 40;
const TALLEST = 30_000_000; // Browsers draw nothing beyond some 33 million pixels.
const SPARE_ROWS = 2;
const POINTED_MS = 120;
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Dispatches `current` (another asset), `chosen` (the selection changed) and `open`. */
export class Shelf extends HTMLElement {
  #feed = new Feed({});
  #mode = "grid";
  #current = 0;
  /** @type {number | null} */
  #anchor = null;
  #columns = 1;
  #cell = { width: 0, height: ROW };
  /** @typedef {{element: HTMLElement, asset: Asset | undefined, waits: string | undefined, marks: Marks | undefined, stop: AbortController}} Cell */
  /** @type {Map<number, Cell>} */
  #cells = new Map();
  #space = h("div", { role: "presentation", class: "space" });
  #frame = 0;
  /** @type {Scrub | null} */
  #scrub = null;
  #pointed = 0;
  #later = () => this.#drawSoon();
  #sized = new ResizeObserver(() => this.#measure());
  /** @type {Map<string, Asset>} */
  selected = new Map();
  /** What stands beside an asset; the same object as long as that does not change. @type {(uuid: string) => Marks} */
  marks = () => NO_MARKS;

  connectedCallback() {
    this.setAttribute("role", "listbox");
    this.setAttribute("aria-multiselectable", "true");
    this.setAttribute("aria-label", t("shelf"));
    this.tabIndex = 0;
    this.replaceChildren(this.#space);
    this.addEventListener("scroll", this.#later, { passive: true });
    this.addEventListener("click", (event) => this.#clicked(event));
    this.addEventListener("pointermove", (event) => this.#scrubbed(event), { passive: true });
    this.addEventListener("pointerleave", () => this.#endScrub());
    this.addEventListener("dblclick", () => this.dispatchEvent(new Event("open")));
    this.#sized.observe(this);
    decisions.addEventListener("waiting", this.#later);
  }

  disconnectedCallback() {
    this.#sized.disconnect();
    decisions.removeEventListener("waiting", this.#later);
    for (const cell of this.#cells.values()) cell.stop.abort();
  }

  /** @param {Feed} feed @param {string} mode `grid` or `list` @param {number} place */
  show(feed, mode, place = 0) {
    this.#feed = feed;
    this.#mode = mode;
    this.#current = place;
    this.#anchor = null;
    this.dataset.mode = mode;
    for (const cell of this.#cells.values()) this.#drop(cell);
    this.#cells.clear();
    feed.addEventListener("change", () => {
      if (this.#feed === feed) this.#came();
    });
    this.#measure();
    void feed.reach(Math.max(place, 0)).then(() => this.#reveal());
  }

  get place() {
    return this.#current;
  }

  get current() {
    return this.#feed.at(this.#current);
  }

  #came() {
    this.#current = Math.min(this.#current, Math.max(0, this.#feed.count - 1));
    this.#stretch();
    this.#drawSoon();
    this.dispatchEvent(new Event("current"));
  }

  #measure() {
    const width = this.clientWidth - 2 * GAP;
    if (width <= 0) return;
    const top = this.#rowAt();
    const grid = this.#mode === "grid";
    this.#columns = grid ? Math.max(1, Math.floor((width + GAP) / ((width < SMALL ? SMALL_CELL : CELL) + GAP))) : 1;
    const across = Math.floor((width - GAP * (this.#columns - 1)) / this.#columns);
    this.#cell = { width: across, height: grid ? Math.round((across * 2) / 3) + CAPTION : ROW };
    this.#stretch();
    if (top.place) this.scrollTop = Math.floor(top.place / this.#columns) * this.#step + top.rest;
    this.#drawSoon();
  }

  /** The place at the top edge, to stay there when the width changes. */
  #rowAt() {
    const row = Math.floor(this.scrollTop / this.#step);
    return { place: row * this.#columns, rest: this.scrollTop - row * this.#step };
  }

  get #step() {
    return this.#cell.height + (this.#mode === "grid" ? GAP : 0);
  }

  #stretch() {
    const rows = Math.ceil(this.#feed.count / this.#columns) + (this.#feed.ended ? 0 : 1);
    this.#space.style.height = `${Math.min(TALLEST, rows * this.#step + GAP)}px`;
  }

  #drawSoon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw() {
    // What is in sight comes first, what is near it in the next picture of the screen.
    const spare = this.#cells.size ? SPARE_ROWS : 0;
    const from = Math.max(0, Math.floor(this.scrollTop / this.#step) - spare) * this.#columns;
    const rows = Math.ceil(this.clientHeight / this.#step) + 2 * spare + 1;
    const to = Math.min(this.#feed.count, from + rows * this.#columns);
    for (const [place, cell] of this.#cells)
      if ((place < from || place >= to) && place !== this.#current) {
        this.#drop(cell);
        this.#cells.delete(place);
      }
    for (let place = from; place < to; place += 1) this.#put(place);
    if (this.#feed.count) this.#put(this.#current);
    if (!spare && this.#cells.size) this.#drawSoon();
    this.setAttribute("aria-activedescendant", this.#feed.count ? `at-${this.#current}` : "");
    if (to + PAGE / 2 > this.#feed.count && !this.#feed.ended) void this.#feed.reach(this.#feed.count);
  }

  /** @param {{element: HTMLElement, stop: AbortController}} cell */
  #drop(cell) {
    cell.stop.abort();
    cell.element.remove();
  }

  /** @param {number} place */
  #put(place) {
    const asset = this.#feed.at(place);
    let cell = this.#cells.get(place);
    const waits = asset && decisions.pending(asset.uuid);
    const marks = asset && this.marks(asset.uuid);
    if (!cell || cell.asset !== asset || cell.waits !== waits || cell.marks !== marks) {
      if (cell) this.#drop(cell);
      const stop = new AbortController();
      cell = { element: this.#make(asset, stop.signal), asset, waits, marks, stop };
      this.#cells.set(place, cell);
      this.#space.append(cell.element);
    }
    const { element } = cell;
    const row = Math.floor(place / this.#columns);
    const column = place % this.#columns;
    element.id = `at-${place}`;
    element.dataset.place = String(place);
    element.style.width = `${this.#cell.width}px`;
    element.style.height = `${this.#cell.height}px`;
    element.style.transform = `translate(${GAP + column * (this.#cell.width + GAP)}px, ${GAP + row * this.#step}px)`;
    element.setAttribute("aria-posinset", String(place + 1));
    element.setAttribute("aria-setsize", String(this.#feed.ended ? this.#feed.count : -1));
    element.setAttribute("aria-selected", String(Boolean(asset && this.selected.has(asset.uuid))));
    element.classList.toggle("current", place === this.#current);
  }

  /** @param {Asset | undefined} asset @param {AbortSignal} signal */
  #make(asset, signal) {
    if (!asset) return h("div", { class: "cell", role: "option", "aria-label": t("loading") });
    const waits = decisions.pending(asset.uuid);
    const state = waits ? stateAfter(waits) : asset.state;
    const { flags, sidecars } = this.marks(asset.uuid);
    const name = asset.name ?? asset.uuid;
    const length = asset.duration ? clock(asset.duration) : "";
    const list = this.#mode === "list";
    const marks = [
      ...flags.map((flag) => h("span", { class: "flag" }, say("flag", flag))),
      ...(sidecars ? [h("span", { class: "sidecars", title: t("sidecars_with", { n: sidecars }) }, h("span", { "aria-hidden": "true" }, `+${sidecars}`), h("span", { class: "aloud" }, t("sidecars_with", { n: sidecars })))] : []),
    ];
    const frame = h("div", { class: `frame ${asset.media_type.toLowerCase()}` });
    if (asset.thumb_url) void showPicture(frame, asset.thumb_url, signal);
    else frame.append(h("span", { class: "no-picture" }, say("media", asset.media_type)));
    return h(
      "div",
      { class: "cell", role: "option", "data-state": state, "data-uuid": asset.uuid },
      frame,
      h("div", { class: "caption" }, named(name, { class: "name", title: plain(name) }),
        h("span", { class: "meta" },
          h("span", { class: "state", "data-state": state }, say("state", state)),
          list && h("span", { class: "marks" }, marks),
          (list || length) && h("span", { class: "length" }, length),
          h("span", { class: list ? "kind" : "kind aloud" }, say("media", asset.media_type)),
          list && h("span", { class: "date" }, asset.captured_at ? day(asset.captured_at) : "–"),
          list && h("span", { class: "tags" }, (asset.tags ?? []).map(plain).join(", ")),
        ),
      ),
      !list && marks.length > 0 && h("span", { class: "marks" }, marks),
    ); // prettier-ignore
  }

  // The storyboard of a video

  /** Going over the picture of a video goes through its storyboard; not for who wants no motion. @param {PointerEvent} event */
  #scrubbed(event) {
    if (still.matches || event.pointerType === "touch") return;
    const frame = /** @type {Element} */ (event.target).closest(".frame.video");
    const asset = frame instanceof HTMLElement && this.#feed.at(Number(frame.closest(".cell")?.getAttribute("data-place")));
    if (!(frame instanceof HTMLElement) || !asset || !asset.thumb_url) return this.#endScrub();
    const { left, width } = frame.getBoundingClientRect();
    const show = () => this.#scrub?.show(Math.floor(((event.clientX - left) / width) * (this.#scrub.count ?? 0)));
    if (this.#scrub?.frame === frame) return show();
    this.#endScrub();
    // A pointer that only passes by asks for nothing.
    this.#pointed = setTimeout(() => {
      this.#scrub = new Scrub(frame, asset);
      void this.#scrub.ready.then(show);
    }, POINTED_MS);
  }

  #endScrub() {
    clearTimeout(this.#pointed);
    this.#scrub?.end();
    this.#scrub = null;
  }

  /** The next picture of the current video's storyboard, or the one before; null where it has none. @param {number} by */
  async scrub(by) {
    const frame = this.#cells.get(this.#current)?.element.querySelector(".frame.video");
    const asset = this.current;
    if (!(frame instanceof HTMLElement) || !asset?.thumb_url) return null;
    if (this.#scrub?.frame !== frame) {
      this.#endScrub();
      this.#scrub = new Scrub(frame, asset);
    }
    const scrub = this.#scrub;
    await scrub.ready;
    if (!scrub.count) return null;
    scrub.show(scrub.at + by);
    return { at: scrub.at + 1, n: scrub.count, time: scrub.time };
  }

  // Moving and choosing

  /** @param {number} place @param {{extend?: boolean}} [how] */
  async goTo(place, { extend = false } = {}) {
    const last = this.#current;
    if (place >= this.#feed.count) await this.#feed.reach(place);
    const to = Math.max(0, Math.min(place, this.#feed.count - 1));
    if (extend) this.#extend(last, to);
    else this.#anchor = null;
    if (to !== this.#current) this.#endScrub();
    this.#current = to;
    this.#reveal();
    this.#draw();
    this.dispatchEvent(new Event("current"));
  }

  /** @param {number} from @param {number} to */
  #extend(from, to) {
    this.#anchor ??= from;
    const [low, high] = [Math.min(this.#anchor, to), Math.max(this.#anchor, to)];
    this.selected.clear();
    for (let place = low; place <= high; place += 1) {
      const asset = this.#feed.at(place);
      if (asset) this.selected.set(asset.uuid, asset);
    }
    this.dispatchEvent(new Event("chosen"));
  }

  /** Into the selection, or out of it. */
  toggle(place = this.#current) {
    const asset = this.#feed.at(place);
    if (!asset) return;
    if (!this.selected.delete(asset.uuid)) this.selected.set(asset.uuid, asset);
    this.#draw();
    this.dispatchEvent(new Event("chosen"));
  }

  clear() {
    this.selected.clear();
    this.#anchor = null;
    this.#draw();
    this.dispatchEvent(new Event("chosen"));
  }

  /** @param {number} rows @param {{extend?: boolean}} how */
  step(rows, how) {
    return this.goTo(this.#current + rows * this.#columns, how);
  }

  /** How many rows make a screen. */
  get screen() {
    return Math.max(1, Math.floor(this.clientHeight / this.#step) - 1);
  }

  get columns() {
    return this.#columns;
  }

  #reveal() {
    const top = GAP + Math.floor(this.#current / this.#columns) * this.#step;
    const bottom = top + this.#cell.height;
    if (top - GAP < this.scrollTop) this.scrollTop = top - GAP;
    else if (bottom + GAP > this.scrollTop + this.clientHeight) this.scrollTop = bottom + GAP - this.clientHeight;
    this.#drawSoon();
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const cell = /** @type {Element} */ (event.target).closest(".cell");
    if (!(cell instanceof HTMLElement)) return;
    const place = Number(cell.dataset.place);
    if (event.ctrlKey || event.metaKey) {
      void this.goTo(place).then(() => this.toggle(place));
    } else void this.goTo(place, { extend: event.shiftKey });
  }
}

/** What is not here is asked for once the words are on the screen. @param {HTMLElement} frame @param {string} url @param {AbortSignal} signal */
async function showPicture(frame, url, signal) {
  try {
    const here = pictureHere(url);
    if (!here) await new Promise((go) => setTimeout(go));
    if (signal.aborted) return;
    const source = here ?? (await picture(url, signal));
    if (!signal.aborted) frame.append(h("img", { src: source, alt: "", draggable: false }));
  } catch {
    if (!signal.aborted) frame.append(h("span", { class: "no-picture" }, t("no_picture")));
  }
}

customElements.define("r-shelf", Shelf);
