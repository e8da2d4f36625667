// Turns a line of host output into safe nodes. Only SGR (colours, weight) has an effect; every other escape sequence is
// dropped, carriage return and backspace overwrite as on a terminal, and characters that could deceive are shown by
// name. An own state machine rather than a library: it does a bounded amount of work per character, holds no HTML at
// any point, and is smaller than what it would replace.

/** @typedef {{fg: number, bg: number, rgb: string, rgbBg: string, flags: number}} Style */

const ESC = "\x1b";
const MAX_PARAMS = 32;
const MAX_SEQUENCE = 4096;
// Bits of `flags`, by SGR code: bold, faint, italic, underline, inverse, struck out.
const FLAGS = { 1: 1, 2: 2, 3: 4, 4: 8, 7: 16, 9: 32 };
const FLAG_CLASSES = { 1: "a1", 2: "a2", 4: "a3", 8: "a4", 16: "a7", 32: "a9" };
// Marks that reorder, hide or join text without being seen.
const DECEIVING = /[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad\u{e0000}-\u{e007f}]/u;

/** @returns {Style} */
export const plain = () => ({ fg: -1, bg: -1, rgb: "", rgbBg: "", flags: 0 });

/**
 * @typedef {{text: string, style: Style, control: boolean}} Run
 * Returns the visible runs of a line and the style it leaves behind.
 * @param {string} line without its line feed
 * @param {Style} [before]
 * @returns {{runs: Run[], style: Style}}
 */
export function parse(line, before = plain()) {
  /** @type {{char: string, style: Style, control: boolean}[]} */
  const cells = [];
  let style = before;
  let column = 0;
  const put = (/** @type {string} */ char, control = false) => {
    cells[column++] = { char, style, control };
  };
  for (let at = 0; at < line.length; ) {
    const char = String.fromCodePoint(/** @type {number} */ (line.codePointAt(at)));
    if (char === ESC || char === "\x9b") {
      const sequence = sequenceAt(line, at);
      if (sequence.sgr !== null) style = sgr(style, sequence.sgr);
      at = sequence.end;
      continue;
    }
    at += char.length;
    if (char === "\r") column = 0;
    else if (char === "\b") column = Math.max(0, column - 1);
    else if (DECEIVING.test(char)) put(`‹U+${hex(char, 4)}›`, true);
    else if (char < " " && char !== "\t") put(`‹x${hex(char, 2)}›`, true);
    else if (char >= "\x7f" && char <= "\x9f") put(`‹x${hex(char, 2)}›`, true);
    else put(char);
  }
  return { runs: merge(cells), style };
}

/** @param {string} char @param {number} width */
const hex = (char, width) => (char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(width, "0");

/**
 * Returns where the sequence that starts at `at` ends, and its parameters when it is SGR.
 * @param {string} line
 * @param {number} at
 * @returns {{end: number, sgr: string | null}}
 */
function sequenceAt(line, at) {
  const eightBit = line[at] === "\x9b";
  const kind = eightBit ? "[" : line[at + 1];
  let end = at + (eightBit ? 1 : 2);
  const limit = Math.min(line.length, end + MAX_SEQUENCE);
  if (kind === "[") {
    const from = end;
    while (end < limit && line[end] >= "\x20" && line[end] <= "\x3f") end++;
    const final = line[end];
    const known = final === "m" && /^[\d;:]*$/.test(line.slice(from, end));
    return { end: Math.min(end + 1, line.length), sgr: known ? line.slice(from, end) : null };
  }
  if (kind && "]PX^_".includes(kind)) {
    // A string (title, clipboard, link): ends at BEL or ST; one that never ends is dropped up to a bound.
    while (end < limit && line[end] !== "\x07" && line[end] !== "\x9c" && line[end] !== ESC) end++;
    if (line[end] === ESC) return { end: line[end + 1] === "\\" ? end + 2 : end, sgr: null };
    return { end: Math.min(end + 1, line.length), sgr: null };
  }
  if (kind && kind >= "\x20" && kind <= "\x2f") return { end: Math.min(end + 1, line.length), sgr: null };
  return { end: Math.min(end, line.length), sgr: null };
}

/**
 * @param {Style} style
 * @param {string} text
 * @returns {Style}
 */
function sgr(style, text) {
  const codes = text.split(/[;:]/, MAX_PARAMS).map((part) => Number(part || 0));
  let next = { ...style };
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (code === 0) next = plain();
    else if (code in FLAGS) next.flags |= FLAGS[/** @type {keyof typeof FLAGS} */ (code)];
    else if (code === 22) next.flags &= ~3;
    else if (code === 23) next.flags &= ~4;
    else if (code === 24) next.flags &= ~8;
    else if (code === 27) next.flags &= ~16;
    else if (code === 29) next.flags &= ~32;
    else if (code === 38 || code === 48) i = extended(next, code === 38, codes, i);
    else basic(next, code);
  }
  return next;
}

