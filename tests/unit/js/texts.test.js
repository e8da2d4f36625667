import assert from "node:assert/strict";
import { test, vi } from "vitest";
import { about, bytes, duration, plural, t } from "../../../opsconsole/web/static/js/texts.js";

test("durations read as people say them", () => {
  for (const [ms, said] of [[0, "0 ms"], [4.7, "4 ms"], [1_999, "1.99 s"], [5_000, "5 s"], [9_999, "9.99 s"], [310, "0.31 s"], [22_430, "22.4 s"], [59_990, "59.9 s"], [60_000, "1 min 00 s"],
    [252_000, "4 min 12 s"], [3_780_000, "1 h 03 min"], [null, ""]]) {
    assert.equal(duration(ms), said);
  }
});

test("one is not many", () => {
  assert.deepEqual([1, 2, 5000].map((n) => plural(n, "{n} line", "{n} lines")), ["1 line", "2 lines", "5,000 lines"]);
});

test("guesses do not pretend", () => {
  assert.deepEqual([3_000, 23_000, 75_000, 7_200_000].map(about), ["a few seconds", "about 30 s", "about 1 min", "about 2 h"]);
});

test("sizes and filled-in texts", () => {
  assert.deepEqual([412, 1_900, 3_200_000].map(bytes), ["412 B", "1.9 kB", "3.2 MB"]);
  assert.equal(t("{n} of {m}", { n: 1 }), "1 of {m}");
});

test("the page's catalogue is used, and a language's own plural", async () => {
  const texts = { "Sending…": "正在发送…", "{n} line": { one: "строка", few: "{n} строки", other: "{n} строк" } };
  vi.stubGlobal("document", { documentElement: { lang: "ru" }, getElementById: () => ({ textContent: JSON.stringify(texts) }) });
  vi.resetModules();
  const there = await import("../../../opsconsole/web/static/js/texts.js");
  assert.equal(there.t("Sending…"), "正在发送…");
  assert.equal(there.t("unknown {n}", { n: 1 }), "unknown 1");
  assert.deepEqual([1, 2, 5].map((n) => there.plural(n, "{n} line", "{n} lines")), ["строка", "2 строки", "5 строк"]);
  assert.equal(there.plural(2, "{n} host", "{n} hosts"), "2 hosts");
  vi.unstubAllGlobals();
});
