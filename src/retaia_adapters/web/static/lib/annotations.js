// What the person says of assets (tags, notes, fields, suggestions), until the server has it. What somebody
// else overtook outlives this page too, until the person says what holds.

import { nextAct } from "./acts.js";
import { freshKey, get, post, Refusal } from "./api.js";
import { Outbox } from "./outbox.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {Schemas["Annotations"]} Annotations */
/** @typedef {Schemas["SuggestionStatus"]} Status */
/** @typedef {{add_tags?: string[], remove_tags?: string[], notes?: string, notes_seen?: string, fields?: Record<string, unknown>, fields_seen?: Record<string, unknown>}} Edit */
/** @typedef {{tag: string, status: Status, seen: Status}} Settling */
/** @typedef {{uuid: string, name: string}} Of */
/** @typedef {Of & {edit?: Edit, settling?: Settling, key: string}} Waiting */
/** @typedef {Of & {edit?: Edit, settling?: Settling, act: number}} Done how it is taken back */
/** @typedef {Of & {part: string, mine: unknown, theirs: unknown}} Conflict part: `notes`, or `fields.` and a name */

const KNOWN = 60;

/** What an asset's annotations are with this said. @param {Annotations} doc @param {Waiting | Done} item @returns {Annotations} */
function after(doc, { edit, settling }) {
  if (settling) return settled(doc, settling);
  const { add_tags = [], remove_tags = [], notes, fields = {} } = edit ?? {};
  const kept = doc.tags.filter(({ tag }) => !remove_tags.includes(tag));
  const fresh = add_tags.filter((tag) => !kept.some((one) => one.tag === tag));
  const others = doc.fields.filter(({ name }) => !(name in fields));
  const said = Object.entries(fields).filter(([, value]) => value !== null);
  return {
    ...doc,
    tags: [...kept, ...fresh.map((tag) => ({ tag }))],
    notes: notes === undefined ? doc.notes : { text: notes },
    fields: [...others, ...said.map(([name, value]) => ({ name, value }))],
  };
}

/** @param {Annotations} doc @param {Settling} settling @returns {Annotations} */
function settled(doc, { tag, status }) {
  const source = doc.suggestions.find((one) => one.tag === tag)?.source ?? "";
  const there = doc.tags.find((one) => one.tag === tag);
  const accepted = status === "ACCEPTED";
  const tags = accepted && !there ? [...doc.tags, { tag, source }] : doc.tags.filter((one) => accepted || one.tag !== tag || !one.source);
  return { ...doc, tags, suggestions: doc.suggestions.map((one) => (one.tag === tag ? { ...one, status } : one)) };
}

/** @param {unknown} value */
const text = (value) => JSON.stringify(value ?? null);

/**
 * Dispatches also `changed` (detail: {uuid}) whenever there is something else to see of an asset, and `refused`
 * (detail: {item, error}); a conflict is kept instead, see `conflictsOf`.
 * @extends {Outbox<Waiting, Done>}
 */
class Said extends Outbox {
  /** @type {Conflict[]} */
  #conflicts = [];
  /** As the server has them, the one that was seen last at the end. @type {Map<string, Annotations>} */
  #known = new Map();
  /** How many times the server said what became of something. */
  #answers = 0;

  /** Whether something of an asset waits to be sent. @param {string} uuid */
  waits(uuid) {
    return this.queue.some((item) => item.uuid === uuid);
  }

  /** What somebody else overtook. @param {string} uuid */
  conflictsOf(uuid) {
    return this.#conflicts.filter((one) => one.uuid === uuid);
  }

  /** What is said of an asset, with what waits; undefined where it is not known. @param {string} uuid */
  of(uuid) {
    const doc = this.#known.get(uuid);
    return doc && this.queue.filter((item) => item.uuid === uuid).reduce(after, doc);
  }

  /** Ask the server anew. @param {string} uuid */
  async look(uuid) {
    const answers = this.#answers;
    const doc = await get(`/assets/${uuid}/annotations`);
    // What was answered meanwhile is newer.
    if (answers === this.#answers || !this.#known.has(uuid)) this.#know(uuid, doc);
  }

  /** @param {string} uuid @param {Annotations} doc */
  #know(uuid, doc) {
    this.#known.delete(uuid);
    this.#known.set(uuid, doc);
    for (const old of this.#known.keys()) if (this.#known.size > KNOWN && !this.waits(old)) this.#known.delete(old);
    this.#tell(uuid);
  }

  /** @param {string} uuid */
  #tell(uuid) {
    this.dispatchEvent(new CustomEvent("changed", { detail: { uuid } }));
  }

  // What a person says

  /** @param {Of} of @param {string} tag */
  addTag(of, tag) {
    this.#say(of, { edit: { add_tags: [tag] } }, { edit: { remove_tags: [tag] } });
  }

  /** @param {Of} of @param {string} tag */
  removeTag(of, tag) {
    this.#say(of, { edit: { remove_tags: [tag] } }, { edit: { add_tags: [tag] } });
  }

