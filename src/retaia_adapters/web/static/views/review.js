// One asset large, the next ones ready: look, decide, go on.

import { get, picture, pictureHere, post } from "../lib/api.js";
import { decisions, isOpen, stateAfter } from "../lib/decisions.js";
import { afterPicture, fill, h, named, plain } from "../lib/dom.js";
import { news } from "../lib/events.js";
import { Feed, Turns } from "../lib/feed.js";
import { address, filters, queryOf } from "../lib/filters.js";
import { roughly } from "../lib/format.js";
import { keycap, shortcuts } from "../lib/keys.js";
import { actorName } from "../lib/person.js";
import { compare, MOST } from "../lib/panes.js";
import { Photo } from "../lib/photo.js";
import { Player } from "../lib/player.js";
import { go } from "../lib/router.js";
import { announce, blank, explain, note, wrong } from "../lib/tell.js";
import { undoLast } from "../lib/undo.js";
import { say, t } from "../lib/words.js";
import { annotationsPanel } from "./annotations.js";
import { factsOf, flagsOf } from "./facts.js";
import { certificate, purge } from "./purge.js";
import { whyPanel } from "./why.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {import("../lib/decisions.js").Action} Action */
/** @typedef {{uuid: string, detail: Schemas["AssetDetail"] | null, facts: Schemas["Facts"] | null, flags: string[], warnings: string[], view: Player | Photo | null, error: unknown, ready: Promise<void>}} Prepared */

const AHEAD = 3;
const BEHIND = 1;
const COUNTED = 2000;
const STRIP = 7;
const PACE_OF = 12;
const LONGEST_LOOK_MS = 180_000;

class Review extends HTMLElement {
  #feed = new Feed({});
  #turns = new Turns();
  #place = 0;
  #given = filters();
  /** @type {Map<string, Prepared>} */
  #prepared = new Map();
  /** @type {Prepared | null} */
  #shown = null;
  /** Whose name stands above. @type {Prepared | null} */
  #headed = null;
  #stage = h("section", { class: "stage", "aria-label": t("stage") });
  #flags = h("div");
  #facts = h("div");
  #said = annotationsPanel();
  #side = h("aside", { class: "facts-panel", "aria-label": t("beside") }, this.#flags, this.#said, this.#facts);
  #strip = h("ol", { class: "filmstrip", "aria-label": t("queue") });
  #verdicts = h("div", { class: "verdicts", role: "group", "aria-label": t("decision") });
  #progress = h("span", { class: "progress" });
  #title = h("h1", { class: "shown-name", tabIndex: -1 }, t("nav_review"));
  /** @type {Array<() => void>} */
  #ends = [];
  /** @type {() => void} */
  #dropKeys = () => undefined;
  /** When the last decisions of this sitting were made. @type {number[]} */
  #times = [];
  #alone = false;
  /** Looking must not wait for words, nor for what comes next. */
  #tellSoon = afterPicture(() => this.isConnected && this.#tell());
  #prepareSoon = afterPicture(() => this.isConnected && this.#prepareAround());

