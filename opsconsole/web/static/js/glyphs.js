// The glyphs of states on a canvas, which the style sheet draws everywhere else.
import { el } from "./dom.js";

/** Reads the theme's colours; a canvas does not follow custom properties by itself. @returns {Record<string, string>} */
export function palette() {
  const probe = el("i", { hidden: true });
  document.body.append(probe);
  /** @type {Record<string, string>} */
  const found = {};
  for (const name of ["ok", "run", "fail", "cross", "time", "time-bg", "unr", "can", "que", "ink", "surface", "focus"]) {
    probe.style.color = `var(--${name})`;
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return found;
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} s @param {string} ink */
export function outline(context, x, y, s, ink) {
  context.globalAlpha = 1;
  context.strokeStyle = ink;
  context.lineWidth = 2;
  context.strokeRect(x - 1, y - 1, s + 2, s + 2);
}

/**
 * Draws one glyph; below 8 px only hollow, solid, half and dashed remain.
 * @param {CanvasRenderingContext2D} context
 * @param {string} letter
 * @param {number} x
 * @param {number} y
 * @param {number} s
 * @param {Record<string, string>} c
 */
export function tile(context, letter, x, y, s, c) {
  const solid = { o: c.ok, r: c.run, f: c.fail, x: c.can, l: c.ink, k: c.time }[letter];
  if (solid) {
    context.fillStyle = solid;
    context.fillRect(x, y, s, s);
  } else if (letter === "s") {
    context.fillStyle = c.can;
    context.fillRect(x + s / 2 - 1, y + s / 2 - 1, 2, 2);
  } else {
    context.strokeStyle = { c: c.run, u: c.unr }[letter] ?? c.que;
    context.lineWidth = letter === "c" ? Math.min(2, s / 4) : 1;
    context.setLineDash(letter === "u" ? [2, 1] : []);
    const inset = context.lineWidth / 2;
    context.strokeRect(x + inset, y + inset, s - 2 * inset, s - 2 * inset);
    context.setLineDash([]);
  }
  if (letter === "r") dot(context, x, y, s, "#fff");
  if (letter === "k") half(context, x, y, s, c["time-bg"]);
  if (letter === "u") stroke(context, c.unr, [[x + s, y, x, y + s]]);
  if (s < 8) return;
  if (letter === "f") stroke(context, c.cross, [[x + 2, y + 2, x + s - 2, y + s - 2], [x + s - 2, y + 2, x + 2, y + s - 2]]);
  if (letter === "l") {
    context.fillStyle = c.surface;
    context.font = `700 ${Math.round(s * 0.8)}px sans-serif`;
    context.textAlign = "center";
    context.fillText("?", x + s / 2, y + s * 0.8);
    context.textAlign = "start";
  }
  if (letter === "x") stroke(context, c.surface, [[x + 2, y + s / 2, x + s - 2, y + s / 2]]);
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} s @param {string} fill */
function dot(context, x, y, s, fill) {
  const d = Math.max(2, Math.round(s / 3));
  context.fillStyle = fill;
  context.fillRect(x + (s - d) / 2, y + (s - d) / 2, d, d);
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} s @param {string} fill */
function half(context, x, y, s, fill) {
  context.fillStyle = fill;
  context.beginPath();
  context.moveTo(x + 1, y + 1);
  context.lineTo(x + s - 2, y + 1);
  context.lineTo(x + 1, y + s - 2);
  context.fill();
}

/** @param {CanvasRenderingContext2D} context @param {string} ink @param {number[][]} lines */
function stroke(context, ink, lines) {
  context.strokeStyle = ink;
  context.lineWidth = 1.5;
  context.beginPath();
  for (const [x1, y1, x2, y2] of lines) {
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
  }
  context.stroke();
}
