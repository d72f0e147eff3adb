// What the person decided, until the server has it. A decision is sent in order, again and again under the
// same key while the server is away, and outlives this page: what waits is kept in the browser's storage
// (an asset, a verdict, a key; nothing secret).

import { nextAct } from "./acts.js";
import { freshKey, get, post, reach, Refusal, Unreachable } from "./api.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {"KEEP" | "REJECT" | "CLEAR"} Action */
/** @typedef {{uuid: string, name: string, action: Action, key: string, seen: number}} Waiting */
/** @typedef {{uuid: string, name: string, before: Action, act: number}} Done `act`: what was decided at once has one number */
/** @typedef {{uuid: string, name: string, state: string, seen: number}} Decided `seen`: how many decisions were known */

const KEPT = "retaia.waiting";
const UNDO_DEPTH = 200;

/** @param {unknown} error */
const passing = (error) => error instanceof Unreachable || (error instanceof Refusal && error.retryable);

/** @param {string} state @returns {Action} what puts an asset back into this state */
export function verdictOf(state) {
  return state === "DECIDED_KEEP" ? "KEEP" : state === "DECIDED_REJECT" ? "REJECT" : "CLEAR";
}

/** @param {Action} action */
export const stateAfter = (action) =>
  action === "KEEP" ? "DECIDED_KEEP" : action === "REJECT" ? "DECIDED_REJECT" : "DECISION_PENDING";

/**
 * Dispatches `waiting` when the queue changed; `decided` (detail: the asset), `refused`
 * (detail: {item, error}) and `meanwhile` (detail: {item, others}), where somebody else decided too.
 */
class Decisions extends EventTarget {
  /** @type {Waiting[]} */
  #queue = [];
  /** @type {Done[]} */
  #done = [];
  #running = false;
  #account = "";

  /** Take up what an earlier page of this person left. @param {string} account */
  begin(account) {
    this.#account = account;
    const kept = JSON.parse(localStorage.getItem(KEPT) ?? "null");
    if (kept?.account === account) this.#queue = kept.queue;
    this.#changed();
    void this.#run();
  }

  get waiting() {
    return this.#queue.length;
  }

  /** The number of the last act that can be taken back. */
  get lastAct() {
    return this.#done.at(-1)?.act ?? 0;
  }

  /** What waits to be decided of an asset. @param {string} uuid */
  pending(uuid) {
    return this.#queue.findLast((item) => item.uuid === uuid)?.action;
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
      this.#done.push({ uuid, name, before: this.pending(uuid) ?? verdictOf(state), act });
      if (this.#done.length > UNDO_DEPTH) this.#done.shift();
      this.#add({ uuid, name, action, key: freshKey(), seen });
    }
    return fresh.length;
  }

  /** Take the last act back: the decisions that it was made of, the last one first. @returns {Done[]} */
  undo() {
    const act = this.#done.at(-1)?.act;
    const last = this.#done.filter((done) => done.act === act).reverse();
    this.#done = this.#done.filter((done) => done.act !== act);
    last.forEach((done) => this.#back(done));
    return last;
  }

  /** Take back only what was decided last of one asset. @param {string} uuid @returns {Done | undefined} */
  undoOf(uuid) {
    const at = this.#done.findLastIndex((done) => done.uuid === uuid);
    const [last] = at < 0 ? [] : this.#done.splice(at, 1);
    if (last) this.#back(last);
    return last;
  }

  /** @param {Done} done */
  #back({ uuid, name, before }) {
    this.#add({ uuid, name, action: before, key: freshKey(), seen: -1 });
  }

  /** @param {Waiting} item */
  #add(item) {
    this.#queue.push(item);
    this.#changed();
    void this.#run();
  }

  #changed() {
    if (this.#account) {
      if (this.#queue.length) localStorage.setItem(KEPT, JSON.stringify({ account: this.#account, queue: this.#queue }));
      else localStorage.removeItem(KEPT);
    }
    this.dispatchEvent(new Event("waiting"));
  }

  async #run() {
    if (this.#running) return;
    this.#running = true;
    for (let wait = 500; this.#queue.length; ) {
      const item = /** @type {Waiting} */ (this.#queue[0]);
      try {
        const asset = await post(`/assets/${item.uuid}/decision`, { body: { action: item.action }, key: item.key });
        this.#over();
        this.dispatchEvent(new CustomEvent("decided", { detail: asset }));
        void this.#compare(item);
        wait = 500;
      } catch (error) {
        if (passing(error)) {
          await untilReached(error instanceof Refusal && error.after ? error.after * 1000 : wait);
          wait = Math.min(wait * 2, 10_000);
          continue;
        }
        this.#over();
        this.#done = this.#done.filter((done) => done.uuid !== item.uuid);
        this.dispatchEvent(new CustomEvent("refused", { detail: { item, error } }));
      }
    }
    this.#running = false;
  }

  #over() {
    this.#queue.shift();
    this.#changed();
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

/** @param {number} ms */
function untilReached(ms) {
  return new Promise((go) => {
    setTimeout(go, ms);
    reach.addEventListener("up", go, { once: true });
  });
}

export const decisions = new Decisions();
