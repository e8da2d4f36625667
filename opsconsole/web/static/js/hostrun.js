// The full-width page of one host's output.
import { byId } from "./dom.js";
import { cover, keys, notices } from "./page.js";
import { mount } from "./pane.js";
import { follow } from "./sse.js";

const main = byId("run");
const i = Number(main.dataset.i);
const line = /^#L(\d{1,9})/.exec(location.hash);
const pane = mount(main, { line: line ? Number(line[1]) : null });

if (main.dataset.active === "yes") {
  cover(true);
  const stream = follow(Number(main.dataset.job), {
    onEvent(event, data) {
      if (event === "out") pane.log?.out(data);
      if (event === "notices") notices(data.notices);
      const letter = event === "snapshot" ? data.grid[i] : (data.h ?? []).find((/** @type {any[]} */ row) => row[0] === i)?.[1];
      // The head of this page is the server's; it has changed when the host's state has.
      if (letter && letter !== main.dataset.state) location.reload();
    },
    onLink: (link) => cover(link === "live"),
  });
  pane.log?.ready.then(() => pane.running && stream.watch({ i, offset: pane.offset() }));
}

keys({
  "/": () => byId("find")?.focus(),
  f: () => pane.log?.follow(!pane.log.following),
  n: () => pane.finder?.step(1),
});
