import assert from "node:assert/strict";
import { test } from "vitest";
import { headline, phase, reasonOf, waitingText, waveNote, waveWindow } from "../../../opsconsole/web/static/js/control.js";

const list = [{ kind: "canary", size: 1 }, ...Array.from({ length: 20 }, () => ({ kind: "wave", size: 5 }))];
const job = (more) => ({ state: "running", pause: null, stop_reason: null, counts: { q: 3, c: 0, r: 0 }, targets: { count: 101 }, waves: { now: 0, hold_ms: null, list }, ...more });

test("what may be done with a job", () => {
  for (const [more, said] of [[{}, "runs"], [{ state: "pending" }, "runs"], [{ waves: { now: 1, hold_ms: 900, list } }, "held"], [{ state: "stopping" }, "stopping"], [{ state: "failed" }, "over"],
    [{ state: "paused", pause: { reason: "operator", by: "li" } }, "paused"], [{ state: "paused", pause: { reason: "canary", by: null } }, "waits"]]) {
    assert.equal(phase(job(more)), said);
  }
});

test("why a job stands still or stopped", () => {
  assert.equal(reasonOf(job({ state: "paused", pause: { reason: "operator", by: "li" } })), "paused by li");
  assert.equal(reasonOf(job({ state: "failed", stop_reason: "canary" })), "the canary failed");
  const detail = "the canary failed (web1: failed).";
  assert.equal(reasonOf(job({ state: "failed", stop_reason: "canary", stop_detail: detail })), "the canary failed (web1: failed)");
  assert.equal(reasonOf(job({ state: "cancelled", stop_reason: "operator", stopped_by: "li" })), "cancelled by li");
  assert.equal(reasonOf(job({})), "");
});

test("the headline names those for whom the end is not an outcome", () => {
  const counts = { q: 0, c: 0, r: 0, o: 9, x: 3, s: 1, l: 2 };
  assert.equal(headline(job({ state: "partial", counts, worker_shutdown: 2 })), "2 ended by a worker's shutdown, 2 lost, 1 cancelled, 1 skipped");
  const stopped = { state: "failed", stop_reason: "threshold", counts: { ...counts, x: 0, s: 0 } };
  assert.equal(headline(job(stopped)), "too many hosts failed; 2 lost");
  assert.equal(headline(job({ counts })), "");
});

test("the strip shows the waves around the present one", () => {
  assert.deepEqual(waveWindow(job({})).map(({ name, place }) => `${name} ${place}`).slice(0, 3), ["Canary now", "Wave 1 later", "Wave 2 later"]);
  const marks = waveWindow(job({ waves: { now: 10, hold_ms: null, list } }));
  assert.deepEqual(marks.map(({ name }) => name), ["8 before", "Wave 8", "Wave 9", "Wave 10", "Wave 11", "Wave 12", "Wave 13", "Wave 14", "Wave 15", "5 more"]);
  assert.equal(marks[3].place, "now");
  assert.equal(waveWindow(job({ state: "succeeded", waves: { now: 20, hold_ms: null, list } })).at(-1)?.place, "done");
});

test("where it is, what is left of a pause, and who is waited for", () => {
  assert.equal(waveNote(job({ waves: { now: 2, hold_ms: null, list } }), null), "2 of 20");
  assert.equal(waveNote(job({}), null), "");
  assert.equal(waveNote(job({ waves: { now: 2, hold_ms: 24_300, list } }), 24_300), "Wave 2 starts in 24 s");
  assert.equal(waveNote(job({ state: "paused", pause: { reason: "wave", by: null } }), null), "waits for you: Continue");
});

test("why the next host does not start", () => {
  assert.equal(waitingText({ code: "no_slot", text: "", ahead: 3, slots: 200, busy: 200 }), "Waiting for a free slot: 3 jobs ahead, 200 of 200 slots busy");
  assert.equal(waitingText({ code: "turn", text: "", ahead: 1, slots: 8, busy: 5 }), "Waiting for its turn: 1 job ahead, 5 of 8 slots busy");
  assert.equal(waitingText({ code: "turn", text: "", ahead: 0, slots: 8, busy: 5 }), "Waiting for a worker to take it up.");
  assert.equal(waitingText({ code: "paused", text: "Paused.", ahead: null, slots: null, busy: null }), "");
  assert.equal(waitingText(null), "");
});
