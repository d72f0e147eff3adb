// Taking back what was done, the last act first, and saying so.

import { annotations } from "./annotations.js";
import { decisions } from "./decisions.js";
import { plain } from "./dom.js";
import { note } from "./tell.js";
import { say, t } from "./words.js";

/** @typedef {import("./decisions.js").Done} Done */

/** Take the last act back: one decision, several that were made at once, or what was said of an asset. @returns {Array<{uuid: string}>} */
export function undoLast() {
  if (annotations.lastAct > decisions.lastAct) return undoSaid();
  const done = decisions.undo();
  tell(done);
  return done;
}

function undoSaid() {
  const done = annotations.undo();
  if (done) note(t("said_back", { name: plain(done.name), what: t(partOf(done)) }));
  return done ? [done] : [];
}

/** @param {import("./annotations.js").Done} done @returns {import("./words.js").Word} */
function partOf({ edit, settling }) {
  if (settling) return "suggestions";
  if (edit?.notes !== undefined) return "notes_label";
  return edit?.fields ? "fields" : "tags";
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
