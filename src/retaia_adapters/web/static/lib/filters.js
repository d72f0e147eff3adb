// Which assets are meant: the address says it, the API is asked for it.

/** @typedef {import("./api.js").Query} Query */
/** @typedef {import("./words.js").Word} Word */

/** What a person sorts assets into, and the states that it is made of. @type {Array<{id: string, word: Word, states: string[], flag?: string}>} */
export const GROUPS = [
  { id: "all", word: "group_all", states: [] },
  { id: "decide", word: "group_decide", states: ["DECISION_PENDING"] },
  { id: "keep", word: "group_keep", states: ["DECIDED_KEEP"] },
  { id: "reject", word: "group_reject", states: ["DECIDED_REJECT"] },
  { id: "archived", word: "group_archived", states: ["ARCHIVED"] },
  { id: "rejected", word: "group_rejected", states: ["REJECTED"] },
  { id: "preparing", word: "group_preparing", states: ["DISCOVERED", "READY", "PROCESSING_REVIEW", "PROCESSED"] },
  { id: "moving", word: "group_moving", states: ["MOVE_QUEUED"] },
  { id: "purged", word: "group_purged", states: ["PURGED"] },
  { id: "unprocessable", word: "flag_unprocessable", states: [], flag: "unprocessable" },
  { id: "changed", word: "flag_changed", states: [], flag: "changed" },
  { id: "missing", word: "flag_missing", states: [], flag: "missing" },
  { id: "fixity_mismatch", word: "flag_fixity_mismatch", states: [], flag: "fixity_mismatch" },
  { id: "parked", word: "flag_parked", states: [], flag: "parked" },
];

export const SORTS = ["-created_at", "created_at", "captured_at", "-captured_at", "name", "-name", "-duration", "duration", "-updated_at"];

const NAMES = ["in", "media_type", "q", "tags", "from", "to", "sort", "view"];

/** @typedef {Record<string, string>} Filters */

/** @returns {Filters} */
export function filters(search = location.search) {
  const params = new URLSearchParams(search);
  /** @type {Filters} */
  const found = {};
  for (const name of NAMES) {
    const value = params.get(name);
    if (value) found[name] = value;
  }
  return found;
}

/** @param {Filters} given */
export function address(given) {
  const params = new URLSearchParams();
  for (const name of NAMES) if (given[name]) params.set(name, given[name] ?? "");
  const text = params.toString();
  return text && `?${text}`;
}

/** @param {Filters} given */
export const groupOf = (given) => GROUPS.find((group) => group.id === given.in) ?? GROUPS[0];

/** What the API is asked. Days are those of the person's zone. @param {Filters} given @returns {Query} */
export function queryOf(given) {
  const group = groupOf(given);
  return {
    state: group?.states ?? [],
    flag: group?.flag,
    media_type: given.media_type,
    q: given.q,
    tags: given.tags,
    captured_at_from: instant(given.from, "T00:00:00"),
    captured_at_to: instant(given.to, "T23:59:59"),
    sort: SORTS.includes(given.sort ?? "") ? given.sort : SORTS[0],
  };
}

/** @param {string | undefined} date @param {string} time */
function instant(date, time) {
  if (!date) return undefined;
  const moment = new Date(date + time);
  return Number.isNaN(moment.getTime()) ? undefined : `${moment.toISOString().slice(0, 19)}Z`;
}
