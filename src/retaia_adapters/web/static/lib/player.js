// Video and sound on the proxy: frame by frame, J/K/L, speeds, marks, and a waveform to seek in.

import { picture, pictureHere, playable } from "./api.js";
import { fill, h } from "./dom.js";
import { clock, number, timecode } from "./format.js";
import { explain } from "./tell.js";
import { momentOf } from "./scrub.js";
import { t } from "./words.js";
import { draw, waveform } from "./waveform.js";

/** @typedef {import("../api.js").Schemas["AssetDetail"]} Detail */
/** @typedef {{fps: number, start: string, seconds: number}} Clock */

const SPEEDS = [0.25, 0.5, 1, 1.5, 2, 4, 8];
const BACK_MS = 40;

/** Whether a button says itself what it does. @param {import("./dom.js").Child} text */
const spoken = (text) => typeof text === "string" && /\p{L}/u.test(text);

/** Plays one asset; made ahead of time, so that it is there when it is looked at. */
export class Player extends HTMLElement {
  #media;
  #stop = new AbortController();
  #canvas = h("canvas", { class: "wave", "aria-hidden": "true" });
  #bar = h("input", { type: "range", class: "seek", min: "0", step: "any", "aria-label": t("seek") });
  #time = h("output", { class: "time" });
  #speed = h("span", { class: "speed" });
  #board = h("div", { class: "board", role: "group", "aria-label": t("board"), keydown: (/** @type {KeyboardEvent} */ event) => this.#along(event) });
  #said = h("p", { class: "wrong-text over", hidden: true });
  #button = h("button", { class: "small play", click: () => this.toggle() });
  /** @type {number[] | null} */
  #peaks = null;
  /** @type {Clock} */
  #clock = { fps: 25, start: "", seconds: 0 };
  #reverse = 0;
  #frame = 0;
  /** @type {number | null} */
  #from = null;
  /** @type {number | null} */
  #to = null;
  /** Those that play, stop and seek with this one. @type {Player[]} */
  peers = [];

  /** @param {Detail} detail */
  constructor(detail) {
    super();
    this.detail = detail;
    const video = detail.summary.media_type === "VIDEO";
    this.#media = video ? h("video", { playsInline: true, preload: "auto" }) : h("audio", { preload: "auto" });
    this.#clock.seconds = detail.summary.duration ?? 0;
    void this.#begin(video);
  }

