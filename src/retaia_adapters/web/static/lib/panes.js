// The way to assets side by side, and how many of them there can be.

import { go } from "./router.js";
import { note } from "./tell.js";
import { t } from "./words.js";

export const FEWEST = 2;
export const MOST = 4;

/** Show these side by side. @param {string[]} uuids @returns {boolean} whether that many can be */
export function compare(uuids) {
  const fit = uuids.length >= FEWEST && uuids.length <= MOST;
  if (fit) go(`/compare/${uuids.join(",")}`);
  else note(t("compare_few"));
  return fit;
}