  connectedCallback() {
    this.dataset.follows = "";
    fill(
      this,
      h("div", { class: "review-head" },
        h("button", { class: "quiet small", click: () => this.#leave() }, "← ", t("nav_library")), this.#title, this.#progress, this.#compareWays(),
        h("button", { class: "quiet small", click: () => this.#undo() }, t("undo"), " ", keycap("ctrl+z"))),
      h("div", { class: "review-body" }, h("div", { class: "looking" }, this.#stage, this.#verdicts, this.#strip), this.#side),
    ); // prettier-ignore
    this.#ends.push(shortcuts("nav_review", this.#keys()), () => this.#dropKeys());
    this.#on(this, "address", () => void this.#begin());
    this.#on(decisions, "waiting", () => this.#tellSoon());
    this.#on(decisions, "decided", (event) => this.#decided(/** @type {CustomEvent} */ (event).detail));
    this.#on(decisions, "refused", (event) => void this.#again(/** @type {CustomEvent} */ (event).detail.item.uuid));
    this.#on(decisions, "meanwhile", (event) => void this.#again(/** @type {CustomEvent} */ (event).detail.item.uuid));
    this.#on(news, "asset", (event) => void this.#again(/** @type {CustomEvent} */ (event).detail.id));
    this.#on(news, "all", () => this.#shown && void this.#again(this.#shown.uuid));
    void this.#begin();
  }

  disconnectedCallback() {
    for (const end of this.#ends) end();
    this.#feed.close();
    for (const prepared of this.#prepared.values()) prepared.view?.close();
  }

  /** @param {EventTarget} target @param {string} name @param {(event: Event) => void} act */
  #on(target, name, act) {
    target.addEventListener(name, act);
    this.#ends.push(() => target.removeEventListener(name, act));
  }

  // The queue

  async #begin() {
    const given = filters();
    const wanted = /^\/review\/([\w-]+)$/.exec(location.pathname)?.[1];
    const same = this.#feed.begun && address(given) === address(this.#given);
    if (same && wanted && this.#feed.placeOf(wanted) !== undefined) return this.#show(this.#feed.placeOf(wanted) ?? 0);
    this.#given = given;
    const feed = this.#open(wanted ? given : { in: "decide", ...given });
    if (wanted) await this.#seek(feed, wanted);
    else await feed.reach(0);
    if (feed !== this.#feed) return;
    if (feed.error) {
      this.#shown = null;
      return this.#failed(feed.error);
    }
    this.#alone = Boolean(wanted) && feed.placeOf(wanted ?? "") === undefined;
    if (this.#alone && wanted) return this.#showOne(wanted);
    if (!feed.count) return this.#nothing();
    await this.#show(wanted ? (feed.placeOf(wanted) ?? 0) : this.#firstOpen());
    void feed.reach(COUNTED).then(() => this.#tellSoon());
  }

  /** @param {import("../lib/filters.js").Filters} given */
  #open(given) {
    this.#feed.close();
    this.#feed = new Feed(queryOf(given));
    return this.#feed;
  }

  /** @param {Feed} feed @param {string} uuid */
  async #seek(feed, uuid) {
    for (let place = 0; place < COUNTED && feed.placeOf(uuid) === undefined; place = feed.count) {
      await feed.reach(place);
      if (feed.ended || feed.error) return;
    }
  }

  #firstOpen() {
    for (let place = 0; place < this.#feed.count; place += 1) if (this.#isUndecided(place)) return place;
    return 0;
  }

  /** @param {number} place */
  #isUndecided(place) {
    const asset = this.#feed.at(place);
    if (!asset) return false;
    const waits = decisions.pending(asset.uuid);
    return waits ? waits === "CLEAR" : asset.state === "DECISION_PENDING";
  }

  // Getting ready

  /** @param {string} uuid @returns {Prepared} */
  #prepare(uuid) {
    const known = this.#prepared.get(uuid);
    if (known) return known;
    /** @type {Prepared} */
    const prepared = { uuid, detail: null, facts: null, flags: [], warnings: [], view: null, error: null, ready: Promise.resolve() };
    prepared.ready = this.#fetch(prepared);
    this.#prepared.set(uuid, prepared);
    return prepared;
  }

  /** @param {Prepared} prepared */
  async #fetch(prepared) {
    const isLast = this.#turns.begin(prepared.uuid);
    try {
      const [detail, said] = await Promise.all([get(`/assets/${prepared.uuid}`), get(`/assets/${prepared.uuid}/facts`)]);
      if (!isLast() && prepared.detail) return;
      Object.assign(prepared, { detail, facts: said.facts, flags: said.flags, warnings: said.warnings, error: null });
      prepared.view ??= detail.summary.media_type === "PHOTO" ? new Photo(detail) : new Player(detail);
      prepared.view.know(said.facts);
    } catch (error) {
      prepared.error = error;
    }
  }

  #prepareAround() {
    const near = new Set([this.#shown?.uuid ?? ""]);
    for (let place = this.#place - BEHIND; place <= this.#place + AHEAD; place += 1) {
      const asset = place >= 0 ? this.#feed.at(place) : undefined;
      if (asset) near.add(this.#prepare(asset.uuid).uuid);
    }
    for (const [uuid, prepared] of this.#prepared)
      if (!near.has(uuid)) {
        prepared.view?.close();
        this.#prepared.delete(uuid);
      }
  }

  // Showing

  /** @param {number} place */
  async #show(place) {
    const asset = this.#feed.at(place) ?? (await this.#feed.reach(place));
    if (!asset) return;
    this.#place = place;
    await this.#showOne(asset.uuid);
    this.#prepareSoon();
  }

  /** @param {string} uuid */
  async #showOne(uuid) {
    const prepared = this.#prepare(uuid);
    this.#shown = prepared;
    this.#tellSoon();
    if (!prepared.detail) {
      this.#clear();
      await prepared.ready;
    }
    if (this.#shown !== prepared) return;
    this.#stage.removeAttribute("aria-busy");
    this.#put(prepared);
  }

  /** Nothing can be decided on what is not seen. */
  #clear() {
    this.#stage.setAttribute("aria-busy", "true");
    fill(this.#stage, h("p", { class: "blank soft" }, t("loading")));
    this.#head(t("nav_review"));
    fill(this.#verdicts);
    this.#noFacts();
    this.#dropKeys();
    this.#dropKeys = () => undefined;
  }

  /** @param {Prepared} prepared */
  #put(prepared) {
    this.#dropKeys();
    const { detail, view } = prepared;
    if (!detail || !view) return this.#failed(prepared.error);
    fill(this.#stage, view);
    this.#dropKeys = shortcuts(detail.summary.media_type === "PHOTO" ? "keys_photo" : "keys_player", view.keys());
    this.#tellSoon();
  }

  /** @param {Prepared} prepared */
  #stateOf(prepared) {
    const waits = decisions.pending(prepared.uuid);
    return waits ? stateAfter(waits) : (prepared.detail?.summary.state ?? "");
  }

  #tell() {
    this.#tellProgress();
    this.#tellStrip();
    const shown = this.#shown;
    if (!shown) return;
    this.#tellAddress(shown);
    if (!shown.detail) return;
    this.#tellName(shown, shown.detail);
    this.#tellVerdicts(shown);
    this.#tellFacts(shown, shown.detail);
  }

  /** Where a page that is loaded again begins. @param {Prepared} shown */
  #tellAddress({ uuid }) {
    const path = `/review/${uuid}${address(this.#given)}`;
    if (location.pathname.startsWith("/review") && location.pathname + location.search !== path) go(path, { replace: true, quiet: true });
  }

  /** Once each time that it is looked at. @param {Prepared} shown @param {Schemas["AssetDetail"]} detail */
  #tellName(shown, { summary: { name, uuid } }) {
    if (this.#headed === shown) return;
    this.#head(named(name ?? uuid), shown);
    document.title = `${plain(name ?? "")} – Retaia`;
    announce(`${plain(name ?? "")}, ${say("state", this.#stateOf(shown))}`);
  }

  /** @param {string | Node} text @param {Prepared | null} of */
  #head(text, of = null) {
    this.#headed = of;
    fill(this.#title, text);
  }

  /** Only where they changed, so that what is being typed there stays. @param {Prepared} shown @param {Schemas["AssetDetail"]} detail */
  #tellFacts(shown, detail) {
    const of = JSON.stringify([detail, shown.facts, shown.flags, shown.warnings]);
    if (this.#facts.dataset["of"] === of) return;
    this.#facts.dataset["of"] = of;
    fill(this.#flags, flagsOf({ ...shown, detail }));
    fill(this.#facts, factsOf({ ...shown, detail }));
    this.#said.show({ uuid: shown.uuid, name: detail.summary.name ?? shown.uuid, detail, view: shown.view });
  }

  #tellProgress() {
    const { count, ended } = this.#feed;
    if (this.#alone || !count) return fill(this.#progress, "");
    let open = 0;
    for (let place = 0; place < count; place += 1) if (this.#isUndecided(place)) open += 1;
    const pace = this.#pace();
    const parts = [
      t(ended ? "progress" : "progress_more", { at: this.#place + 1, n: count }),
      t("progress_open", { n: open }),
      pace && open ? t("progress_left", { time: roughly(pace * open) }) : "",
    ];
    fill(this.#progress, parts.filter(Boolean).join(" · "));
  }

  /** Seconds per decision of this sitting; pauses do not count. */
  #pace() {
    const spans = this.#times.slice(1).map((time, at) => time - (this.#times[at] ?? 0)).filter((span) => span < LONGEST_LOOK_MS);
    return spans.length < 2 ? 0 : spans.reduce((sum, span) => sum + span, 0) / spans.length / 1000;
  }

  /** @param {Prepared} shown */
  #tellVerdicts(shown) {
    const state = this.#stateOf(shown);
    const open = isOpen(state);
    /** @param {Action} action @param {string} key */
    const button = (action, key) =>
      h("button", { class: `verdict ${action.toLowerCase()}`, "aria-pressed": String(stateAfter(action) === state), disabled: !open, click: () => this.#decide(action) },
        say("action", action), " ", keycap(key)); // prettier-ignore
    const waits = decisions.pending(shown.uuid);
    fill(
      this.#verdicts,
      open ? [button("REJECT", "x"), button("CLEAR", "u"), button("KEEP", "p")] : this.#otherWays(state, shown),
      h("span", { class: "state big", "data-state": state }, say("state", state)),
      waits && h("span", { class: "soft" }, t("sending")),
      h("span", { class: "soft last" }, this.#lastWord(shown)),
      h("button", { class: "quiet small", click: () => void whyPanel(shown.uuid) }, t("why"), " ", keycap("w")),
    );
  }

  /** @param {Prepared} shown */
  #lastWord(shown) {
    const last = shown.detail?.decisions?.history?.at(-1);
    return last?.by && last.action ? t("last_word", { by: plain(actorName(last.by)), action: say("action", last.action) }) : "";
  }

  /** @param {string} state @param {Prepared} shown */
  #otherWays(state, { uuid, flags }) {
    const act = (/** @type {import("../lib/words.js").Word} */ word, /** @type {string} */ path, /** @type {string} */ told) =>
      h("button", { class: "small", title: told, click: () => void this.#do(uuid, path) }, t(word));
    const reopen = act("reopen", "reopen", t("reopen_help"));
    if (state === "ARCHIVED") return [reopen];
    if (state === "REJECTED") return [reopen, h("button", { class: "small reject", click: () => void this.#purge(uuid) }, t("purge"))];
    if (state === "PURGED") return [h("button", { class: "small", click: () => void certificate(uuid) }, t("certificate"))];
    if (flags.includes("unprocessable")) return [act("waive", "waive", t("waive_help")), act("retry", "retry", t("retry_help"))];
    return [h("span", { class: "soft" }, t("not_open"))];
  }

  /** @param {string} uuid @param {string} path */
  async #do(uuid, path) {
    try {
      await post(`/assets/${uuid}/${path}`);
      await this.#again(uuid);
    } catch (error) {
      wrong(error);
    }
  }

  /** @param {string} uuid */
  async #purge(uuid) {
    if (await purge(uuid, this.#shown?.detail?.summary.name ?? uuid)) await this.#again(uuid);
  }

  #tellStrip() {
    const half = Math.floor(STRIP / 2);
    const from = Math.max(0, Math.min(this.#place - half, this.#feed.count - STRIP));
    const items = [];
    for (let place = from; place < Math.min(from + STRIP, this.#feed.count) && !this.#alone; place += 1) items.push(this.#stripItem(place));
    fill(this.#strip, items);
  }

  /** @param {number} place */
  #stripItem(place) {
    const asset = this.#feed.at(place);
    if (!asset) return null;
    const waits = decisions.pending(asset.uuid);
    const state = waits ? stateAfter(waits) : asset.state;
    const url = asset.thumb_url;
    const here = url ? pictureHere(url) : undefined;
    const image = h("img", { alt: "", ...(here ? { src: here } : {}) });
    if (url && !here) void picture(url).then((source) => (image.src = source), () => undefined);
    const name = asset.name ?? asset.uuid;
    return h("li", null,
      h("button", { class: "frame-of", "data-state": state, "aria-current": place === this.#place && "true", title: plain(name), "aria-label": `${plain(name)}, ${say("media", asset.media_type)}, ${say("state", state)}`, click: () => void this.#show(place) },
        url ? image : h("span", { class: "no-picture" }, say("media", asset.media_type)), h("span", { class: "dot", "data-state": state }))); // prettier-ignore
  }

  /** @param {unknown} error */
  #failed(error) {
    this.#head(t("error_title"));
    fill(this.#stage, blank(t("error_title"), explain(error), h("button", { click: () => (this.#prepared.clear(), void this.#begin()) }, t("try_again"))));
    this.#noFacts();
    fill(this.#verdicts);
  }

  #noFacts() {
    delete this.#facts.dataset["of"];
    fill(this.#facts);
    fill(this.#flags);
    this.#said.hide();
  }

  #nothing() {
    this.#shown = null;
    this.#head(t("nav_review"));
    fill(this.#stage, blank(t("empty_decided"), t("empty_decided_help"), h("a", { class: "button", href: "/apply" }, t("nav_apply")), h("a", { class: "button", href: "/" }, t("show_all"))));
    this.#noFacts();
    fill(this.#verdicts);
    fill(this.#strip);
    fill(this.#progress);
  }

  // What changed elsewhere

  /** @param {string} uuid */
  async #again(uuid) {
    const prepared = this.#prepared.get(uuid);
    if (!prepared) return;
    await this.#fetch(prepared);
    if (prepared.detail && !prepared.error) this.#feed.renew(prepared.detail.summary);
    this.#tellSoon();
  }

  /** @param {Schemas["AssetSummary"]} asset */
  #decided(asset) {
    this.#turns.begin(asset.uuid); // What was asked before this came is older.
    const prepared = this.#prepared.get(asset.uuid);
    if (prepared?.detail) prepared.detail.summary = asset;
    this.#feed.renew(asset);
    this.#tellSoon();
    void this.#again(asset.uuid);
  }

  // What a person does

  /** @param {Action} action */
  #decide(action) {
    const shown = this.#shown;
    if (!shown?.detail) return;
    const state = shown.detail.summary.state;
    if (!isOpen(state)) return note(t("not_open"));
    const name = shown.detail.summary.name ?? shown.uuid;
    const seen = shown.detail.decisions?.history?.length ?? 0;
    const done = decisions.decide({ uuid: shown.uuid, name, state, seen }, action);
    if (!done) return note(t("decided_before", { name: plain(name), action: say("action", action) }));
    this.#times = [...this.#times, Date.now()].slice(-PACE_OF);
    announce(t("decided", { name: plain(name), action: say("action", action) }));
    if (action !== "CLEAR" && !this.#alone) this.#goOn();
    else this.#tellSoon();
  }

  /** To the next one that is not decided: after this place, else before it. */
  #goOn() {
    const { count, ended } = this.#feed;
    for (let step = 1; step < count; step += 1) {
      const place = (this.#place + step) % count;
      if (place < this.#place && !ended) break;
      if (this.#isUndecided(place)) return void this.#show(place);
    }
    if (!ended) return void this.#show(this.#place + 1);
    this.#tellSoon();
    note(t("all_decided"), { act: { label: t("nav_apply"), run: () => go("/apply") } });
  }

  #undo() {
    const last = undoLast().at(-1);
    const place = last && this.#feed.placeOf(last.uuid);
    if (place !== undefined) void this.#show(place);
  }

  #leave() {
    const { in: group, ...rest } = this.#given;
    go(`/${address(group && group !== "all" ? { in: group, ...rest } : rest)}`);
  }

  /** @param {number} by */
  #step(by) {
    const place = this.#place + by;
    if (place < 0 || this.#alone || (this.#feed.ended && place >= this.#feed.count)) return note(t("no_further"));
    void this.#show(place);
  }

  #compareWays() {
    const way = (/** @type {number} */ n) => h("button", { class: "quiet small", title: t("compare_n", { n: n - 1 }), click: () => this.#compare(n) }, String(n));
    return h("span", { class: "ways", role: "group", "aria-label": t("compare") }, h("span", { class: "soft" }, t("compare")), " ", [2, 3, MOST].map(way));
  }

  /** This one and the next ones, side by side. @param {number} n how many */
  #compare(n) {
    const assets = Array.from({ length: this.#alone ? 0 : n }, (_, at) => this.#feed.at(this.#place + at));
    compare(assets.filter((asset) => asset !== undefined).map((asset) => asset.uuid));
  }

  /** @returns {import("../lib/keys.js").Shortcut[]} */
  #keys() {
    return [
      { keys: "p", does: "action_KEEP", act: () => this.#decide("KEEP") },
      { keys: "x", does: "action_REJECT", act: () => this.#decide("REJECT") },
      { keys: "u", does: "action_CLEAR", act: () => this.#decide("CLEAR") },
      { keys: "ctrl+z", does: "undo", act: () => this.#undo() },
      { keys: "ArrowRight", does: "key_next", act: () => this.#step(1) },
      { keys: "ArrowLeft", does: "key_previous", act: () => this.#step(-1) },
      { keys: "c 2", does: "compare_2", act: () => this.#compare(2) },
      { keys: "3", does: "compare_3", act: () => this.#compare(3) },
      { keys: "4", does: "compare_4", act: () => this.#compare(MOST) },
      ...this.#said.keys(),
      { keys: "w", does: "why", act: () => this.#shown && whyPanel(this.#shown.uuid) },
      { keys: "Escape", does: "key_back", act: () => this.#leave() },
    ];
  }
}

customElements.define("r-review", Review);
