// Reads {name: [written, served]} from standard input and compares what the two forms of each script mean: the trees that
// TypeScript's parser makes of them, to the last letter of each text. Prints the first difference and ends with 1.
import { readFileSync } from "node:fs";
import ts from "typescript";

/** What a script says, without its comments and layout. */
function tree(text) {
  const file = ts.createSourceFile("script.js", text, ts.ScriptTarget.ES2022, true, ts.ScriptKind.JS);
  if (file.parseDiagnostics.length) throw new Error(ts.flattenDiagnosticMessageText(file.parseDiagnostics[0].messageText, " "));
  const parts = [];
  const visit = (node) => {
    if (ts.isJSDoc(node)) return;
    parts.push(`${ts.SyntaxKind[node.kind]} ${ts.isSourceFile(node) ? "" : JSON.stringify(node.text ?? "")}`);
    ts.forEachChild(node, visit);
    parts.push("end");
  };
  visit(file);
  return parts;
}

let broken = 0;
for (const [name, [written, served]] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
  let said;
  try {
    const [before, after] = [tree(written), tree(served)];
    const at = before.findIndex((part, i) => part !== after[i]);
    said = at >= 0 ? `${before.slice(Math.max(0, at - 3), at + 1).join(", ")} becomes ${after[at]}` : before.length !== after.length && "more";
  } catch (error) {
    said = error.message;
  }
  if (said) {
    console.log(`${name}: served it would mean something else (a template literal inside another one?): ${said}`);
    broken = 1;
  }
}
process.exit(broken);
