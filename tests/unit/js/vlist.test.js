import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "vitest";
import { visible } from "../../../opsconsole/web/static/js/vlist.js";

test("what can be seen exists, and little more than that", () => {
  const anywhere = { top: fc.integer({ min: -200_000, max: 500 }), seen: fc.integer({ min: 0, max: 2_000 }), count: fc.integer({ min: 0, max: 10_000 }) };
  fc.assert(
    fc.property(fc.record(anywhere), ({ top, seen, count }) => {
      const { first, last } = visible(top, seen, 28, count);
      for (let row = 0; row < count; row++) {
        const isSeen = top + row * 28 < seen && top + (row + 1) * 28 > 0;
        assert.ok(!isSeen || (first <= row && row <= last));
      }
      assert.ok(last - first + 1 <= Math.ceil(seen / 28) + 26);
      assert.ok(first >= 0 && last < Math.max(count, 1));
    }),
    { numRuns: 200 },
  );
});
