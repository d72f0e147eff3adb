// What is known of an asset, beside it.

import { h, named, plain } from "../lib/dom.js";
import { clock, number, when } from "../lib/format.js";
import { actorName } from "../lib/person.js";
import { say, t } from "../lib/words.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {{uuid: string, detail: Schemas["AssetDetail"], facts: Schemas["Facts"] | null, flags: string[], warnings: string[]}} Shown */

/** @type {Record<string, (value: any, facts: Record<string, any>) => import("../lib/dom.js").Child>} */
const WRITTEN = {
  captured_at: (moment) => when(moment),
  duration_ms: (ms) => `${clock(ms / 1000)} (${number(ms / 1000, 3)} s)`,
  width: (width, facts) => (facts["height"] ? `${width} × ${facts["height"]}` : String(width)),
  fps: (fps) => `${number(fps, 3)} fps`,
  bitrate_kbps: (kbps) => `${number(kbps, 0)} kbit/s`,
  sample_rate_hz: (hz) => `${number(hz / 1000, 1)} kHz`,
  exposure_time_s: (s) => (s < 0.4 ? `1/${Math.round(1 / s)} s` : `${number(s)} s`),
  aperture_f_number: (f) => `f/${number(f, 1)}`,
  iso: (iso) => `ISO ${iso}`,
  focal_length_mm: (mm) => `${number(mm, 1)} mm`,
  gps_altitude_m: (m) => `${number(m, 0)} m`,
  rotation_deg: (deg) => (deg ? `${deg}°` : null),
  orientation: (way) => (way === 1 ? null : String(way)),
};
const ORDER = ["captured_at", "timecode_start", "duration_ms", "width", "fps", "video_codec", "audio_codec", "camera_make", "camera_model", "lens_model", "recorder_model", "exposure_time_s", "aperture_f_number", "iso", "focal_length_mm"];
const ELSEWHERE = ["height", "gps_latitude", "gps_longitude"];

/** @param {Record<string, unknown>} facts */
function lines(facts) {
  const names = [...new Set([...ORDER, ...Object.keys(facts)])].filter((name) => name in facts && !ELSEWHERE.includes(name));
  return names.flatMap((name) => {
    const value = facts[name];
    const shown = name in WRITTEN ? WRITTEN[name]?.(value, facts) : plain(String(value));
    return shown === null ? [] : [h("dt", null, say("fact", name)), h("dd", null, shown)];
  });
}

/** @param {Record<string, unknown>} facts */
function position(facts) {
  const [lat, lon] = [facts["gps_latitude"], facts["gps_longitude"]];
  if (typeof lat !== "number" || typeof lon !== "number") return [];
  const href = `https://www.openstreetmap.org/?mlat=${lat}&mlon=${lon}#map=15/${lat}/${lon}`;
  const text = `${number(lat, 5)}, ${number(lon, 5)}`;
  return [h("dt", null, t("position")), h("dd", null, h("a", { href, target: "_blank", rel: "noopener noreferrer", title: t("map_help") }, text, " ↗"))];
}

/** What is wrong or odd about it. @param {Shown} shown */
export function flagsOf({ flags, warnings }) {
  return [
    flags.length > 0 && h("ul", { class: "flags" }, flags.map((flag) => h("li", { class: "flag" }, say("flag", flag), " – ", say("flag_help", flag)))),
    warnings.length > 0 && h("ul", { class: "warnings" }, warnings.map((warning) => h("li", { lang: "en" }, plain(warning)))),
  ]; // prettier-ignore
}

/** @param {Shown} shown */
export function factsOf({ detail, facts }) {
  const { paths, decisions, audit } = detail;
  const sidecars = paths?.sidecars_relative ?? [];
  return [
    h("h2", null, t("facts")),
    h("dl", { class: "facts" }, lines(facts ?? {}), position(facts ?? {})),
    h("h2", null, t("file")),
    h("dl", { class: "facts" },
      h("dt", null, t("path")), h("dd", null, named(paths?.original_relative ?? "")),
      sidecars.length > 0 && [h("dt", null, t("sidecars_n", { n: sidecars.length })), h("dd", null, sidecars.map((path) => h("div", null, named(path.slice(path.lastIndexOf("/") + 1), { title: plain(path) }))))],
      h("dt", null, t("profile")), h("dd", null, say("profile", detail.processing?.processing_profile ?? ""))),
    (decisions?.history?.length ?? 0) > 0 && [h("h2", null, t("history")), h("ol", { class: "history" }, (decisions?.history ?? []).map(one).reverse())],
    (audit?.path_history?.length ?? 0) > 0 && h("details", null, h("summary", null, t("former_paths")), h("ul", null, (audit?.path_history ?? []).map((path) => h("li", null, named(path))))),
  ].flat(); // prettier-ignore
}

/** @param {{action?: string, at?: string, by?: string}} decision */
function one({ action = "", at = "", by = "" }) {
  return h("li", null, h("strong", null, say("action", action)), " ", h("span", { class: "soft" }, plain(actorName(by)), ", ", when(at)));
}
