// Who is signed in, for as long as this page lives.

import { get } from "./api.js";

/** @typedef {import("../api.js").Schemas["AuthCurrentUser"]} Person */

/** @type {Person} */
let me = { email: "" };

export async function readPerson() {
  me = await get("/auth/me");
  return me;
}

export const person = () => me;
export const isAdmin = () => (me.roles ?? []).includes("ADMIN");

/** How a person is named in what the server keeps of them, shown short. @param {string} actor */
export function actorName(actor) {
  const at = actor.indexOf(":");
  const id = at < 0 ? actor : actor.slice(at + 1);
  return id === me.uuid || id === me.email ? (me.display_name || me.email) : id.replace(/^local\//, "");
}
