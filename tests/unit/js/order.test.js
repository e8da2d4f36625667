import assert from "node:assert/strict";
import { test } from "vitest";
import { commandLine } from "../../../opsconsole/web/static/js/expr.js";
import { variables, what, words } from "../../../opsconsole/web/static/js/order.js";

test("words are split as a shell splits them", () => {
  assert.deepEqual(words(`a 'b c' "d \\"e\\" \\n" f\\ g ''`), ["a", "b c", 'd "e" \\n', "f g", ""]);
  assert.deepEqual(words("  "), []);
  assert.equal(words("a 'b"), null);
});

test("variables are lines, and a quoted value may have several", () => {
  assert.deepEqual(variables(`A=x y\r\nB='two\nlines'\n\nC=`), { A: "x y", B: "two\nlines", C: "" });
});

test("what is not said is left out, and a command has no interpreter", () => {
  const form = { kind: "command", interpreter: "bash", args: "", stdin: "", cwd: " ", umask: "", env: "" };
  assert.deepEqual(what(form), {});
  assert.deepEqual(what({ ...form, kind: "script", args: "-v 'a b'", env: "A=1" }), { interpreter: "bash", args: ["-v", "a b"], env: { A: "1" } });
});

test("steps go with it, and what hosts wait for only where there are some", () => {
  assert.deepEqual(what({ kind: "command", check: " a ", verify: "", step_barrier: "host" }), { check: "a", step_barrier: "host" });
  assert.deepEqual(what({ kind: "command", step_barrier: "host" }), {});
  assert.equal(commandLine({ targets: "w", exclude: "", command: "x", check: "a b", verify: "c" }, {}), "opsconsole run -w w --check 'a b' --verify c -- x");
});

test("the command line carries it", () => {
  const order = { targets: "web1", exclude: "", command: "print(1)", ...what({ kind: "script", interpreter: "python3 -u", args: "'a b'", stdin: "x", cwd: "/srv", umask: "027", env: "A=b c" }) };
  assert.equal(commandLine(order, {}),
    "opsconsole run -w web1 --interpreter 'python3 -u' --cwd /srv --umask 027 --stdin x --arg 'a b' --env 'A=b c' -- 'print(1)'");
});

test("files have command lines of their own", () => {
  const order = { targets: "@web", exclude: "", command: "" };
  assert.equal(commandLine({ ...order, pull: ["/var/log/*.log"] }, {}), "opsconsole pull -w @web '/var/log/*.log' .");
  assert.equal(commandLine({ ...order, make_folders: true, push: [{ name: "my file", to: "/etc/motd", mode: "0644", owner: "root:root" }] }, {}),
    "opsconsole push -w @web --mode 0644 --owner root:root --make-folders 'my file' /etc/motd");
});
