import assert from "node:assert/strict";
import { test } from "vitest";
import { curlLine } from "../../../opsconsole/web/static/js/order.js";

const usual = { concurrency: "50", connect_timeout: "10", command_timeout: "300", credential: "auto" };

test("only what is said and differs goes into the body, by the names of the API", () => {
  const order = { how: { concurrency: "20", connect_timeout: "10", command_timeout: "0", idle_timeout: "2.5", priority: "low", ignore_unreachable: "yes" },
    what: { run_as: "root" }, rest: { targets: "@web", exclude: "", command: "echo 'hi'", credential: "auto", skip_unknown: false } };
  const line = curlLine("http://127.0.0.1:8765", order, usual);
  assert.ok(line.startsWith('curl --fail-with-body -H "Authorization: Bearer $OPSCONSOLE_TOKEN" --json \''));
  assert.ok(line.endsWith(" http://127.0.0.1:8765/api/v1/jobs"));
  const body = JSON.parse(line.slice(line.indexOf("{"), line.lastIndexOf("}") + 1).replaceAll("'\\''", "'"));
  assert.deepEqual(body, { targets: "@web", command: "echo 'hi'", concurrency: 20, priority: "low", count_unreachable: false, run_as: "root",
    timeouts: { command_ms: 0, idle_ms: 2500 } });
});
