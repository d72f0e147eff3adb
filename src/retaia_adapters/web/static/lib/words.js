// What the interface says, in the person's language.

import { en } from "../words/en.js";
import { fr } from "../words/fr.js";

/** @typedef {keyof typeof en} Word */

const CATALOGUES = { en, fr };
const KEPT = "retaia.language";

/** @param {string | null} tag @returns {tag is keyof typeof CATALOGUES} */
const isKnown = (tag) => tag !== null && Object.hasOwn(CATALOGUES, tag);

const asked = [localStorage.getItem(KEPT), ...navigator.languages.map((tag) => tag.slice(0, 2))];
export const language = asked.find(isKnown) ?? "en";
/** With the region that the browser asks for, where it is of this language. */
export const locale = navigator.languages.find((tag) => tag.startsWith(language)) ?? language;
const words = CATALOGUES[language];
const plurals = new Intl.PluralRules(language);

/** Use another language from now on. @param {string} tag */
export function choose(tag) {
  localStorage.setItem(KEPT, tag);
  location.reload();
}

/**
 * A sentence; `{name}` is replaced. Where it has forms (`one|other`), `n` chooses.
 * @param {Word} word
 * @param {Record<string, string | number>} [given]
 */
export function t(word, given = {}) {
  let text = words[word];
  if (text.includes("|") && typeof given.n === "number") {
    const [one, other] = text.split("|");
    text = (plurals.select(given.n) === "one" ? one : other) ?? text;
  }
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = given[name] ?? "";
    return typeof value === "number" ? value.toLocaleString(locale) : value;
  });
}

/** Whether there is such a word. @param {string} word @returns {word is Word} */
export const isWord = (word) => Object.hasOwn(words, word);

/** The word for a value of the API, or the value itself. @param {string} kind @param {string} value */
export function say(kind, value) {
  const word = `${kind}_${value}`;
  return isWord(word) ? t(word) : value;
}
