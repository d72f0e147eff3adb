// Sizes, times and positions as a person reads them.

import { h } from "./dom.js";
import { locale } from "./words.js";

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

/** @param {number} size in bytes */
export function bytes(size) {
  let unit = 0;
  while (size >= 1000 && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || size >= 100 ? 0 : 1;
  const options = { style: "unit", unit: UNITS[unit], unitDisplay: "short", maximumFractionDigits: digits };
  return new Intl.NumberFormat(locale, /** @type {Intl.NumberFormatOptions} */ (options)).format(size);
}

/** `1:02:03` or `2:03`. @param {number} seconds */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/**
 * The timecode of a frame, counted from the one that the file states. Where that has `;` frames are
 * dropped from the count as SMPTE ST 12-1 says.
 * @param {string} start `HH:MM:SS:FF`
 * @param {number} seconds from the beginning
 * @param {number} fps
 */
export function timecode(start, seconds, fps) {
  const parts = start.split(/[:;.]/).map(Number);
  if (parts.length !== 4 || parts.some(Number.isNaN) || !(fps > 0)) return "";
  const [hh = 0, mm = 0, ss = 0, ff = 0] = parts;
  const base = Math.round(fps);
  const drop = start.includes(";") && base % 30 === 0 ? base / 15 : 0;
  const minutes = hh * 60 + mm;
  let count = (minutes * 60 + ss) * base + ff - drop * (minutes - Math.floor(minutes / 10));
  count += Math.floor(seconds * fps + 0.001);
  if (drop) {
    const tenMinutes = base * 600 - drop * 9;
    const tens = Math.floor(count / tenMinutes);
    const rest = count % tenMinutes;
    count += drop * 9 * tens;
    if (rest >= base * 60) count += drop * (1 + Math.floor((rest - base * 60) / (base * 60 - drop)));
  }
  const two = (/** @type {number} */ n) => String(Math.floor(n)).padStart(2, "0");
  const total = Math.floor(count / base);
  const head = `${two((total / 3600) % 24)}:${two((total / 60) % 60)}:${two(total % 60)}`;
  return `${head}${drop ? ";" : ":"}${two(count % base)}`;
}

/** A time in the person's zone; what was said exactly is there on hover. @param {string} instant */
export function when(instant) {
  const date = new Date(instant);
  if (Number.isNaN(date.getTime())) return h("time", null, instant);
  const shown = date.toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
  return h("time", { dateTime: instant, title: instant }, shown);
}

/** @param {string} instant */
export function day(instant) {
  return new Date(instant).toLocaleDateString(locale, { dateStyle: "medium" });
}

/** @param {number} n @param {number} [digits] */
export function number(n, digits = 2) {
  return n.toLocaleString(locale, { maximumFractionDigits: digits });
}

/** A span of time as a person plans with it. @param {number} seconds */
export function roughly(seconds) {
  const [value, unit] = seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  return new Intl.NumberFormat(locale, { style: "unit", unit: String(unit), unitDisplay: "short", maximumFractionDigits: 0 }).format(Number(value));
}
