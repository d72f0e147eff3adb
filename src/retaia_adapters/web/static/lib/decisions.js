// What the person decided, until the server has it; of what waits the browser keeps an asset, a verdict and a
// key, nothing secret.

import { nextAct } from "./acts.js";
import { freshKey, get, post } from "./api.js";
import { Outbox } from "./outbox.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {"KEEP" | "REJECT" | "CLEAR"} Action */
/** @typedef {{uuid: string, name: string, action: Action, key: string, seen: number}} Waiting */
/** @typedef {{uuid: string, name: string, before: Action, act: number}} Done */
/** @typedef {{uuid: string, name: string, state: string, seen: number}} Decided `seen`: how many decisions were known */

const OPEN = ["DECISION_PENDING", "DECIDED_KEEP", "DECIDED_REJECT"];

/** Whether a person may decide on an asset in this state. @param {string} state */
export const isOpen = (state) => OPEN.includes(state);

/** @param {string} state @returns {Action} what puts an asset back into this state */
export function verdictOf(state) {
  return state === "DECIDED_KEEP" ? "KEEP" : state === "DECIDED_REJECT" ? "REJECT" : "CLEAR";
}

/** @param {Action} action */
export const stateAfter = (action) =>
  action === "KEEP" ? "DECIDED_KEEP" : action === "REJECT" ? "DECIDED_REJECT" : "DECISION_PENDING";

/**
 * Dispatches also `decided` (detail: the asset), `refused` (detail: {item, error}) and `meanwhile`
 * (detail: {item, others}), where somebody else decided too.
 * @extends {Outbox<Waiting, Done>}
 */
class Decisions extends Outbox {
  /** What waits to be decided of an asset. @param {string} uuid */
  pending(uuid) {
    return this.queue.findLast((item) => item.uuid === uuid)?.action;
  }

  /** @param {Decided} asset @param {Action} action */
  decide(asset, action) {
    return this.decideTogether([[asset, action]]) === 1;
  }

  /** Several decisions as one act, which is taken back as one. @param {Array<[Decided, Action]>} each @returns {number} how many were new */
  decideTogether(each) {
    const fresh = each.filter(([{ uuid, state }, action]) => (this.pending(uuid) ?? verdictOf(state)) !== action);
    const act = nextAct();
    for (const [{ uuid, name, state, seen }, action] of fresh) {
      this.remember({ uuid, name, before: this.pending(uuid) ?? verdictOf(state), act });
      this.add({ uuid, name, action, key: freshKey(), seen });
    }
    return fresh.length;
  }

  /** Take the last act back: the decisions that it was made of, the last one first. @returns {Done[]} */
  undo() {
    const act = this.done.at(-1)?.act;
    const last = this.forget((done) => done.act === act).reverse();
    last.forEach((done) => this.#back(done));
    return last;
  }

  /** Take back only what was decided last of one asset. @param {string} uuid @returns {Done | undefined} */
  undoOf(uuid) {
    const at = this.done.findLastIndex((done) => done.uuid === uuid);
    const [last] = at < 0 ? [] : this.done.splice(at, 1);
    if (last) this.#back(last);
    return last;
  }

  /** @param {Done} done */
  #back({ uuid, name, before }) {
    this.add({ uuid, name, action: before, key: freshKey(), seen: -1 });
  }

  /** @override @param {Waiting} item */
  send({ uuid, action, key }) {
    return post(`/assets/${uuid}/decision`, { body: { action }, key });
  }

  /** @override @param {Waiting} item @param {Schemas["AssetSummary"]} asset */
  sent(item, asset) {
    this.dispatchEvent(new CustomEvent("decided", { detail: asset }));
    void this.#compare(item);
  }

  /** @override @param {Waiting} item @param {unknown} error */
  async refused(item, error) {
    this.over();
    this.forget(({ uuid }) => uuid === item.uuid);
    this.dispatchEvent(new CustomEvent("refused", { detail: { item, error } }));
  }

  /** Whether somebody decided between what this person saw and what they decided. @param {Waiting} item */
  async #compare(item) {
    if (item.seen < 0) return;
    /** @type {Schemas["AssetDetail"]} */
    const detail = await get(`/assets/${item.uuid}`).catch(() => ({ decisions: { history: [] } }));
    const others = (detail.decisions?.history ?? []).slice(item.seen, -1);
    if (others.length) this.dispatchEvent(new CustomEvent("meanwhile", { detail: { item, others } }));
  }
}

export const decisions = new Decisions("retaia.waiting");
