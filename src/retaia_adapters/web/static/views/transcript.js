// What is said in a recording, beside its player: each segment leads to its moment.

import { get } from "../lib/api.js";
import { fill, h, plain } from "../lib/dom.js";
import { clock } from "../lib/format.js";
import { explain } from "../lib/tell.js";
import { t } from "../lib/words.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {import("../lib/player.js").Player} Player */

class TranscriptPanel extends HTMLElement {
  #list = h("ol", { class: "segments", keydown: (/** @type {KeyboardEvent} */ event) => this.#along(event) });
  #found = h("span", { class: "soft", role: "status" });
  /** @type {Schemas["TranscriptSegment"][]} */
  #segments = [];
  /** @type {HTMLMediaElement | null} */
  #media = null;
  #now = -1;
  #watch = () => this.#mark();

  /** @param {string} uuid @param {Player} player */
  async show(uuid, player) {
    try {
      /** @type {Schemas["Transcript"]} */
      const said = await get(`/assets/${uuid}/transcript`);
      this.#segments = said.segments;
      this.#put(said, player);
    } catch (error) {
      fill(this, h("h2", null, t("transcript")), h("p", { class: "wrong-text" }, explain(error)));
    }
  }

  disconnectedCallback() {
    this.#media?.removeEventListener("timeupdate", this.#watch);
  }

  /** @param {Schemas["Transcript"]} said @param {Player} player */
  #put({ text, language, status }, player) {
    const title = h("h2", null, t("transcript"), language ? h("span", { class: "soft" }, ` ${plain(language)}`) : "");
    if (!this.#segments.length) return fill(this, title, h("p", { class: text ? "said" : "soft" }, text ? plain(text) : t(status === "DONE" ? "transcript_empty" : "transcript_none")));
    const search = h("input", { type: "search", placeholder: t("transcript_search"), "aria-label": t("transcript_search") });
    search.addEventListener("input", () => this.#find(search.value));
    search.addEventListener("keydown", (event) => event.key === "Enter" && this.#buttons.find((one) => !one.parentElement?.hidden)?.focus());
    fill(this.#list, this.#segments.map((segment, at) => this.#line(segment, at, player)));
    fill(this, title, search, this.#found, this.#list);
    this.#media = player.querySelector("video, audio");
    this.#media?.addEventListener("timeupdate", this.#watch);
    this.#mark();
  }

  /** @param {Schemas["TranscriptSegment"]} segment @param {number} at @param {Player} player */
  #line({ start_ms, text }, at, player) {
    const go = () => (player.seekTogether(start_ms / 1000), this.#mark());
    return h("li", null, h("button", { class: "quiet segment", lang: "", tabIndex: at ? -1 : 0, click: go }, h("span", { class: "soft number" }, clock(start_ms / 1000)), h("span", null, plain(text))));
  }

  get #buttons() {
    return /** @type {HTMLButtonElement[]} */ ([...this.#list.querySelectorAll("button")]);
  }

  /** One of the segments is reached by Tab, the others by arrows. @param {KeyboardEvent} event */
  #along(event) {
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const shown = this.#buttons.filter((one) => !one.parentElement?.hidden);
    const next = shown[shown.indexOf(/** @type {HTMLButtonElement} */ (event.target)) + by];
    if (!by) return;
    event.preventDefault();
    if (!next) return;
    for (const one of this.#buttons) one.tabIndex = one === next ? 0 : -1;
    next.focus();
  }

  /** @param {string} wanted */
  #find(wanted) {
    const folded = wanted.trim().toLocaleLowerCase();
    let n = 0;
    this.#segments.forEach(({ text }, at) => {
      const fits = text.toLocaleLowerCase().includes(folded);
      if (fits) n += 1;
      const line = /** @type {HTMLElement} */ (this.#list.children[at]);
      line.hidden = !fits;
    });
    const first = this.#buttons.find((one) => !one.parentElement?.hidden);
    for (const one of this.#buttons) one.tabIndex = one === first ? 0 : -1;
    fill(this.#found, folded ? t("transcript_found", { n }) : "");
  }

  /** The segment that is being said. */
  #mark() {
    const ms = (this.#media?.currentTime ?? 0) * 1000;
    const at = this.#segments.findLastIndex(({ start_ms, end_ms }) => start_ms <= ms + 1 && ms < end_ms);
    if (at === this.#now) return;
    this.#buttons[this.#now]?.removeAttribute("aria-current");
    this.#buttons[at]?.setAttribute("aria-current", "true");
    this.#now = at;
    const button = this.#buttons[at];
    if (button && !this.#media?.paused) this.#list.scrollTop = button.offsetTop - this.#list.offsetTop - this.#list.clientHeight / 3;
  }
}

customElements.define("r-transcript", TranscriptPanel);

/** What is said in an asset; null where nothing can be said in it. @param {string} uuid @param {Player} player */
export function transcriptOf(uuid, player) {
  const panel = /** @type {TranscriptPanel} */ (document.createElement("r-transcript"));
  void panel.show(uuid, player);
  return panel;
}
