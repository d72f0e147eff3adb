// A photo, whole or near: zoom with the wheel or a key, pan by dragging or the arrows.

import { picture } from "./api.js";
import { fill, h } from "./dom.js";
import { explain } from "./tell.js";
import { number } from "./format.js";
import { t } from "./words.js";

/** @typedef {import("../api.js").Schemas["AssetDetail"]} Detail */

const NEAREST = 8;

export class Photo extends HTMLElement {
  #image = h("img", { alt: "", draggable: false, decoding: "sync" });
  #level = h("output", { class: "level" });
  #said = h("p", { class: "wrong-text over", hidden: true });
  #zoom = 1;
  #x = 0;
  #y = 0;
  /** Those that show the same part of theirs. @type {Photo[]} */
  peers = [];

  /** @param {Detail} detail */
  constructor(detail) {
    super();
    this.detail = detail;
    void this.#begin();
  }

  async #begin() {
    const { proxy_photo_url, thumbs } = this.detail.derived ?? {};
    const url = proxy_photo_url ?? thumbs?.[0];
    if (!url) return this.#tell(t("no_proxy"));
    try {
      this.#image.src = await picture(url);
      await this.#image.decode();
      this.dispatchEvent(new Event("ready"));
    } catch (error) {
      this.#tell(explain(error));
    }
  }

  /** @param {string} text */
  #tell(text) {
    this.#image.hidden = true;
    this.#said.hidden = false;
    fill(this.#said, text);
  }

  connectedCallback() {
    if (this.childElementCount) return;
    fill(this, h("div", { class: "screen" }, this.#image, this.#said, this.#level));
    this.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2);
    });
    this.addEventListener("dblclick", () => this.whole());
    this.addEventListener("pointerdown", (event) => this.#drag(event));
    this.#show();
  }

  /** @param {PointerEvent} down */
  #drag(down) {
    if (this.#zoom === 1 || down.button) return;
    this.setPointerCapture(down.pointerId);
    const move = (/** @type {PointerEvent} */ event) => this.pan(event.movementX, event.movementY);
    this.addEventListener("pointermove", move);
    this.addEventListener("lostpointercapture", () => this.removeEventListener("pointermove", move), { once: true });
  }

  /** @param {number} by */
  zoom(by) {
    this.#zoom = Math.max(1, Math.min(NEAREST, this.#zoom * by));
    if (this.#zoom < 1.05) this.#zoom = 1;
    this.pan(0, 0);
  }

  /** Whole, or one pixel of the picture to one of the screen. */
  whole() {
    const { naturalWidth, clientWidth } = this.#image;
    const one = clientWidth ? naturalWidth / clientWidth / devicePixelRatio : 2;
    this.#zoom = this.#zoom > 1 ? 1 : Math.max(2, Math.min(NEAREST, one));
    this.pan(0, 0);
  }

  /** @param {number} x @param {number} y in pixels of the screen */
  pan(x, y) {
    const limit = (/** @type {number} */ size) => (size * (this.#zoom - 1)) / 2;
    const [wide, tall] = [limit(this.#image.clientWidth), limit(this.#image.clientHeight)];
    this.#x = this.#zoom === 1 ? 0 : Math.max(-wide, Math.min(wide, this.#x + x));
    this.#y = this.#zoom === 1 ? 0 : Math.max(-tall, Math.min(tall, this.#y + y));
    this.#show();
    for (const peer of this.peers) peer.#follow(this);
    return this.#zoom > 1;
  }

  /** @param {Photo} lead */
  #follow(lead) {
    this.#zoom = lead.#zoom;
    this.#x = (lead.#x / (lead.#image.clientWidth || 1)) * this.#image.clientWidth;
    this.#y = (lead.#y / (lead.#image.clientHeight || 1)) * this.#image.clientHeight;
    this.#show();
  }

  #show() {
    this.#image.style.transform = `translate(${this.#x}px, ${this.#y}px) scale(${this.#zoom})`;
    fill(this.#level, this.#zoom > 1 ? `${number(this.#zoom * 100, 0)} %` : "");
    this.classList.toggle("near", this.#zoom > 1);
  }

  /** @param {Record<string, unknown>} _facts */
  know(_facts) {}

  close() {}

  /** @returns {import("./keys.js").Shortcut[]} */
  keys() {
    return [
      { keys: "z Space", does: "key_zoom", act: () => this.whole() },
      { keys: "+ =", does: "key_nearer", act: () => this.zoom(1.4) },
      { keys: "-", does: "key_farther", act: () => this.zoom(1 / 1.4) },
      { keys: "shift+ArrowLeft", does: "key_pan", act: () => this.pan(60, 0) },
      { keys: "shift+ArrowRight", does: "key_pan", act: () => this.pan(-60, 0) },
      { keys: "shift+ArrowUp", does: "key_pan", act: () => this.pan(0, 60) },
      { keys: "shift+ArrowDown", does: "key_pan", act: () => this.pan(0, -60) },
    ];
  }
}

customElements.define("r-photo", Photo);
