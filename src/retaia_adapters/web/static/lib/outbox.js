// What a person said, until the server has it: it is seen at once, sent in order, and again and again under the
// same key while the server is away. What waits outlives this page in the browser's storage, for this person.

import { reach, Refusal, Unreachable } from "./api.js";

const UNDO_DEPTH = 200;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;

/** @param {unknown} error */
const passing = (error) => error instanceof Unreachable || (error instanceof Refusal && error.retryable);

/**
 * Dispatches `waiting` when the queue changed. What is said, how it is sent and what comes of it are a class's own.
 * @template {{uuid: string, key: string}} Item what waits
 * @template {{uuid: string, act: number}} Done how something is taken back; `act`: what was done at once has one number
 */
export class Outbox extends EventTarget {
  /** @type {Item[]} */
  queue = [];
  /** @type {Done[]} */
  done = [];
  #place;
  #running = false;
  #account = "";

  /** @param {string} place where the browser keeps it */
  constructor(place) {
    super();
    this.#place = place;
  }

  /** Take up what an earlier page of this person left. @param {string} account */
  begin(account) {
    this.#account = account;
    const kept = JSON.parse(localStorage.getItem(this.#place) ?? "null");
    if (kept?.account === account) this.take(kept);
    this.keep();
    void this.#run();
  }

  get waiting() {
    return this.queue.length;
  }

  /** The number of the last act that can be taken back. */
  get lastAct() {
    return this.done.at(-1)?.act ?? 0;
  }

  /** What is kept, null for nothing. @returns {object | null} */
  kept() {
    return this.queue.length ? { queue: this.queue } : null;
  }

  /** Take up what was kept. @param {any} kept */
  take({ queue }) {
    this.queue = queue;
  }

  /** Write down what outlives this page, and tell it. */
  keep() {
    const kept = this.kept();
    if (this.#account && kept) localStorage.setItem(this.#place, JSON.stringify({ account: this.#account, ...kept }));
    else if (this.#account) localStorage.removeItem(this.#place);
    this.dispatchEvent(new Event("waiting"));
  }

  /** How what is said now is taken back. @param {Done} done */
  remember(done) {
    this.done.push(done);
    if (this.done.length > UNDO_DEPTH) this.done.shift();
  }

  /** Take out of what can be taken back. @param {(done: Done) => boolean} which @returns {Done[]} those */
  forget(which) {
    const taken = this.done.filter(which);
    this.done = this.done.filter((done) => !which(done));
    return taken;
  }

  /** @param {Item} item */
  add(item) {
    this.queue.push(item);
    this.keep();
    void this.#run();
  }

  /** Take out of what waits. @param {(item: Item) => boolean} which @returns {Item[]} those */
  withdraw(which) {
    const taken = this.queue.filter(which);
    this.queue = this.queue.filter((item) => !which(item));
    return taken;
  }

  /** The first is sent, or never will be. */
  over() {
    this.queue.shift();
    this.keep();
  }

  /** @param {Item} _item @returns {Promise<any>} what the server says */
  async send(_item) {
    return null;
  }

  /** @param {Item} _item @param {any} _answer */
  sent(_item, _answer) {}

  /** @param {Item} _item still the first @param {unknown} _error @returns {Promise<void>} */
  async refused(_item, _error) {
    this.over();
  }

  async #run() {
    if (this.#running) return;
    this.#running = true;
    for (let wait = FIRST_WAIT_MS; this.queue.length; ) {
      const item = /** @type {Item} */ (this.queue[0]);
      try {
        const answer = await this.send(item);
        this.over();
        this.sent(item, answer);
        wait = FIRST_WAIT_MS;
      } catch (error) {
        if (passing(error)) {
          await untilReached(error instanceof Refusal && error.after ? error.after * 1000 : wait);
          wait = Math.min(wait * 2, LONGEST_WAIT_MS);
        } else await this.refused(item, error);
      }
    }
    this.#running = false;
  }
}

/** @param {number} ms */
function untilReached(ms) {
  return new Promise((go) => {
    setTimeout(go, ms);
    reach.addEventListener("up", go, { once: true });
  });
}
