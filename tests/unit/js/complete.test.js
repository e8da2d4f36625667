import assert from "node:assert/strict";
import { test } from "vitest";
import { begun } from "../../../opsconsole/web/static/js/expr.js";

test("the name before the caret is what is completed", () => {
  for (const [before, name] of [["web", "web"], ["@we", "@we"], ["a,@dc:", "@dc:"], ["(@web & @d", "@d"], ["x!we", "we"], ["web1, ", ""], ["", ""]]) assert.equal(begun(before), name);
});

test("nothing is completed within brackets, patterns and jobs", () => {
  for (const before of ["web[1-", "web[1-3]", "~we", "web*", "failed:#10"]) assert.equal(begun(before), "");
});
