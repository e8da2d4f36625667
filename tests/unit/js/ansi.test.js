import assert from "node:assert/strict";
import { test } from "vitest";
import { parse, text } from "../../../opsconsole/web/static/js/ansi.js";

const styles = (line) => parse(line).runs.map(({ text: shown, style }) => [shown, style.fg, style.flags]);

test("colours and weight have an effect", () => {
  assert.deepEqual(styles("a\x1b[31mb\x1b[1mc\x1b[0md"), [["a", -1, 0], ["b", 1, 0], ["c", 1, 1], ["d", -1, 0]]);
  assert.deepEqual(styles("\x1b[91mx\x1b[39;22my"), [["x", 1, 0], ["y", -1, 0]]);
  assert.equal(parse("\x1b[38;5;196mx").runs[0].style.rgb, "rgb(255 0 0)");
  assert.equal(parse("\x1b[48;2;1;2;300mx").runs[0].style.rgbBg, "rgb(1 2 255)");
});

test("a style goes on into the next line", () => {
  const first = parse("\x1b[32mgreen");
  assert.equal(parse("still", first.style).runs[0].style.fg, 2);
});

for (const [name, line, shown] of [
  ["window title", "\x1b]0;own3d\x07ok", "ok"],
  ["title ended by ST", "\x1b]2;own3d\x1b\\ok", "ok"],
  ["clipboard", "\x1b]52;c;cm0gLXJm\x07ok", "ok"],
  ["link", "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\", "click"],
  ["cursor and clear", "a\x1b[2J\x1b[10;10Hb\x1b[Kc", "abc"],
  ["device query", "\x1b[c\x1b[6n\x1bZok", "ok"],
  ["eight-bit CSI", "\x9b31mok", "ok"],
  ["DCS", "\x1bPq#0;2\x1b\\ok", "ok"],
  ["unfinished CSI", "ok\x1b[3", "ok"],
  ["unfinished OSC", "ok\x1b]0;never", "ok"],
  ["lone escape", "ok\x1b", "ok"],
  ["carriage return", "10%\r20%\r100%", "100%"],
  ["carriage return of a shorter text", "downloading\rdone", "doneloading"],
  ["backspace", "abc\b\bX", "aXc"],
  ["backspace at the start", "\b\bx", "x"],
  ["NUL and bell", "a\x00b\x07c", "a‹x00›b‹x07›c"],
  ["C1", "a\x85b", "a‹x85›b"],
  ["bidi", "a\u202egnp.exe\u2066", "a‹U+202E›gnp.exe‹U+2066›"],
  ["zero width", "a\u200bb\ufeff", "a‹U+200B›b‹U+FEFF›"],
  ["tag characters", "a\u{e0041}b", "a‹U+E0041›b"],
  ["tab stays", "a\tb", "a\tb"],
  ["other scripts and emoji stay", "héllo 世界 🚀", "héllo 世界 🚀"],
  ["markup is text", "<script>alert(1)</script>", "<script>alert(1)</script>"],
]) {
  test(`${name} is shown as it should`, () => assert.equal(text(line), shown));
}

test("no sequence of bytes yields an escape, and the work is bounded", () => {
  let state = 7;
  const alphabet = "\x1b[]()PX^_0;:?31mKHJ\x07\x9b\x9c\x00\r\b<>&\"'a世\u202e";
  const began = performance.now();
  for (let round = 0; round < 3000; round++) {
    let line = "";
    for (let n = 0; n < 60; n++) {
      state = (state * 1103515245 + 12345) & 0x7fffffff;
      line += alphabet[state % alphabet.length];
    }
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be left
    assert.doesNotMatch(text(line), /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]/);
  }
  for (const bomb of ["\x1b[", "\x1b]", "\x1b[31m", "\x1b[38;5;1;".repeat(3), "\x1bP\x1b", "\r", "\b"]) {
    text(bomb.repeat(200_000 / bomb.length));
  }
  assert.ok(performance.now() - began < 10_000);
});

test("a sequence of many parameters is read up to a bound", () => {
  const { runs } = parse(`\x1b[${"1;".repeat(5000)}31mx`);
  assert.equal(runs.at(-1).text.endsWith("x"), true);
});
