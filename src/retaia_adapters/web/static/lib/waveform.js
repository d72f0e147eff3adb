// A waveform drawn, with what was played, the marks and the place under the pointer.

import { send } from "./api.js";

/** @typedef {{duration_ms: number, peaks: number[]}} Waveform */

/** @type {Map<string, Promise<Waveform | null>>} */
const known = new Map();

/** Peaks from 0 to 1 over the whole duration; null where they cannot be had. @param {string} url */
export function waveform(url) {
  let asked = known.get(url);
  if (!asked) {
    asked = read(url).catch(() => {
      known.delete(url);
      return null;
    });
    known.set(url, asked);
    if (known.size > 40) known.delete(known.keys().next().value ?? "");
  }
  return asked;
}

/** @param {string} url @returns {Promise<Waveform | null>} */
async function read(url) {
  const answer = await send(url);
  if (!answer.ok) return null;
  const said = await answer.json();
  const peaks = /** @type {unknown[]} */ (said.peaks ?? []);
  return { duration_ms: Number(said.duration_ms), peaks: peaks.map((peak) => (Array.isArray(peak) ? Math.max(...peak.map(Math.abs)) : Math.abs(Number(peak)))) };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number[] | null} peaks
 * @param {{played: number, from: number | null, to: number | null}} at shares of the whole, from 0 to 1
 */
export function draw(canvas, peaks, at) {
  const ratio = devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (!width || !height) return;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  if (!pen) return;
  const style = getComputedStyle(canvas);
  const ink = style.getPropertyValue("color");
  const accent = style.getPropertyValue("accent-color");
  pen.clearRect(0, 0, width, height);
  if (at.from !== null || at.to !== null) {
    pen.globalAlpha = 0.18;
    pen.fillStyle = accent;
    const begin = (at.from ?? 0) * width;
    pen.fillRect(begin, 0, (at.to ?? 1) * width - begin, height);
    pen.globalAlpha = 1;
  }
  const middle = height / 2;
  const played = at.played * width;
  if (!peaks?.length) {
    pen.fillStyle = ink;
    pen.fillRect(0, middle - ratio, width, 2 * ratio);
    pen.fillStyle = accent;
    pen.fillRect(0, middle - ratio, played, 2 * ratio);
  } else bars(pen, peaks, { width, middle, played, ratio, ink, accent });
  pen.fillStyle = accent;
  pen.fillRect(Math.min(played, width - 2 * ratio), 0, 2 * ratio, height);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {number[]} peaks
 * @param {{width: number, middle: number, played: number, ratio: number, ink: string, accent: string}} how
 */
function bars(pen, peaks, { width, middle, played, ratio, ink, accent }) {
  const step = 3 * ratio;
  for (let x = 0; x < width; x += step) {
    const from = Math.floor((x / width) * peaks.length);
    const to = Math.max(from + 1, Math.floor(((x + step) / width) * peaks.length));
    let peak = 0;
    for (let i = from; i < to && i < peaks.length; i += 1) peak = Math.max(peak, peaks[i] ?? 0);
    const tall = Math.max(ratio, peak * (middle - ratio));
    pen.fillStyle = x <= played ? accent : ink;
    pen.fillRect(x, middle - tall, 2 * ratio, tall * 2);
  }
}