  /** @param {Of} of @param {string} notes @param {string} seen what the person changed: what came meanwhile is not theirs to replace */
  write(of, notes, seen) {
    if (seen === notes) return;
    const back = { edit: { notes: seen, notes_seen: notes } };
    this.#drop(of.uuid, "notes");
    const last = this.queue.at(-1);
    const merges = this.queue.length > 1 && last?.uuid === of.uuid && last.edit?.notes !== undefined;
    if (!merges) return this.#say(of, { edit: { notes, notes_seen: seen } }, back);
    this.queue.pop();
    this.#say(of, { edit: { notes, notes_seen: last?.edit?.notes_seen ?? "" } }, back);
  }

  /** @param {Of} of @param {string} name @param {unknown} value null for none @param {unknown} seen what the person changed */
  fill(of, name, value, seen) {
    if (text(seen) === text(value)) return;
    this.#drop(of.uuid, `fields.${name}`);
    const edit = { fields: { [name]: value }, fields_seen: { [name]: seen } };
    this.#say(of, { edit }, { edit: { fields: edit.fields_seen, fields_seen: edit.fields } });
  }

  /** @param {Of} of @param {string} tag @param {Status} status */
  settle(of, tag, status) {
    const seen = this.of(of.uuid)?.suggestions.find((one) => one.tag === tag)?.status ?? "PENDING";
    if (seen !== status) this.#say(of, { settling: { tag, status, seen } }, { settling: { tag, status: seen, seen: status } });
  }

  /** Say which of two holds, the person's own or somebody else's. @param {Conflict} conflict @param {unknown} value */
  resolve(conflict, value) {
    const { part, mine, theirs, ...of } = conflict;
    this.#drop(of.uuid, part);
    const name = part.replace(/^fields\./, "");
    if (part === "notes") this.write(of, String(value), String(theirs));
    else this.fill(of, name, value, theirs);
    this.#tell(of.uuid);
  }

  /** @param {Of} of @param {{edit?: Edit, settling?: Settling}} said @param {{edit?: Edit, settling?: Settling}} back */
  #say({ uuid, name }, said, back) {
    this.remember({ uuid, name, ...back, act: nextAct() });
    this.add({ uuid, name, ...said, key: freshKey() });
  }

  /** Take the last act back. @returns {Done | undefined} */
  undo() {
    const last = this.done.pop();
    if (!last) return undefined;
    const { act, ...item } = last;
    this.add({ ...item, key: freshKey() });
    return last;
  }

  // The queue

  /** @override @param {Waiting} item */
  add(item) {
    super.add(item);
    this.#tell(item.uuid);
  }

  /** @override */
  kept() {
    const conflicts = this.#conflicts;
    return this.queue.length || conflicts.length ? { queue: this.queue, conflicts } : null;
  }

  /** @override @param {{queue: Waiting[], conflicts: Conflict[]}} kept */
  take(kept) {
    super.take(kept);
    this.#conflicts = kept.conflicts;
  }

  /** @param {string} uuid @param {string} part */
  #drop(uuid, part) {
    this.#conflicts = this.#conflicts.filter((one) => one.uuid !== uuid || one.part !== part);
    this.keep();
  }

  /** @override @param {Waiting} item */
  send({ uuid, edit, settling, key }) {
    return post(`/assets/${uuid}/${settling ? "suggestions" : "annotations"}`, { body: settling ?? edit ?? {}, key });
  }

  /** @override @param {Waiting} item @param {Annotations} doc */
  sent({ uuid }, doc) {
    this.#answers += 1;
    this.#know(uuid, doc);
  }

  /** @override @param {Waiting} item @param {unknown} error */
  async refused(item, error) {
    this.queue.shift();
    this.forget(({ uuid }) => uuid === item.uuid);
    const theirs = error instanceof Refusal ? /** @type {Record<string, unknown> | undefined} */ (error.details["theirs"]) : undefined;
    for (const [part, value] of Object.entries(theirs ?? {})) this.#overtaken(item, part, value);
    this.keep();
    if (!theirs) this.dispatchEvent(new CustomEvent("refused", { detail: { item, error } }));
    await this.look(item.uuid).catch(() => undefined);
    this.#tell(item.uuid);
  }

  /** The last that was wanted is what the person is asked about; what still waits of it is taken out. @param {Waiting} item @param {string} part @param {unknown} theirs */
  #overtaken({ uuid, name, edit }, part, theirs) {
    /** @param {Edit | undefined} said */
    const wanted = (said) => (part === "notes" ? said?.notes : said?.fields?.[part.slice("fields.".length)]);
    const later = this.withdraw((one) => one.uuid === uuid && wanted(one.edit) !== undefined);
    const mine = wanted(later.at(-1)?.edit) ?? wanted(edit) ?? null;
    this.#drop(uuid, part);
    if (text(mine) !== text(theirs)) this.#conflicts.push({ uuid, name, part, mine, theirs });
  }
}

export const annotations = new Said("retaia.annotations");
