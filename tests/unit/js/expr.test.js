import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "vitest";
import { commandLine, quote, tokens } from "../../../opsconsole/web/static/js/expr.js";

const kinds = (expression, unknown) => tokens(expression, unknown).map(({ text, kind }) => [text, kind]);

test("an expression is painted without losing a character", () => {
  for (const expression of ["@web&@prod,web-[1-3,5]!web-2", "a b\nc", "[", "]]", "", "x[1-", "@dc:eu !@x", "matched(/a b/", "matched(/(a, b)/):#7 x"]) {
    assert.equal(tokens(expression).map(({ text }) => text).join(""), expression);
  }
});

test("no expression loses a character", () => {
  const piece = fc.constantFrom("@web", "[1-3", "]", "!", "&", ",", " ", "state(f)", ":#7", "matched(/", "/)", "(", ")", "\\", "é世", "\n");
  fc.assert(fc.property(fc.array(piece).map((pieces) => pieces.join("")), (text) => assert.equal(tokens(text).map((token) => token.text).join(""), text)));
});

test("groups, operators, what is left out and what is unknown look different", () => {
  assert.deepEqual(kinds("@web,web[1,2]!db1", new Set(["web[1,2]"])), [
    ["@web", "gp"], [",", "op"], ["web[1,2]", "un"], ["!", "op"], ["db1", "no"],
  ]);
});

test("what an earlier job did is one piece", () => {
  assert.deepEqual(kinds("web1!matched(/a b[(]|!/):#7,state(f, u):#7"), [
    ["web1", ""], ["!", "op"], ["matched(/a b[(]|!/):#7", "no"], [",", "op"], ["state(f, u):#7", ""],
  ]);
});

test("a word is quoted for a shell", () => {
  assert.equal(quote("web1"), "web1");
  assert.equal(quote("web[1-3]"), "'web[1-3]'");
  assert.equal(quote("it's $HOME"), `'it'\\''s $HOME'`);
});

test("the command line says what differs from the usual", () => {
  const form = { targets: "web[1-3]\ndb1", exclude: "", command: "echo 'a'\nuptime", concurrency: "50", connect_timeout: "10",
    command_timeout: "60", max_failures: "5%", user: "", credential: "password" };
  const usual = { concurrency: "50", connect_timeout: "10", command_timeout: "300", credential: "auto" };
  assert.equal(commandLine(form, usual),
    `opsconsole run -w 'web[1-3],db1' --timeout 60 --max-failures 5% --ask-password -- 'echo '\\''a'\\''\nuptime'`);
});
