// A storyboard gone through over the small picture of a video. Nothing of it is asked for before somebody
// points at it or presses a key for it.

import { get, picture } from "./api.js";
import { h } from "./dom.js";
import { news } from "./events.js";
import { clock } from "./format.js";

/** @typedef {import("../api.js").Schemas["AssetSummary"]} Asset */

const KEPT = 300;
/** @type {Map<string, Promise<string[]>>} */
const known = new Map();
news.addEventListener("asset", (event) => known.delete(/** @type {CustomEvent} */ (event).detail.id));
news.addEventListener("all", () => known.clear());

/** The addresses of a video's storyboard, in order; none where it has but one picture. @param {string} uuid */
function addresses(uuid) {
  let asked = known.get(uuid);
  if (!asked) {
    asked = get(`/assets/${uuid}`).then((detail) => (detail.derived?.thumbs?.length > 1 ? detail.derived.thumbs : []));
    asked.catch(() => known.delete(uuid));
    known.set(uuid, asked);
    if (known.size > KEPT) known.delete(known.keys().next().value ?? "");
  }
  return asked;
}

/** When the picture at a place of so many is shown: the middle of its part. @param {number} at @param {number} n @param {number} length in seconds */
export const momentOf = (at, n, length) => (length * (2 * at + 1)) / (2 * n);

/** One storyboard over one frame. */
export class Scrub {
  /** @type {Array<HTMLImageElement | undefined>} */
  #images = [];
  #over = h("div", { class: "scrub", hidden: true });
  #line = h("span", { class: "scrub-line" });
  #time = h("span", { class: "scrub-time" });
  #ended = false;
  /** How many pictures there are; null until it is known. @type {number | null} */
  count = null;
  at = -1;

  /** @param {HTMLElement} frame @param {Asset} asset */
  constructor(frame, asset) {
    this.frame = frame;
    this.asset = asset;
    this.ready = this.#begin();
  }

  /** Every picture is decoded ahead, so that going through them waits for nothing. */
  async #begin() {
    const found = await addresses(this.asset.uuid).catch(() => []);
    this.count = found.length;
    if (this.#ended || !found.length) return;
    this.frame.append(this.#over);
    for (const [at, url] of found.entries()) void this.#decode(at, url);
  }

  /** @param {number} at @param {string} url */
  async #decode(at, url) {
    try {
      const image = h("img", { alt: "", draggable: false, src: await picture(url) });
      await image.decode();
      this.#images[at] = image;
      if (at === this.at) this.#put();
    } catch {
      this.#images[at] = undefined; // The small picture below stays in sight.
    }
  }

  /** @param {number} at */
  show(at) {
    if (!this.count || this.#ended) return;
    const to = Math.max(0, Math.min(this.count - 1, at));
    if (to === this.at) return;
    this.at = to;
    this.#put();
  }

  #put() {
    const count = this.count ?? 1;
    const image = this.#images[this.at];
    this.#over.hidden = false;
    this.#over.dataset["at"] = String(this.at);
    this.#line.style.insetInlineStart = `${((this.at + 0.5) / count) * 100}%`;
    this.#time.textContent = this.time;
    this.#over.replaceChildren(...(image ? [image] : []), this.#line, this.#time);
  }

  /** When the picture that is shown is from. */
  get time() {
    return this.asset.duration ? clock(momentOf(this.at, this.count ?? 1, this.asset.duration)) : "";
  }

  end() {
    this.#ended = true;
    this.#over.remove();
  }
}
