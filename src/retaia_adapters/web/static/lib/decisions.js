// What the person decided, until the server has it. A decision is sent in order, again and again under the
// same key while the server is away, and outlives this page: what waits is kept in the browser's storage
// (an asset, a verdict, a key; nothing secret).

import { freshKey, get, post, reach, Refusal, Unreachable } from "./api.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {"KEEP" | "REJECT" | "CLEAR"} Action */
/** @typedef {{uuid: string, name: string, action: Action, key: string, seen: number}} Waiting */
/** @typedef {{uuid: string, name: string, before: Action}} Done */

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

  get undoable() {
    return this.#done.length;
  }

  /** What waits to be decided of an asset. @param {string} uuid */
  pending(uuid) {
    return this.#queue.findLast((item) => item.uuid === uuid)?.action;
  }

  /**
   * @param {{uuid: string, name: string, state: string, seen: number}} asset `seen`: how many decisions were known
   * @param {Action} action
   */
  decide({ uuid, name, state, seen }, action) {
    const before = this.pending(uuid) ?? verdictOf(state);
    if (before === action) return false;
    this.#done.push({ uuid, name, before });
    if (this.#done.length > UNDO_DEPTH) this.#done.shift();
    this.#add({ uuid, name, action, key: freshKey(), seen });
    return true;
  }

  /** Take the last decision back. @returns {Done | undefined} */
  undo() {
    const last = this.#done.pop();
    if (last) this.#add({ uuid: last.uuid, name: last.name, action: last.before, key: freshKey(), seen: -1 });
    return last;
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
