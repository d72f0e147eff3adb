// Taking back what was decided, and saying so.

import { decisions } from "./decisions.js";
import { plain } from "./dom.js";
import { note } from "./tell.js";
import { say, t } from "./words.js";

/** @typedef {import("./decisions.js").Done} Done */

/** Take the last act back: one decision, or several that were made at once. @returns {Done[]} */
export function undoLast() {
  const done = decisions.undo();
  tell(done);
  return done;
}

/** Take back only what was decided last of one asset. @param {string} uuid */
export function undoOne(uuid) {
  const done = decisions.undoOf(uuid);
  tell(done ? [done] : []);
}

/** @param {Done[]} done */
function tell(done) {
  const [only] = done;
  if (!only) note(t("nothing_to_undo"));
  else if (done.length > 1) note(t("undone_n", { n: done.length }));
  else note(t("undone", { name: plain(only.name), state: say("verdict", only.before) }));
}
