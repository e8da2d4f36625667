import assert from "node:assert/strict";
import { test } from "vitest";
import { advice } from "../../../opsconsole/web/static/js/advice.js";

const said = (text) => advice(text).map(({ line, text: what }) => `${line}: ${what}`).join("; ");

test("each thing worth a look is told with its line", () => {
  for (const [text, line, what] of [
    ["uptime\nsudo id", 2, "without -n"], ["sudo -u app id", 1, "without -n"], ["ls –la", 1, "dash"], ["echo “hi”", 1, "quote"], ["vim /etc/motd", 1, "waits for a person"],
    ["cd /tmp && top", 1, "waits for a person"], ["sudo -n less x", 1, "waits for a person"], ["true; reboot", 1, "down"], ["sudo -n shutdown -r +1", 1, "down"],
    ["systemctl restart nginx", 1, "service"], ["service nginx restart", 1, "service"], ["echo 'a", 0, "quote"],
    ["echo {{ host }}", 1, "braces"], ["echo {{host}}", 1, "braces"], ["echo {{ host.name }}", 1, "braces"],
  ]) {
    assert.ok(said(text).startsWith(`${line}: `) && said(text).includes(what), `${text} -> ${said(text)}`);
  }
});

test("what is common and harmless is left alone", () => {
  for (const text of ["uptime", "sudo -n id", "sudo -nu app id", "sudo -u app -n id", "top -b -n 1", "echo vim", "systemctl status nginx", "# sudo id", "echo reboot", "echo \"it's\"", "docker ps --format '{{.Names}}'", "docker ps --format '{{ .Names }}'", "echo {{host.name}} {{n}}", "echo {host.name}",
    "echo it # it's a comment", "cat <<E\nit's\nE", "grep -r 'top' /etc", "last reboot"]) assert.equal(said(text), "", text);
});

test("no more than three are told", () => assert.equal(advice("sudo a\nsudo b\nsudo c\nsudo d").length, 3));
