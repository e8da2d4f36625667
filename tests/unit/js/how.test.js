import assert from "node:assert/strict";
import { test } from "vitest";
import { forApi, how, steps, waveName, waveSizes, wavesHead } from "../../../opsconsole/web/static/js/how.js";

const form = { pace: "waves", concurrency: "50", max_failures: "", waves: "10% 100%", canary_mode: "first", canary_of: "1", canary_gate: "manual",
  wave_gate: "auto", order: "given", spread: "", retries: "0", priority: "normal" };
const waves = (...sizes) => sizes.map((size) => ({ kind: "wave", size }));

test("what is not said, or happens anyway, is left out", () => {
  assert.deepEqual(how(form), { concurrency: "50", waves: "10% 100%", canary: "1", canary_gate: "manual" });
});

test("waves count only when they are chosen, and one by one is one at a time", () => {
  assert.deepEqual(how({ ...form, pace: "all" }), { concurrency: "50" });
  assert.deepEqual(how({ ...form, pace: "one" }), { concurrency: "1" });
});

test("canary and order are one word or two", () => {
  for (const [mode, of, said] of [["random", "3", "random 3"], ["each", "dc", "each dc"], ["first", " 2 ", "2"], ["", "1", undefined]]) {
    assert.equal(how({ ...form, canary_mode: mode, canary_of: of }).canary, said);
  }
  assert.equal(how({ ...form, order: "spread", spread: "dc" }).order, "spread dc");
});

test("the API takes numbers, and failures counted the other way round", () => {
  assert.deepEqual(forApi(how({ pace: "all", concurrency: "7", retries: "2", ignore_unreachable: "yes", priority: "high" })), { concurrency: 7, retries: 2, count_unreachable: false });
  assert.deepEqual(forApi(how({ pace: "all", concurrency: "0", retries: "x" })), { concurrency: 0, retries: undefined });
});

test("sizes are folded and the canary has its own name", () => {
  const plan = [{ kind: "canary", size: 1 }, ...waves(50, 50, 50, 47)];
  assert.equal(waveSizes(plan), "1, 50 ×3, 47");
  assert.equal(wavesHead(plan), "Canary of 1, then 4 waves");
  assert.equal(wavesHead(waves(3)), "1 wave");
  assert.equal(wavesHead([{ kind: "canary", size: 20 }]), "The canary takes all 20 hosts: nothing follows it");
  assert.deepEqual([0, 1, 4, 9].map((at) => waveName(plan, at)), ["Canary", "Wave 1", "Wave 4", ""]);
  assert.equal(waveName(waves(1, 2), 0), "Wave 1");
});

test("the steps say what leads from one to the next", () => {
  const plan = [{ kind: "canary", size: 1 }, ...waves(50, 447)];
  assert.deepEqual(steps(plan, { ...form, wave_pause: "30" }).map(({ link, head }) => [link, head]),
    [["", "1"], ["if it succeeds, waits for you", "50"], ["after 30 s", "447"]]);
  assert.equal(steps([...plan, ...waves(5, 5)], form).length, 3);
  assert.equal(steps(waves(1, 2), { ...form, wave_gate: "on_failure" })[1].link, "if none fails");
});