  /** @param {boolean} video */
  async #begin(video) {
    const { proxy_video_url, proxy_audio_url, waveform_url, thumbs } = this.detail.derived ?? {};
    const url = video ? proxy_video_url : proxy_audio_url;
    const media = this.#media;
    for (const thumb of this.#hasBoard ? this.#thumbs : []) void picture(thumb).catch(() => undefined);
    if (media instanceof HTMLVideoElement && thumbs?.[0]) {
      void picture(thumbs[0]).then((poster) => media.readyState < 2 && (media.poster = poster), () => undefined);
      media.addEventListener("loadeddata", () => media.removeAttribute("poster"), { once: true });
    }
    if (waveform_url)
      void waveform(waveform_url).then((found) => {
        this.#peaks = found?.peaks ?? null;
        this.#draw();
      });
    if (!url) return this.#tell(t("no_proxy"));
    try {
      const source = await playable(url, this.#stop.signal);
      if (!this.#stop.signal.aborted) media.src = source;
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#tell(explain(error));
    }
  }

  /** @param {string} text */
  #tell(text) {
    this.#said.hidden = false;
    fill(this.#said, text);
  }

  /** What the file states, once it is known. @param {Record<string, unknown>} facts */
  know(facts) {
    this.#clock = {
      fps: Number(facts["fps"]) || 25,
      start: String(facts["timecode_start"] ?? ""),
      seconds: (Number(facts["duration_ms"]) || 0) / 1000 || this.#clock.seconds,
    };
    this.#build();
    this.#tick();
  }

  connectedCallback() {
    this.#build();
    if (this.closest(".pane")) this.#board.remove();
    this.#tick();
  }

  /** Everything around the picture, made before it is looked at. */
  #build() {
    if (this.childElementCount) return;
    const media = this.#media;
    const video = media instanceof HTMLVideoElement;
    this.classList.toggle("sound", !video);
    const small = (/** @type {import("./dom.js").Child} */ text, /** @type {string} */ label, /** @type {() => void} */ click) =>
      h("button", { class: "quiet small", "aria-label": spoken(text) ? null : label, title: label, click }, text);
    fill(
      this,
      h("div", { class: "screen" }, media, this.#said),
      this.#thumbs.length > 1 && this.#storyboard(),
      h("div", { class: "strip" }, this.#canvas, this.#bar),
      h("div", { class: "controls" },
        this.#button,
        video && [small("◂|", t("key_frame_back"), () => this.frame(-1)), small("|▸", t("key_frame_on"), () => this.frame(1))],
        this.#time, this.#speed, h("span", { class: "grow" }),
        small(t("mark_in"), t("key_mark_in"), () => this.mark("in")), small(t("mark_out"), t("key_mark_out"), () => this.mark("out")),
        small("♪", t("key_mute"), () => this.mute()),
        video && small(h("span", { class: "full" }), t("key_full"), () => this.full())),
    ); // prettier-ignore
    const signal = this.#stop.signal;
    for (const name of ["timeupdate", "seeked", "loadedmetadata", "play", "pause", "ratechange", "durationchange", "volumechange"])
      media.addEventListener(name, () => this.#tick(), { signal });
    media.addEventListener("error", () => this.#tell(t("cannot_play")), { signal });
    if (video) media.addEventListener("click", () => this.toggle(), { signal });
    this.#bar.addEventListener("input", () => this.seekTogether(Number(this.#bar.value)), { signal });
    const sized = new ResizeObserver(() => this.#draw());
    sized.observe(this.#canvas);
    signal.addEventListener("abort", () => sized.disconnect());
  }

  disconnectedCallback() {
    this.pause();
  }

  // The storyboard, where there is one

  get #thumbs() {
    return this.detail.derived?.thumbs ?? [];
  }

  get #hasBoard() {
    return this.#thumbs.length > 1 && !this.closest(".pane");
  }

  /** Its pictures, each of which leads to its place. One of them is reached by Tab, the others by arrows. */
  #storyboard() {
    const urls = this.#thumbs;
    fill(this.#board, urls.map((url, at) => {
      const here = pictureHere(url);
      const image = h("img", { alt: "", draggable: false, decoding: "async", ...(here ? { src: here } : {}) });
      if (!here) void picture(url).then((source) => (image.src = source), () => undefined);
      return h("button", { class: "board-picture", tabIndex: at ? -1 : 0, click: () => this.#toPicture(at) }, image);
    })); // prettier-ignore
    this.#nameBoard();
    return this.#board;
  }

  /** @param {number} at */
  #toPicture(at) {
    this.seekTogether(momentOf(at, this.#thumbs.length, this.#length));
  }

  #nameBoard() {
    const n = this.#thumbs.length;
    const now = Math.min(n - 1, Math.floor((this.#media.currentTime / (this.#length || 1)) * n));
    for (const [at, button] of [...this.#board.children].entries()) {
      const label = t("board_go", { at: at + 1, n, time: clock(momentOf(at, n, this.#length)) });
      if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
      if (at === now) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  /** @param {number} by to the next picture of the storyboard, or the one before */
  #boardStep(by) {
    const n = this.#thumbs.length;
    const now = Math.floor((this.#media.currentTime / (this.#length || 1)) * n);
    this.#toPicture(Math.max(0, Math.min(n - 1, now + by)));
  }

  /** Arrows on a picture go along the storyboard. @param {KeyboardEvent} event */
  #along(event) {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const pictures = /** @type {HTMLElement[]} */ ([...this.#board.children]);
    const at = pictures.indexOf(/** @type {HTMLElement} */ (event.target));
    const next = pictures[at + by];
    if (!by || event.shiftKey || at < 0) return;
    event.preventDefault();
    if (!next) return;
    pictures.forEach((one) => (one.tabIndex = one === next ? 0 : -1));
    next.focus();
  }

  /** Let go of the file; nothing plays here any more. */
  close() {
    this.pause();
    this.#stop.abort();
    const source = this.#media.src;
    this.#media.removeAttribute("src");
    this.#media.load();
    if (source.startsWith("blob:")) URL.revokeObjectURL(source);
  }

  get #length() {
    return Number.isFinite(this.#media.duration) ? this.#media.duration : this.#clock.seconds;
  }

  #tick() {
    const { currentTime, paused, muted, playbackRate } = this.#media;
    const length = this.#length;
    this.#bar.max = String(length || 1);
    this.#bar.value = String(currentTime);
    const code = this.#clock.start && timecode(this.#clock.start, currentTime, this.#clock.fps);
    const shown = `${clock(currentTime)} / ${clock(length)}`;
    this.#bar.setAttribute("aria-valuetext", code || shown);
    fill(this.#time, code ? [h("span", { class: "code", title: t("timecode") }, code), " "] : "", shown);
    const rate = this.#reverse ? -this.#reverse : playbackRate;
    fill(this.#speed, rate === 1 ? "" : `${number(rate)}×`, muted ? ` ${t("muted")}` : "");
    const runs = !paused || this.#reverse > 0;
    fill(this.#button, runs ? "❚❚" : "▶");
    this.#button.setAttribute("aria-label", runs ? t("pause") : t("play"));
    this.#nameBoard();
    this.#draw();
    if (!paused) this.#smooth();
  }

  #smooth() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
      this.#bar.value = String(this.#media.currentTime);
      if (!this.#media.paused && this.isConnected) this.#smooth();
    });
  }

  #draw() {
    const length = this.#length || 1;
    const share = (/** @type {number | null} */ seconds) => (seconds === null ? null : seconds / length);
    draw(this.#canvas, this.#peaks, { played: this.#media.currentTime / length, from: share(this.#from), to: share(this.#to) });
  }

  // What a person does

  play() {
    this.#halt();
    if (this.#to !== null && this.#media.currentTime >= this.#to - 0.05) this.seek(this.#from ?? 0);
    this.#media.play().catch(() => undefined); // `error` has told why, or it was paused at once.
  }

  pause() {
    this.#halt();
    this.#media.pause();
  }

  /** @param {(player: Player) => void} act */
  #together(act) {
    [this, ...this.peers].forEach(act);
  }

  toggle() {
    if (this.#media.paused && !this.#reverse) return this.#together((one) => one.play());
    this.#halted();
  }

  /** Stopped, and those that ran beside it at the same moment. */
  #halted() {
    this.#together((one) => one.pause());
    for (const peer of this.peers) peer.seek(this.#media.currentTime);
  }

  /** @param {number} seconds */
  seekTogether(seconds) {
    this.#together((one) => one.seek(seconds));
  }

  /** Whether it is heard. @param {boolean} heard */
  set heard(heard) {
    this.#media.muted = !heard;
  }

  get heard() {
    return !this.#media.muted;
  }

  /** @param {number} seconds */
  seek(seconds) {
    this.#media.currentTime = Math.max(0, Math.min(seconds, this.#length));
  }

  /** @param {number} frames */
  frame(frames) {
    if (!this.#media.paused || this.#reverse) this.#halted();
    this.#together((one) => one.seek(one.#media.currentTime + frames / one.#clock.fps));
  }

  /** L: forward, and faster each time. */
  faster() {
    const now = this.#media.playbackRate;
    const paused = this.#media.paused;
    const next = paused ? 1 : (SPEEDS.find((speed) => speed > now) ?? now);
    this.#together((one) => (one.#media.playbackRate = next));
    if (paused) this.#together((one) => one.play());
  }

  /** J: backward, and faster each time; browsers cannot play backward, so it is done in steps. */
  backward() {
    this.#together((one) => one.#backward());
  }

  #backward() {
    const faster = this.#reverse ? Math.min(8, this.#reverse * 2) : 1;
    this.pause();
    this.#reverse = faster;
    const begin = performance.now();
    const from = this.#media.currentTime;
    const turn = () => {
      if (this.#reverse !== faster || !this.isConnected) return;
      const to = from - ((performance.now() - begin) / 1000) * faster;
      this.seek(to);
      if (to <= 0) return this.pause();
      setTimeout(turn, BACK_MS);
    };
    turn();
    this.#tick();
  }

  #halt() {
    this.#reverse = 0;
  }

  /** @param {number} by steps in the row of speeds */
  speed(by) {
    const at = SPEEDS.indexOf(this.#media.playbackRate);
    const next = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, (at < 0 ? 2 : at) + by))];
    this.#together((one) => (one.#media.playbackRate = next ?? 1));
  }

  mute() {
    this.#media.muted = !this.#media.muted;
  }

  full() {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void this.requestFullscreen().catch(() => undefined);
  }

  /** A mark is for looking only: nothing is cut. @param {"in" | "out"} which */
  mark(which) {
    const here = this.#media.currentTime;
    if (which === "in") this.#from = this.#from === here ? null : here;
    else this.#to = this.#to === here ? null : here;
    if (this.#from !== null && this.#to !== null && this.#from >= this.#to) this[which === "in" ? "dropOut" : "dropIn"]();
    this.#draw();
  }

  dropIn() {
    this.#from = null;
  }

  dropOut() {
    this.#to = null;
  }

  /** @returns {import("./keys.js").Shortcut[]} */
  keys() {
    const video = this.#media instanceof HTMLVideoElement;
    /** @type {import("./keys.js").Shortcut[]} */
    const frames = [
      { keys: ", shift+ArrowLeft", does: "key_frame_back", act: () => this.frame(-1) },
      { keys: ". shift+ArrowRight", does: "key_frame_on", act: () => this.frame(1) },
      { keys: "f", does: "key_full", act: () => this.full() },
    ];
    /** @type {import("./keys.js").Shortcut[]} */
    const board = [
      { keys: "[", does: "key_board_back", act: () => this.#boardStep(-1) },
      { keys: "]", does: "key_board_on", act: () => this.#boardStep(1) },
    ];
    return [
      { keys: "Space k", does: "key_play", act: () => this.toggle() },
      { keys: "l", does: "key_faster", act: () => this.faster() },
      { keys: "j", does: "key_backward", act: () => this.backward() },
      ...(video ? frames : []),
      ...(this.#thumbs.length > 1 ? board : []),
      { keys: "-", does: "key_slow", act: () => this.speed(-1) },
      { keys: "+ =", does: "key_fast", act: () => this.speed(1) },
      { keys: "i", does: "key_mark_in", act: () => this.mark("in") },
      { keys: "o", does: "key_mark_out", act: () => this.mark("out") },
      { keys: "m", does: "key_mute", act: () => this.mute() },
    ];
  }
}

customElements.define("r-player", Player);
