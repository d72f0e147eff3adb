// What a person says of an asset, beside it: tags, notes, fields; and what a model suggests.

import { annotations } from "../lib/annotations.js";
import { get, isReached, reach } from "../lib/api.js";
import { completion } from "../lib/completion.js";
import { fill, h, isTyping, named, plain } from "../lib/dom.js";
import { news } from "../lib/events.js";
import { number } from "../lib/format.js";
import { keycap } from "../lib/keys.js";
import { actorName } from "../lib/person.js";
import { Player } from "../lib/player.js";
import { announce, explain } from "../lib/tell.js";
import { undoLast } from "../lib/undo.js";
import { locale, say, t } from "../lib/words.js";
import { transcriptOf } from "./transcript.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {import("../lib/annotations.js").Conflict} Conflict */
/** @typedef {Schemas["FieldDefinition"]} Definition */
/** @typedef {{uuid: string, name: string, detail: Schemas["AssetDetail"], view: unknown}} Shown */
/** @typedef {{definition: Definition, input: HTMLInputElement | HTMLSelectElement, said: HTMLElement, seen: unknown}} Row seen: what the person had before them */

const SUGGEST = "features.ai.suggest_tags";
const TRANSCRIBE = "features.ai.transcribe_audio";
const PAUSE_MS = 1000;
const COMPLETED = 12;

/** @type {Promise<Definition[]> | null} */
let declared = null;
/** @type {Promise<Record<string, boolean>> | null} */
let features = null;
news.addEventListener("policy", () => (features = null));

const fieldsOf = () => (declared ??= get("/app/fields").then(({ items }) => items, (error) => ((declared = null), Promise.reject(error)))); // prettier-ignore
const featuresOf = () => (features ??= get("/auth/me/features").then((said) => said.effective_feature_enabled, (error) => ((features = null), Promise.reject(error)))); // prettier-ignore

/** Who said it last and when, to be read on demand. @param {{by?: string, since?: string, source?: string}} said */
function origin({ by, since, source }) {
  const who = by && since ? t("said_by", { by: plain(actorName(by)), when: new Date(since).toLocaleString(locale) }) : "";
  return [who, source ? t("suggested_by", { source: plain(source) }) : ""].filter(Boolean).join(" · ");
}

/** What a field takes. @param {Definition} definition */
const allowed = ({ type, choices = [] }) => [say("field", type), choices.map(plain).join(", ")].filter(Boolean).join(" ");

class AnnotationsPanel extends HTMLElement {
  /** @type {Shown | null} */
  #shown = null;
  /** @type {Definition[]} */
  #definitions = [];
  /** @type {Record<string, boolean>} */
  #features = {};
  #chips = h("ul", { class: "chips" });
  #suggested = h("section", { class: "suggested", "aria-label": t("suggestions") });
  #notes = h("textarea", { id: "notes", rows: 4, class: "notes-field", maxLength: 100_000, "aria-keyshortcuts": "N" });
  #notesSaid = h("p", { class: "soft small-text" });
  #conflicts = h("div", { class: "conflicts" });
  #fields = h("div", { class: "fields" });
  #others = h("div");
  #transcript = h("div");
  #state = h("p", { class: "saved soft", role: "status" });
  /** @type {Row[]} */
  #rows = [];
  #input = completion({ label: t("tag_add"), find: (typed) => this.#complete(typed), take: (tag) => this.#add(tag), press: (event) => this.#press(event) });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #soon;
  #was = "";
  /** @type {Array<() => void>} */
  #ends = [];

