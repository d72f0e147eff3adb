// Everything there is, by state and filter, as a grid or a list.

import { get } from "../lib/api.js";
import { decisions } from "../lib/decisions.js";
import { afterPicture, fill, h, named, plain } from "../lib/dom.js";
import { news } from "../lib/events.js";
import { Feed, Turns } from "../lib/feed.js";
import { address, filters, groupOf, GROUPS, queryOf, SORTS } from "../lib/filters.js";
import { number } from "../lib/format.js";
import { keycap, shortcuts } from "../lib/keys.js";
import { isAdmin } from "../lib/person.js";
import { go } from "../lib/router.js";
import { MarkBook } from "../lib/marks.js";
import { compare, FEWEST, MOST } from "../lib/panes.js";
import { Shelf } from "../lib/shelf.js";
import { announce, blank, explain, note } from "../lib/tell.js";
import { say, t } from "../lib/words.js";
import { decideAll } from "./decide-all.js";
import { whyPanel } from "./why.js";

/** @typedef {import("../lib/decisions.js").Action} Action */
/** @typedef {import("../lib/words.js").Word} Word */

const FLAGS = GROUPS.flatMap((group) => group.flag ?? []);
const SETTLE_MS = 250;
const COUNT_MS = 500;
const REFRESH_MS = 1000;
const MOST_PURGED = 100;
/** Where the person was in each list, for when they come back. @type {Map<string, number>} */
const places = new Map();
/** What was chosen where the person went to compare it. @type {{address: string, chosen: Map<string, import("../api.js").Schemas["AssetSummary"]>} | null} */
let left = null;

class Library extends HTMLElement {
  #shelf = new Shelf();
  #feed = new Feed({});
  #turns = new Turns();
  #side = h("nav", { class: "side", "aria-label": t("groups") });
  #line = h("div", { class: "line" });
  #empty = h("div", { class: "empty" });
  #bar = h("div", { class: "chosen", hidden: true });
  /** @type {Record<string, number>} */
  #counts = {};
  #marks = new MarkBook();
  /** @type {Array<() => void>} */
  #ends = [];
  /** Timers, 0 where nothing is due: news come in bursts, and none may put off what is due. */
  #counting = 0;
  #refreshing = 0;
  #known = "";
  /** The rows come before the words on one of them. */
  #tellSoon = afterPicture(() => this.#tellCurrent());

