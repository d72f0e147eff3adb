// Who is signed in, for as long as this page lives.

import { get } from "./api.js";
import { t } from "./words.js";

/** @typedef {import("../api.js").Schemas["AuthCurrentUser"]} Person */

/** @type {Person} */
let me = { email: "" };
/** The names of people, by what the server keeps of them. @type {Map<string, string>} */
const names = new Map();

export async function readPerson() {
  me = await get("/auth/me");
  if (isAdmin()) await readNames();
  note(me);
  return me;
}

/** Only administrators may ask who else there is. */
async function readNames() {
  /** @type {{items: import("../api.js").Schemas["Account"][]}} */
  const { items } = await get("/auth/accounts");
  items.forEach(note);
}

/** @param {{uuid?: string, email: string, display_name?: string, local_name?: string}} account */
function note({ uuid, email, display_name, local_name }) {
  const name = display_name || email;
  if (uuid) names.set(uuid, name);
  if (local_name) names.set(`local/${local_name}`, name);
}

export const person = () => me;
export const isAdmin = () => (me.roles ?? []).includes("ADMIN");

/** Who did it, as a person reads it. @param {string} actor */
export function actorName(actor) {
  const at = actor.indexOf(":");
  const id = at < 0 ? actor : actor.slice(at + 1);
  const local = id.startsWith("local/") ? id.slice("local/".length) : "";
  return names.get(id) || local || (actor.startsWith("person:") ? t("somebody") : actor);
}