/** @param {Style} style @param {number} code */
function basic(style, code) {
  if (code === 39) Object.assign(style, { fg: -1, rgb: "" });
  else if (code === 49) Object.assign(style, { bg: -1, rgbBg: "" });
  else if (code >= 30 && code <= 37) Object.assign(style, { fg: code - 30, rgb: "" });
  else if (code >= 40 && code <= 47) Object.assign(style, { bg: code - 40, rgbBg: "" });
  else if (code >= 90 && code <= 97) Object.assign(style, { fg: code === 90 ? 8 : code - 90, rgb: "" });
  else if (code >= 100 && code <= 107) Object.assign(style, { bg: code === 100 ? 8 : code - 100, rgbBg: "" });
}

/** @param {Style} style @param {boolean} front @param {number[]} codes @param {number} i */
function extended(style, front, codes, i) {
  let colour = "";
  let end = i + 1;
  if (codes[i + 1] === 5) {
    const index = codes[i + 2] ?? 0;
    end = i + 2;
    if (index < 16) {
      basic(style, (front ? 30 : 40) + (index % 8));
      return end;
    }
    colour = palette(Math.min(index, 255));
  } else if (codes[i + 1] === 2) {
    const [r, g, b] = codes.slice(i + 2, i + 5).map((value) => Math.min(255, value || 0));
    colour = `rgb(${r ?? 0} ${g ?? 0} ${b ?? 0})`;
    end = i + 4;
  }
  if (colour) Object.assign(style, front ? { rgb: colour, fg: -1 } : { rgbBg: colour, bg: -1 });
  return end;
}

/** @param {number} index of the 256-colour palette, from 16 */
function palette(index) {
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return `rgb(${grey} ${grey} ${grey})`;
  }
  const cube = index - 16;
  const level = (/** @type {number} */ n) => (n ? 55 + n * 40 : 0);
  return `rgb(${level(Math.floor(cube / 36))} ${level(Math.floor(cube / 6) % 6)} ${level(cube % 6)})`;
}

/** @param {{char: string, style: Style, control: boolean}[]} cells @returns {Run[]} */
function merge(cells) {
  /** @type {Run[]} */
  const runs = [];
  for (const cell of cells) {
    const last = runs.at(-1);
    if (last && last.style === cell.style && last.control === cell.control) last.text += cell.char;
    else runs.push({ text: cell.char, style: cell.style, control: cell.control });
  }
  return runs;
}

/**
 * Appends a line to `parent` as nodes and returns the style it leaves behind.
 * @param {Node} parent
 * @param {string} line
 * @param {Style} [before]
 */
export function render(parent, line, before) {
  const { runs, style } = parse(line, before);
  for (const run of runs) {
    const classes = classesOf(run);
    if (!classes && !run.style.rgb && !run.style.rgbBg) {
      parent.appendChild(document.createTextNode(run.text));
      continue;
    }
    const span = document.createElement("span");
    span.className = classes;
    if (run.style.rgb) span.style.color = run.style.rgb;
    if (run.style.rgbBg) span.style.backgroundColor = run.style.rgbBg;
    span.textContent = run.text;
    parent.appendChild(span);
  }
  return style;
}

/** @param {Run} run */
function classesOf({ style, control }) {
  const classes = control ? ["ctl"] : [];
  if (style.fg >= 0) classes.push(`c${style.fg}`);
  if (style.bg >= 0) classes.push(`b${style.bg}`);
  for (const [bit, name] of Object.entries(FLAG_CLASSES)) if (style.flags & Number(bit)) classes.push(name);
  return classes.join(" ");
}

/** Returns the line as it reads, without styles. @param {string} line */
export const text = (line) => parse(line).runs.map((run) => run.text).join("");