  connectedCallback() {
    this.#input.input.setAttribute("aria-keyshortcuts", "T");
    fill(
      this,
      h("div", { class: "panel-head" }, h("h2", null, t("tags"), " ", keycap("t")), this.#state),
      this.#chips, this.#input.box, this.#suggested,
      h("h2", null, h("label", { htmlFor: "notes" }, t("notes_label")), " ", keycap("n")), this.#notes, this.#notesSaid, this.#conflicts,
      this.#fields, this.#others, this.#transcript,
    ); // prettier-ignore
    this.#notes.addEventListener("input", () => {
      clearTimeout(this.#soon);
      this.#soon = setTimeout(() => this.#write(), PAUSE_MS);
    });
    this.#notes.addEventListener("change", () => this.#write());
    this.addEventListener("keydown", (event) => this.#leaveField(event));
    this.#on(annotations, "changed", (event) => /** @type {CustomEvent} */ (event).detail.uuid === this.#shown?.uuid && this.#tell());
    this.#on(annotations, "waiting", () => this.#tellState());
    this.#on(reach, "up", () => this.#shown && void this.#look());
    this.#on(reach, "down", () => this.#tellState());
    this.#on(news, "asset", (event) => /** @type {CustomEvent} */ (event).detail.id === this.#shown?.uuid && void this.#look());
    this.#on(news, "all", () => this.#shown && void this.#look());
    this.#on(window, "pagehide", () => this.#write());
    this.hidden = !this.#shown;
  }

  disconnectedCallback() {
    this.#write();
    for (const end of this.#ends.splice(0)) end();
  }

  /** @param {EventTarget} target @param {string} name @param {(event: Event) => unknown} act */
  #on(target, name, act) {
    target.addEventListener(name, act);
    this.#ends.push(() => target.removeEventListener(name, act));
  }

  // Showing

  /** @param {Shown} shown */
  show(shown) {
    const same = this.#shown?.uuid === shown.uuid;
    const spoken = JSON.stringify([shown.uuid, shown.detail.transcript]);
    if (!same) this.#write();
    this.#shown = shown;
    this.hidden = false;
    if (!same) {
      this.#notes.value = this.#was = "";
      this.#input.input.value = "";
      this.#rows = [];
      fill(this.#fields);
      this.#tell();
      void this.#look();
    }
    if (this.#transcript.dataset["of"] !== spoken) {
      this.#transcript.dataset["of"] = spoken;
      void this.#tellTranscript(shown);
    }
  }

  /** Nothing is shown any more; what was written is kept. */
  hide() {
    this.#write();
    this.#shown = null;
    this.hidden = true;
    delete this.#transcript.dataset["of"];
    fill(this.#transcript);
  }

  async #look() {
    const shown = this.#shown;
    if (!shown) return;
    try {
      const [definitions, on] = await Promise.all([fieldsOf(), featuresOf(), annotations.look(shown.uuid)]);
      [this.#definitions, this.#features] = [definitions, on];
    } catch (error) {
      if (this.#shown === shown && !annotations.of(shown.uuid)) fill(this.#notesSaid, explain(error));
      return;
    }
    if (this.#shown === shown) this.#tell();
  }

  #tell() {
    const shown = this.#shown;
    if (!shown) return;
    const known = annotations.of(shown.uuid);
    const doc = known ?? { tags: (shown.detail.summary.tags ?? []).map((tag) => ({ tag })), notes: { text: "" }, fields: [], suggestions: [] };
    this.#notes.readOnly = !known;
    this.#tellTags(doc);
    this.#tellSuggestions(doc);
    this.#tellNotes(doc);
    this.#tellFields(doc);
    this.#tellConflicts(shown);
    this.#tellState();
  }

  /** @param {Schemas["Annotations"]} doc */
  #tellTags({ tags }) {
    const of = JSON.stringify(tags);
    if (this.#chips.dataset["of"] === of) return;
    this.#chips.dataset["of"] = of;
    const chip = (/** @type {Schemas["AnnotatedTag"]} */ one) =>
      h("li", { title: origin(one), class: one.source ? "from-model" : null }, named(one.tag),
        h("button", { class: "quiet small", "data-act": one.tag, "aria-label": t("tag_remove", { tag: plain(one.tag) }), click: () => this.#remove(one.tag) }, "×")); // prettier-ignore
    this.#redraw(this.#chips, tags.length ? tags.map(chip) : [h("li", { class: "none" }, t("tags_none"))]);
  }

  /** The focus stays on its very button; where that goes, the first of what is next gets it. @param {HTMLElement} list @param {import("../lib/dom.js").Child[]} children */
  #redraw(list, children) {
    const held = document.activeElement;
    const items = () => [...list.querySelectorAll("li")];
    const at = items().findIndex((item) => item.contains(held));
    fill(list, children);
    if (at < 0 || !(held instanceof HTMLElement)) return;
    const same = [...list.querySelectorAll("button")].find((button) => button.dataset["act"] === held.dataset["act"]);
    const next = items()[at] ?? items().at(-1);
    (same ?? next?.querySelector("button") ?? this.#input.input).focus();
  }

  /** @param {Schemas["Annotations"]} doc */
  #tellSuggestions({ suggestions, tags }) {
    const on = this.#features[SUGGEST] === true;
    const of = JSON.stringify([on, suggestions, tags]);
    if (this.#suggested.dataset["of"] === of) return;
    this.#suggested.dataset["of"] = of;
    const open = suggestions.filter(({ status }) => status === "PENDING");
    const refused = suggestions.filter(({ status }) => status === "REFUSED");
    const opened = this.#suggested.querySelector("details")?.open ?? false;
    this.#suggested.hidden = !on;
    if (!on) return fill(this.#suggested);
    const act = (/** @type {Schemas["Suggestion"]} */ one, /** @type {Schemas["SuggestionStatus"]} */ status, /** @type {string} */ sign, /** @type {import("../lib/words.js").Word} */ word) =>
      h("button", { class: "quiet small", "data-act": `${status} ${one.tag}`, "aria-label": t(word, { tag: plain(one.tag) }), title: t(word, { tag: plain(one.tag) }), click: () => this.#settle(one.tag, status) }, sign);
    this.#redraw(this.#suggested, [
      h("h3", null, t("suggestions")),
      suggestions.length
        ? h("ul", { class: "chips" }, open.map((one) => h("li", { class: "suggestion", title: origin({ source: one.source }) }, named(one.tag), act(one, "ACCEPTED", "✓", "suggestion_accept"), act(one, "REFUSED", "×", "suggestion_refuse"))))
        : h("p", { class: "soft" }, t("suggestions_none")),
      suggestions.length > 0 && !open.length && h("p", { class: "soft" }, t("suggestions_done")),
      refused.length > 0 && h("details", { open: opened }, h("summary", null, t("suggestions_refused", { n: refused.length })),
        h("ul", { class: "chips" }, refused.map((one) => h("li", { title: origin(one) }, named(one.tag), act(one, "PENDING", "↶", "suggestion_back"))))),
    ]); // prettier-ignore
  }

  /** What is being written stays. @param {Schemas["Annotations"]} doc */
  #tellNotes({ notes }) {
    const untouched = this.#notes.value === this.#was;
    if (untouched && this.#notes.value !== notes.text) this.#notes.value = notes.text;
    if (untouched || this.#notes.value === notes.text) this.#was = notes.text;
    this.#notes.placeholder = this.#notes.readOnly ? t("loading") : t("notes_help");
    fill(this.#notesSaid, notes.text || notes.by ? origin(notes) : "");
  }

  /** @param {Schemas["Annotations"]} doc */
  #tellFields({ fields }) {
    if (this.#rows.length !== this.#definitions.length) this.#rows = this.#makeRows();
    for (const row of this.#rows) {
      const { definition, input, said } = row;
      const field = fields.find(({ name }) => name === definition.name);
      const shown = field === undefined ? "" : String(field.value);
      if (input !== document.activeElement) [row.seen, input.value] = [field?.value ?? null, shown];
      input.title = field ? origin(field) : "";
      fill(said, field?.problem ? t("field_unfit", { value: plain(String(field.value)), allowed: allowed(definition) }) : "");
    }
    const others = fields.filter(({ name }) => !this.#definitions.some((one) => one.name === name));
    fill(this.#others, others.length > 0 && [
      h("h3", null, t("fields_other")),
      h("dl", { class: "facts" }, others.flatMap((one) => [h("dt", null, named(one.name)), h("dd", { title: origin(one) }, plain(typeof one.value === "string" ? one.value : JSON.stringify(one.value)))])),
    ]); // prettier-ignore
  }

  #makeRows() {
    const rows = this.#definitions.map((definition) => this.#row(definition));
    fill(this.#fields, rows.length > 0 && [
      h("h2", null, t("fields")),
      ...rows.map(({ definition, input, said }) => h("div", { class: "field" }, h("label", { htmlFor: input.id }, plain(definition.label)), input, said)),
    ]); // prettier-ignore
    return rows;
  }

  /** @param {Definition} definition @returns {Row} */
  #row(definition) {
    const id = `field-${definition.name}`;
    const said = h("p", { class: "wrong-text", id: `${id}-said`, role: "alert" });
    const input = this.#control(definition, id);
    input.setAttribute("aria-describedby", said.id);
    /** @type {Row} */
    const row = { definition, input, said, seen: null };
    input.addEventListener("change", () => this.#fill(row));
    return row;
  }

  /** @param {Definition} definition @param {string} id */
  #control({ type, choices = [] }, id) {
    const options = type === "boolean" ? [["true", t("yes")], ["false", t("no")]] : choices.map((one) => [one, plain(one)]); // prettier-ignore
    if (type === "boolean" || type === "choice") return h("select", { id }, h("option", { value: "" }, t("field_empty")), options.map(([value, text]) => h("option", { value }, text ?? "")));
    if (type === "date") return h("input", { id, type: "date" });
    if (type === "text") return h("input", { id, maxLength: 10_000 });
    return h("input", { id, type: "number", step: type === "integer" ? "1" : "any" });
  }

  /** @param {Shown} shown */
  #tellConflicts({ uuid }) {
    const all = annotations.conflictsOf(uuid);
    const of = JSON.stringify(all);
    if (this.#conflicts.dataset["of"] === of) return;
    this.#conflicts.dataset["of"] = of;
    fill(this.#conflicts, all.map((one) => this.#conflict(one)));
  }

  /** @param {Conflict} conflict */
  #conflict(conflict) {
    const { part, mine, theirs } = conflict;
    const label = part === "notes" ? t("notes_label") : (this.#definitions.find(({ name }) => `fields.${name}` === part)?.label ?? part);
    const both = `${theirs}\n${mine}`;
    const choose = (/** @type {import("../lib/words.js").Word} */ word, /** @type {unknown} */ value) =>
      h("button", { class: "small", click: () => (annotations.resolve(conflict, value), this.#notes.focus()) }, t(word));
    return h("div", { class: "conflict", role: "alert" },
      h("p", null, t("conflict", { part: plain(label) })),
      h("dl", null, h("dt", null, t("conflict_theirs")), h("dd", null, plain(String(theirs ?? t("field_empty")))), h("dt", null, t("conflict_mine")), h("dd", null, plain(String(mine ?? t("field_empty"))))),
      h("p", { class: "acts" }, choose("conflict_keep_theirs", theirs), choose("conflict_keep_mine", mine), part === "notes" && choose("conflict_keep_both", both))); // prettier-ignore
  }

  #tellState() {
    const shown = this.#shown;
    const waits = shown !== null && annotations.waits(shown.uuid);
    const said = shown === null || !annotations.of(shown.uuid) ? "" : waits ? t(isReached() ? "sending" : "said_waits") : t("said_saved");
    if (this.#state.textContent !== said) fill(this.#state, said);
  }

  /** @param {Shown} shown */
  async #tellTranscript({ uuid, detail, view }) {
    const status = detail.transcript?.status ?? "NONE";
    const on = await featuresOf().catch(() => /** @type {Record<string, boolean>} */ ({}));
    if (this.#shown?.uuid !== uuid) return;
    if (!(view instanceof Player) || (status === "NONE" && !on[TRANSCRIBE])) return fill(this.#transcript);
    if (status === "DONE") return fill(this.#transcript, transcriptOf(uuid, view));
    const word = status === "RUNNING" ? "transcript_running" : status === "FAILED" ? "transcript_failed" : "transcript_none";
    fill(this.#transcript, h("h2", null, t("transcript")), h("p", { class: "soft" }, t(word)));
  }

  // What a person does

  /** @param {string} typed */
  async #complete(typed) {
    const { items } = await get("/tags", { query: { prefix: typed, limit: COMPLETED } });
    const here = annotations.of(this.#shown?.uuid ?? "")?.tags.map(({ tag }) => tag) ?? [];
    return /** @type {Schemas["TagUse"][]} */ (items)
      .filter(({ tag }) => !here.includes(tag))
      .map(({ tag, assets, at_least }) => ({ value: tag, more: `${number(assets, 0)}${at_least ? "+" : ""}` }));
  }

  /** @param {string} tag */
  #add(tag) {
    const shown = this.#shown;
    if (!shown || annotations.of(shown.uuid)?.tags.some((one) => one.tag === tag)) return;
    annotations.addTag(shown, tag);
    announce(t("tag_added", { tag: plain(tag) }));
  }

  /** @param {string} tag */
  #remove(tag) {
    if (this.#shown) annotations.removeTag(this.#shown, tag);
    announce(t("tag_removed", { tag: plain(tag) }));
  }

  /** @param {string} tag @param {Schemas["SuggestionStatus"]} status */
  #settle(tag, status) {
    if (this.#shown) annotations.settle(this.#shown, tag, status);
    announce(`${say("suggested", status)}: ${plain(tag)}`);
  }

  #write() {
    clearTimeout(this.#soon);
    const value = this.#notes.value;
    if (!this.#shown || value === this.#was || this.#notes.readOnly) return;
    const seen = this.#was;
    this.#was = value;
    annotations.write(this.#shown, value, seen);
  }

  /** @param {Row} row */
  #fill(row) {
    const { input, said } = row;
    const { name, type } = row.definition;
    if (!this.#shown) return;
    const unfit = !input.validity.valid;
    fill(said, unfit ? t("field_wrong", { allowed: allowed(row.definition) }) : "");
    if (unfit) return;
    const text = input.value;
    const value = text === "" ? null : type === "boolean" ? text === "true" : type === "integer" || type === "number" ? Number(text) : text;
    const seen = row.seen;
    row.seen = value;
    annotations.fill(this.#shown, name, value, seen);
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    const undoes = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
    if (!undoes || this.#input.input.value) return;
    event.preventDefault();
    undoLast();
  }

  /** Escape gives the keys back to the view. @param {KeyboardEvent} event */
  #leaveField(event) {
    if (event.key !== "Escape" || !isTyping(event)) return;
    event.preventDefault();
    event.stopPropagation();
    /** @type {HTMLElement} */ (event.target).blur();
  }

  /** @returns {import("../lib/keys.js").Shortcut[]} */
  keys() {
    const focus = (/** @type {HTMLElement} */ one) => (this.hidden ? false : one.focus());
    return [
      { keys: "t", does: "key_tags", act: () => focus(this.#input.input) },
      { keys: "n", does: "key_notes", act: () => focus(this.#notes) },
    ];
  }
}

customElements.define("r-annotations", AnnotationsPanel);

export const annotationsPanel = () => /** @type {AnnotationsPanel} */ (document.createElement("r-annotations"));