  connectedCallback() {
    this.dataset.follows = "";
    this.#marks.open();
    this.#shelf.marks = (uuid) => this.#marks.of(uuid);
    this.#on(this.#marks, "change", () => this.#shelf.dispatchEvent(new Event("scroll")));
    fill(this, this.#side, h("div", { class: "work" }, h("h1", { class: "aloud" }, t("nav_library")), this.#filters(), this.#bar, this.#empty, this.#shelf, this.#line));
    this.addEventListener("address", () => this.#show());
    this.#shelf.addEventListener("open", () => this.#open());
    this.#shelf.addEventListener("current", this.#tellSoon);
    this.#shelf.addEventListener("chosen", () => this.#tellChosen());
    this.#on(decisions, "decided", (event) => this.#decided(/** @type {CustomEvent} */ (event).detail));
    this.#on(news, "asset", (event) => void this.#changed(/** @type {CustomEvent} */ (event).detail.id));
    this.#on(news, "all", () => this.#again());
    this.#ends.push(shortcuts("nav_library", this.#keys()));
    this.#show();
    if (left?.address === this.#known) this.#shelf.selected = left.chosen;
    left = null;
    if (this.#shelf.selected.size) this.#tellChosen();
    this.#shelf.focus();
  }

  disconnectedCallback() {
    places.set(this.#known, this.#shelf.place);
    for (const end of this.#ends) end();
    clearTimeout(this.#counting);
    clearTimeout(this.#refreshing);
    this.#marks.close();
    this.#feed.close();
  }

  /** @param {EventTarget} target @param {string} name @param {(event: Event) => void} act */
  #on(target, name, act) {
    target.addEventListener(name, act);
    this.#ends.push(() => target.removeEventListener(name, act));
  }

  #show() {
    if (this.#known) places.set(this.#known, this.#shelf.place);
    const given = filters();
    this.#known = address(given);
    this.#feed.close();
    const feed = new Feed(queryOf(given));
    this.#feed = feed;
    feed.addEventListener("change", () => this.#tellEmpty());
    feed.addEventListener("error", () => this.#tellEmpty());
    this.#shelf.show(feed, given.view ?? "grid", places.get(this.#known) ?? 0);
    this.#tellEmpty();
    this.#tellSide();
    // What is counted over everything must not stand before the rows.
    void feed.reach(0).then(() => (this.#feed === feed ? this.#count() : undefined));
  }

  #again() {
    this.#counting ||= setTimeout(() => {
      this.#counting = 0;
      void this.#count();
    }, COUNT_MS);
  }

  /** One asset changed: it stays in its place, with its new state. @param {string} uuid */
  async #changed(uuid) {
    this.#again();
    if (this.#feed.placeOf(uuid) === undefined) {
      if (this.#feed.ended && this.#feed.count < 50) this.#refreshSoon();
      return;
    }
    const isLast = this.#turns.begin(uuid);
    const detail = await get(`/assets/${uuid}`).catch(() => null);
    if (detail && isLast()) this.#feed.renew(detail.summary);
  }

  /** A short list is read again when something new may belong to it. */
  #refreshSoon() {
    this.#refreshing ||= setTimeout(() => {
      this.#refreshing = 0;
      this.#show();
    }, REFRESH_MS);
  }

  /** @param {import("../api.js").Schemas["AssetSummary"]} asset */
  #decided(asset) {
    this.#turns.begin(asset.uuid); // What was asked before this came is older.
    this.#feed.renew(asset);
  }

  // Counts

  async #count() {
    if (isAdmin()) {
      const status = await get("/ops/status").catch(() => null);
      if (status) this.#counts = { ...status.assets, unprocessable: status.unprocessable, missing: status.missing };
    }
    for (const flag of FLAGS) await this.#mark(flag);
    this.#tellSide();
  }

  /** @param {string} flag */
  async #mark(flag) {
    const answer = await get("/assets", { query: { flag, limit: 200 } }).catch(() => null);
    if (!answer) return;
    if (!(flag in this.#counts) || answer.items.length) this.#counts[flag] = Math.max(this.#counts[flag] ?? 0, answer.items.length);
    if (!answer.items.length) this.#counts[flag] = 0;
  }

  /** @param {{id: string, states: string[], flag?: string}} group */
  #countOf({ id, states, flag }) {
    if (flag) return this.#counts[flag] ?? 0;
    if (!isAdmin()) return null;
    const wanted = id === "all" ? Object.keys(this.#counts).filter((key) => key === key.toUpperCase() && key !== "PURGED") : states;
    return wanted.reduce((sum, state) => sum + (this.#counts[state] ?? 0), 0);
  }

  #tellSide() {
    const given = filters();
    const now = groupOf(given);
    /** @param {typeof GROUPS[number]} group */
    const entry = (group) => {
      const count = this.#countOf(group);
      const optional = group.flag || group.id === "moving" || group.id === "purged";
      if (optional && !count && group !== now) return null;
      const to = `/${address({ ...given, in: group.id === "all" ? "" : group.id })}`;
      return h(
        "a",
        { href: to, "aria-current": group === now && "true", class: group.flag ? "problem" : "" },
        h("span", { class: "dot", "data-state": group.states[0] ?? "" }),
        h("span", null, t(group.word)),
        count !== null && h("span", { class: "count" }, count ? number(count) : ""),
      );
    };
    fill(this.#side, h("h2", null, t("groups")), GROUPS.map(entry));
  }

  // What stands around the shelf

  #filters() {
    const given = filters();
    /** @param {string} name @param {string} value */
    const change = (name, value) => {
      const next = { ...filters(), [name]: value };
      go(`/${address(next)}`, { replace: true });
    };
    /** @param {string} name @param {Word} label @param {string[]} options @param {(value: string) => string} text */
    const select = (name, label, options, text) => {
      const box = h("select", { "aria-label": t(label), change: () => change(name, box.value) },
        options.map((value) => h("option", { value, selected: value === (given[name] ?? options[0]) }, text(value)))); // prettier-ignore
      return box;
    };
    let timer = 0;
    /** @param {string} name @param {Word} label @param {string} type */
    const field = (name, label, type) => {
      const input = h("input", {
        type, value: given[name] ?? "", "aria-label": t(label), placeholder: t(label), title: t(label), "data-filter": name,
        input: () => {
          clearTimeout(timer);
          timer = setTimeout(() => change(name, input.value.trim()), SETTLE_MS);
        },
      }); // prettier-ignore
      return input;
    };
    const views = ["grid", "list"].map((mode) =>
      h("label", { class: "view" }, h("input", { type: "radio", name: "view", value: mode, checked: (given.view ?? "grid") === mode, change: () => change("view", mode) }), t(/** @type {Word} */ (`view_${mode}`))),
    );
    return h(
      "form",
      { class: "filters", role: "search", submit: (/** @type {Event} */ e) => (e.preventDefault(), this.#shelf.focus()) },
      field("q", "filter_q", "search"),
      select("media_type", "filter_media", ["", "VIDEO", "PHOTO", "AUDIO"], (value) => (value ? say("media", value) : t("any_media"))),
      field("tags", "filter_tags", "text"),
      h("span", { class: "pair" }, field("from", "filter_from", "date"), "–", field("to", "filter_to", "date")),
      select("sort", "sort", SORTS, (value) => say("sort", value)),
      h("fieldset", { class: "views" }, h("legend", { class: "aloud" }, t("view")), views),
    );
  }

  #tellCurrent() {
    const asset = this.#shelf.current;
    const total = this.#feed.ended ? t("count_of", { at: this.#shelf.place + 1, n: this.#feed.count }) : t("count_more", { at: this.#shelf.place + 1, n: this.#feed.count });
    fill(
      this.#line,
      asset ? [h("span", { class: "state", "data-state": asset.state }, say("state", asset.state)), " ", named(asset.name ?? asset.uuid, { class: "name" }), h("span", { class: "soft grow" }, total),
        filters()["in"] === "rejected" && h("a", { class: "button small reject", href: "/purge" }, t("purge_list_open")),
        h("button", { class: "quiet small", click: () => void whyPanel(asset.uuid) }, t("why")),
        h("button", { class: "small", click: () => this.#open() }, t("open"))] : "",
    ); // prettier-ignore
  }

  #tellChosen() {
    const n = this.#shelf.selected.size;
    this.#bar.hidden = n === 0;
    const act = (/** @type {Action} */ action) => h("button", { class: `small ${action.toLowerCase()}`, click: () => void this.#decide(action) }, say("action", action));
    fill(this.#bar, h("strong", null, t("chosen_n", { n })), act("KEEP"), act("REJECT"), act("CLEAR"), n >= FEWEST && n <= MOST && h("button", { class: "small", click: () => this.#compare() }, t("compare"), " ", keycap("c")), this.#purgeable && h("button", { class: "small reject", click: () => this.#purge() }, t("purge")), h("button", { class: "quiet small", click: () => this.#shelf.clear() }, t("choose_none")));
    announce(t("chosen_n", { n }));
  }

  #tellEmpty() {
    const { error, begun, count } = this.#feed;
    const nothing = error || (begun && count === 0);
    this.#shelf.hidden = Boolean(nothing);
    this.#empty.hidden = !nothing && begun;
    if (error) fill(this.#empty, blank(t("list_failed"), explain(error), h("button", { click: () => this.#feed.retry() }, t("try_again"))));
    else if (!begun) fill(this.#empty, h("p", { class: "soft" }, t("loading")));
    else if (nothing) this.#tellNothing();
  }

  #tellNothing() {
    const given = filters();
    const { view, sort, ...narrow } = given;
    const all = h("a", { class: "button", href: `/${address({ ...(view ? { view } : {}) })}` }, t("show_all"));
    if (given.in === "decide" && Object.keys(narrow).length === 1)
      fill(this.#empty, blank(t("empty_decided"), t("empty_decided_help"), h("a", { class: "button", href: "/apply" }, t("nav_apply")), all));
    else if (Object.keys(narrow).length) fill(this.#empty, blank(t("empty_filter"), t("empty_filter_help"), all));
    else fill(this.#empty, blank(t("empty_library"), t("empty_library_help")));
  }

  // Keys

  /** @returns {import("../lib/keys.js").Shortcut[]} */
  #keys() {
    const shelf = this.#shelf;
    const list = () => shelf.dataset.mode === "list";
    /** @param {KeyboardEvent} event */
    const how = (event) => ({ extend: event.shiftKey });
    return [
      { keys: "ArrowLeft shift+ArrowLeft", does: "key_previous", act: (e) => !list() && shelf.goTo(shelf.place - 1, how(e)) },
      { keys: "ArrowRight shift+ArrowRight", does: "key_next", act: (e) => !list() && shelf.goTo(shelf.place + 1, how(e)) },
      { keys: "ArrowUp shift+ArrowUp", does: "key_row_up", act: (e) => shelf.place >= shelf.columns && shelf.step(-1, how(e)) },
      { keys: "ArrowDown shift+ArrowDown", does: "key_row_down", act: (e) => shelf.step(1, how(e)) },
      { keys: "PageUp", does: "key_page_up", act: (e) => shelf.step(-shelf.screen, how(e)) },
      { keys: "PageDown", does: "key_page_down", act: (e) => shelf.step(shelf.screen, how(e)) },
      { keys: "Home", does: "key_first", act: (e) => shelf.goTo(0, how(e)) },
      { keys: "End", does: "key_last", act: (e) => shelf.goTo(this.#feed.count - 1, how(e)) },
      { keys: ".", does: "key_board_on", act: () => void this.#scrub(1) },
      { keys: ",", does: "key_board_back", act: () => void this.#scrub(-1) },
      { keys: "Enter", does: "key_open", act: () => this.#open() },
      { keys: "Space", does: "key_choose", act: () => shelf.toggle() },
      { keys: "Escape", does: "choose_none", act: () => shelf.selected.size > 0 && shelf.clear() },
      { keys: "p", does: "action_KEEP", act: () => this.#decide("KEEP") },
      { keys: "x", does: "action_REJECT", act: () => this.#decide("REJECT") },
      { keys: "u", does: "action_CLEAR", act: () => this.#decide("CLEAR") },
      { keys: "c", does: "compare_chosen", act: () => this.#compare() },
      { keys: "w", does: "why", act: () => this.#shelf.current && whyPanel(this.#shelf.current.uuid) },
      { keys: "/", does: "key_search", act: () => this.querySelector("input")?.focus() },
    ];
  }

  /** @param {number} by */
  async #scrub(by) {
    const seen = await this.#shelf.scrub(by);
    if (seen) announce(t("board_at", seen));
    else note(t("board_none"));
  }

  #open() {
    const asset = this.#shelf.current;
    if (asset) go(`/review/${asset.uuid}${address(filters()) || "?in=all"}`);
  }

  /** Whether everything that is chosen lies among the rejects. */
  get #purgeable() {
    const chosen = [...this.#shelf.selected.values()];
    return chosen.length <= MOST_PURGED && chosen.every((asset) => asset.state === "REJECTED");
  }

  #purge() {
    go(`/purge?only=${[...this.#shelf.selected.keys()].join(",")}`);
  }

  /** What is chosen side by side; it is chosen still for who comes back. */
  #compare() {
    const chosen = new Map(this.#shelf.selected);
    const placeOf = (/** @type {string} */ uuid) => this.#feed.placeOf(uuid) ?? 0;
    left = { address: this.#known, chosen };
    compare([...chosen.keys()].sort((one, other) => placeOf(one) - placeOf(other)));
  }

  /** The selection, where there is one, after the person confirmed it; else the current asset. @param {Action} action */
  async #decide(action) {
    if (this.#shelf.selected.size) {
      if (await decideAll([...this.#shelf.selected.values()], action)) this.#shelf.clear();
      this.#shelf.focus();
      return;
    }
    const asset = this.#shelf.current;
    if (!asset) return;
    const detail = await get(`/assets/${asset.uuid}`).catch(() => null);
    const seen = detail?.decisions?.history?.length ?? -1;
    const name = asset.name ?? asset.uuid;
    const done = decisions.decide({ uuid: asset.uuid, name, state: detail?.summary.state ?? asset.state, seen }, action);
    note(t(done ? "decided" : "decided_before", { name: plain(name), action: say("action", action) }));
  }
}

customElements.define("r-library", Library);
