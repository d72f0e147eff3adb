// Two to four side by side. Keys act on one of them, which is framed and named; zoom, place and time are
// those of all.

import { get } from "../lib/api.js";
import { decisions, isOpen, stateAfter } from "../lib/decisions.js";
import { fill, h, named, plain } from "../lib/dom.js";
import { news } from "../lib/events.js";
import { Turns } from "../lib/feed.js";
import { keycap, shortcuts } from "../lib/keys.js";
import { FEWEST, MOST } from "../lib/panes.js";
import { Photo } from "../lib/photo.js";
import { Player } from "../lib/player.js";
import { back } from "../lib/router.js";
import { announce, blank, explain, note } from "../lib/tell.js";
import { undoLast, undoOne } from "../lib/undo.js";
import { say, t } from "../lib/words.js";
import { whyPanel } from "./why.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {import("../lib/decisions.js").Action} Action */
/** @typedef {{uuid: string, detail: Schemas["AssetDetail"] | null, view: Photo | Player | null, element: HTMLElement, head: HTMLElement, stage: HTMLElement}} Pane */

class Compare extends HTMLElement {
  /** @type {Pane[]} */
  #panes = [];
  #at = 0;
  #muted = false;
  #turns = new Turns();
  #verdicts = h("div", { class: "verdicts", role: "group" });
  #row = h("div", { class: "panes", role: "group", "aria-label": t("compare_panes") });
  /** @type {Array<() => void>} */
  #ends = [];
  /** @type {() => void} */
  #dropKeys = () => undefined;
  #frame = 0;

