import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "vitest";
import { step } from "../../../opsconsole/web/static/js/timeline.js";

test("a step is one that people count in, and never too short", () => {
  assert.deepEqual([0.4, 900, 6100, 61_000, 3e6].map(step), [1, 1000, 10_000, 120_000, 3_600_000]);
  assert.equal(step(90_000_000), 172_800_000);
  fc.assert(fc.property(fc.integer({ min: 1, max: 2 ** 40 }), (least) => step(least) >= least));
});