  connectedCallback() {
    const uuids = [...new Set((location.pathname.split("/")[2] ?? "").split(",").filter(Boolean))];
    if (uuids.length < FEWEST || uuids.length > MOST)
      return fill(this, h("h1", null, t("compare_title")), blank(t("compare_title"), t("compare_few"), h("a", { class: "button", href: "/" }, t("nav_library"))));
    this.#panes = uuids.map((uuid, at) => this.#pane(uuid, at));
    this.dataset["n"] = String(uuids.length);
    fill(this.#row, this.#panes.map(({ element }) => element));
    fill(
      this,
      h("div", { class: "review-head" },
        h("button", { class: "quiet small", click: () => this.#leave() }, "← ", t("compare_leave"), " ", keycap("Escape")),
        h("h1", { class: "shown-name" }, t("compare_title")),
        h("button", { class: "quiet small", click: () => undoLast() }, t("undo"), " ", keycap("ctrl+z"))),
      this.#row,
      this.#verdicts,
    ); // prettier-ignore
    this.#ends.push(shortcuts("compare_title", this.#keys()), () => this.#dropKeys());
    this.#on(decisions, "waiting", () => this.#tellSoon());
    for (const name of ["refused", "meanwhile"]) this.#on(decisions, name, (event) => void this.#again(/** @type {CustomEvent} */ (event).detail.item.uuid));
    this.#on(decisions, "decided", (event) => this.#decided(/** @type {CustomEvent} */ (event).detail));
    this.#on(news, "asset", (event) => void this.#again(/** @type {CustomEvent} */ (event).detail.id));
    this.#on(news, "all", () => this.#panes.forEach(({ uuid }) => void this.#again(uuid)));
    this.#tell();
    this.#panes[0]?.element.focus({ preventScroll: true });
    void this.#begin();
  }

  disconnectedCallback() {
    for (const end of this.#ends) end();
    for (const { view } of this.#panes) view?.close();
  }

  /** @param {EventTarget} target @param {string} name @param {(event: Event) => void} act */
  #on(target, name, act) {
    target.addEventListener(name, act);
    this.#ends.push(() => target.removeEventListener(name, act));
  }

  /** @param {string} uuid @param {number} at @returns {Pane} */
  #pane(uuid, at) {
    const head = h("div", { class: "pane-head" });
    const stage = h("div", { class: "stage", "aria-busy": "true" }, h("p", { class: "blank soft" }, t("loading")));
    const element = h("div", { class: "pane", role: "group", tabIndex: -1, focusin: () => this.#choose(at), pointerdown: () => this.#choose(at) }, head, stage);
    return { uuid, detail: null, view: null, element, head, stage };
  }

  async #begin() {
    await Promise.all(this.#panes.map((pane) => this.#load(pane)));
    if (!this.isConnected) return;
    this.#link();
    this.#choose(this.#at, { anew: true });
  }

  /** @param {Pane} pane */
  async #load(pane) {
    try {
      const [detail, said] = await Promise.all([get(`/assets/${pane.uuid}`), get(`/assets/${pane.uuid}/facts`)]);
      if (!this.isConnected) return;
      pane.detail = detail;
      pane.view = detail.summary.media_type === "PHOTO" ? new Photo(detail) : new Player(detail);
      pane.view.know(said.facts);
      fill(pane.stage, pane.view);
    } catch (error) {
      fill(pane.stage, blank(t("error_title"), explain(error)));
    }
    pane.stage.removeAttribute("aria-busy");
    this.#tellSoon();
  }

  /** Photos zoom with photos; what plays, plays with what plays. */
  #link() {
    const views = this.#panes.map(({ view }) => view);
    const photos = views.filter((view) => view instanceof Photo);
    const players = views.filter((view) => view instanceof Player);
    for (const view of photos) view.peers = photos.filter((one) => one !== view);
    for (const view of players) view.peers = players.filter((one) => one !== view);
  }

  // The one that keys act on

  get #acted() {
    return /** @type {Pane} */ (this.#panes[this.#at]);
  }

  /** @param {number} at @param {{anew?: boolean}} [how] */
  #choose(at, { anew = false } = {}) {
    if (at === this.#at && !anew) return;
    this.#at = at;
    const { view, detail, element } = this.#acted;
    this.#dropKeys();
    this.#dropKeys = view ? shortcuts(view instanceof Photo ? "keys_photo" : "keys_player", this.#heardKeys(view)) : () => undefined;
    this.#hear();
    this.#tell();
    if (!anew) element.scrollIntoView({ block: "nearest" });
    announce(t("compare_acts_on", { at: at + 1, n: this.#panes.length, name: plain(detail?.summary.name ?? this.#acted.uuid), state: say("state", this.#stateOf(this.#acted)) }));
  }

  /** Sound comes from one only. */
  #hear() {
    for (const { view } of this.#panes) if (view instanceof Player) view.heard = view === this.#acted.view && !this.#muted;
  }

  /** @param {Photo | Player} view */
  #heardKeys(view) {
    const mute = () => {
      this.#muted = !this.#muted;
      this.#hear();
    };
    return view.keys().map((key) => (key.keys === "m" ? { ...key, act: mute } : key));
  }

  /** @param {number} at */
  #goTo(at) {
    const pane = this.#panes[at];
    if (!pane) return note(t("no_further"));
    pane.element.focus({ preventScroll: true });
    this.#choose(at);
  }

  /** How many stand in a row as the window is now. */
  get #across() {
    const top = this.#panes[0]?.element.offsetTop;
    return this.#panes.filter(({ element }) => element.offsetTop === top).length;
  }

  // Telling

  /** @param {Pane} pane */
  #stateOf({ uuid, detail }) {
    const waits = decisions.pending(uuid);
    return waits ? stateAfter(waits) : (detail?.summary.state ?? "");
  }

  #tellSoon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.isConnected) this.#tell();
    });
  }

  #tell() {
    this.#panes.forEach((pane, at) => this.#tellPane(pane, at));
    this.#tellVerdicts();
  }

  /** @param {Pane} pane @param {number} at */
  #tellPane(pane, at) {
    const acted = at === this.#at;
    const state = this.#stateOf(pane);
    const name = pane.detail?.summary.name ?? pane.uuid;
    const label = t("compare_pane", { at: at + 1, n: this.#panes.length, name: plain(name), state: say("state", state) });
    pane.element.setAttribute("aria-label", acted ? `${label}, ${t("compare_here")}` : label);
    if (acted) pane.element.setAttribute("aria-current", "true");
    else pane.element.removeAttribute("aria-current");
    pane.element.dataset["state"] = state;
    fill(pane.head, keycap(String(at + 1)), named(name, { class: "name", title: plain(name) }), state && h("span", { class: "state", "data-state": state }, say("state", state)), acted && h("span", { class: "here" }, t("compare_here")));
  }

  #tellVerdicts() {
    const pane = this.#acted;
    const name = plain(pane.detail?.summary.name ?? pane.uuid);
    const state = this.#stateOf(pane);
    const open = isOpen(state);
    /** @param {Action} action @param {string} key */
    const button = (action, key) =>
      h("button", { class: `verdict ${action.toLowerCase()}`, "aria-pressed": String(stateAfter(action) === state), disabled: !open, click: () => this.#decide(action) },
        say("action", action), " ", keycap(key)); // prettier-ignore
    const focused = [...this.#verdicts.children].indexOf(/** @type {Element} */ (document.activeElement));
    this.#verdicts.setAttribute("aria-label", t("compare_decide", { at: this.#at + 1, name }));
    fill(
      this.#verdicts,
      h("strong", { class: "acted-name" }, `${this.#at + 1} · `, named(name)),
      button("REJECT", "x"), button("CLEAR", "u"), button("KEEP", "p"),
      h("button", { class: "verdict keep only", disabled: !open, click: () => this.#keepOnly() }, t("compare_only"), " ", keycap("shift+p")),
      decisions.pending(pane.uuid) && h("span", { class: "soft" }, t("sending")),
      !open && state && h("span", { class: "soft" }, t("not_open")),
    ); // prettier-ignore
    const again = this.#verdicts.children[focused];
    if (again instanceof HTMLElement) again.focus({ preventScroll: true });
  }

  // What changed elsewhere

  /** @param {string} uuid */
  async #again(uuid) {
    const pane = this.#panes.find((one) => one.uuid === uuid);
    if (!pane?.detail) return;
    const isLast = this.#turns.begin(uuid);
    const detail = await get(`/assets/${uuid}`).catch(() => null);
    if (detail && isLast()) pane.detail = detail;
    this.#tellSoon();
  }

  /** @param {Schemas["AssetSummary"]} asset */
  #decided(asset) {
    const pane = this.#panes.find((one) => one.uuid === asset.uuid);
    if (!pane?.detail) return;
    this.#turns.begin(asset.uuid); // What was asked before this came is older.
    pane.detail.summary = asset;
    void this.#again(asset.uuid);
    this.#tellSoon();
  }

  // What a person does

  /** @param {Pane} pane */
  #seen({ uuid, detail }) {
    return { uuid, name: detail?.summary.name ?? uuid, state: detail?.summary.state ?? "", seen: detail?.decisions?.history?.length ?? 0 };
  }

  /** @param {Action} action */
  #decide(action) {
    const asset = this.#seen(this.#acted);
    if (!isOpen(asset.state)) return note(t("not_open"));
    const given = { name: plain(asset.name), action: say("action", action) };
    if (decisions.decide(asset, action)) announce(t("decided", given));
    else note(t("decided_before", given));
  }

  /** Keep this one and reject the others: one act, of which each decision is its own. */
  #keepOnly() {
    const kept = this.#seen(this.#acted);
    if (!isOpen(kept.state)) return note(t("not_open"));
    const others = this.#panes.filter((pane) => pane !== this.#acted).map((pane) => this.#seen(pane));
    const open = others.filter(({ state }) => isOpen(state));
    /** @type {Array<[import("../lib/decisions.js").Decided, Action]>} */
    const each = [[kept, "KEEP"], ...open.map((asset) => /** @type {[import("../lib/decisions.js").Decided, Action]} */ ([asset, "REJECT"]))];
    decisions.decideTogether(each);
    const closed = others.length - open.length;
    note(`${t("compare_only_done", { name: plain(kept.name), n: open.length })}${closed ? ` ${t("all_closed", { n: closed })}` : ""}`, { act: { label: t("undo"), run: () => undoLast() } });
  }

  #leave() {
    back(`/review/${this.#acted.uuid}?in=all`);
  }

  /** @returns {import("../lib/keys.js").Shortcut[]} */
  #keys() {
    const down = () => (this.#across < this.#panes.length ? this.#across : 1);
    return [
      { keys: this.#panes.map((_, at) => String(at + 1)).join(" "), does: "compare_choose", act: (event) => this.#goTo(Number(event.key) - 1) },
      { keys: "ArrowRight", does: "key_next", act: () => this.#goTo(this.#at + 1) },
      { keys: "ArrowLeft", does: "key_previous", act: () => this.#goTo(this.#at - 1) },
      { keys: "ArrowDown", does: "key_row_down", act: () => this.#goTo(this.#at + down()) },
      { keys: "ArrowUp", does: "key_row_up", act: () => this.#goTo(this.#at - down()) },
      { keys: "p", does: "action_KEEP", act: () => this.#decide("KEEP") },
      { keys: "x", does: "action_REJECT", act: () => this.#decide("REJECT") },
      { keys: "u", does: "action_CLEAR", act: () => this.#decide("CLEAR") },
      { keys: "shift+p", does: "compare_only", act: () => this.#keepOnly() },
      { keys: "ctrl+z", does: "compare_undo", act: () => undoLast() },
      { keys: "Backspace", does: "compare_undo_one", act: () => undoOne(this.#acted.uuid) },
      { keys: "w", does: "why", act: () => whyPanel(this.#acted.uuid) },
      { keys: "Escape", does: "compare_leave", act: () => this.#leave() },
    ];
  }
}

/** Others at another address are another page. */
class CompareFrame extends HTMLElement {
  connectedCallback() {
    this.dataset["follows"] = "";
    this.addEventListener("address", () => fill(this, new Compare()));
    fill(this, new Compare());
  }
}

customElements.define("r-compare-page", Compare);
customElements.define("r-compare", CompareFrame);
