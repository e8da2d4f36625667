import assert from "node:assert/strict";
import { test } from "node:test";
import { changed, elapsed, LETTERS, reduce, start } from "../../../opsconsole/web/static/js/store.js";

/** A small generator of numbers, so that a failure can be repeated. */
function dice(seed) {
  let state = seed;
  return (below) => {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    return state % below;
  };
}

/** A job as the server keeps it: each host with the version at which it last changed. */
class Server {
  constructor(count) {
    this.ver = 1;
    this.hosts = Array.from({ length: count }, () => ({ state: "q", ver: 1 }));
  }

  change(i, state) {
    this.ver++;
    this.hosts[i] = { state, ver: this.ver, exit: "of".includes(state) ? 0 : undefined, ms: 10 };
  }

  get grid() {
    return this.hosts.map((host) => host.state).join("");
  }

  get counts() {
    const counts = Object.fromEntries([...LETTERS].map((letter) => [letter, 0]));
    for (const host of this.hosts) counts[host.state]++;
    return counts;
  }

  snapshot() {
    const done = this.hosts.filter((host) => !"qcr".includes(host.state)).length;
    const job = { id: 1, ver: this.ver, state: "running", counts: this.counts, done, targets: { count: this.hosts.length } };
    return { ver: this.ver, grid: this.grid, job };
  }

  delta(since) {
    const h = this.hosts.flatMap((host, i) => (host.ver > since ? [[i, host.state, host.exit, host.ms]] : []));
    return { ver: this.ver, counts: this.counts, h };
  }
}

test("a job is timed from its start, and from its order when nothing started", () => {
  const at = (second) => (second === null ? null : new Date(second * 1000).toISOString());
  const time = (started, finished) => elapsed({ created_at: at(0), started_at: at(started), finished_at: at(finished) }, 60_900);
  assert.deepEqual([time(null, null), time(10, null), time(10, 25.5), time(null, 25)], [null, 50_000, 15_500, 25_000]);
});

test("a start and who stopped it come with deltas and with the job's own events", () => {
  const begun = reduce({ ...start(job(1)), ver: 1 }, "delta", { ver: 2, started_at: "2026-01-01T00:00:00.000Z", h: [], counts: { q: 1, c: 0, r: 0 } });
  assert.equal(begun.job.started_at, "2026-01-01T00:00:00.000Z");
  const stopped = reduce(begun, "job", { ver: 3, state: "stopping", stopped_by: "ann" });
  assert.deepEqual([stopped.job.state, stopped.job.stopped_by, stopped.job.started_at], ["stopping", "ann", begun.job.started_at]);
});

const job = (count) => ({ id: 1, ver: 0, state: "pending", counts: { q: count }, targets: { count } });

test("any deltas may be lost as long as a later one since the last seen version comes", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const next = dice(seed);
    const server = new Server(1 + next(40));
    let view = reduce(start(job(server.hosts.length)), "snapshot", server.snapshot());
    for (let step = 0; step < 60; step++) {
      for (let n = next(4); n > 0; n--) server.change(next(server.hosts.length), LETTERS[next(LETTERS.length)]);
      if (next(3) === 0) view = reduce(view, "delta", server.delta(view.ver));
    }
    view = reduce(view, "delta", server.delta(view.ver));
    assert.equal(view.grid, server.grid);
    assert.deepEqual(view.job.counts, server.counts);
    assert.equal(view.job.done, server.hosts.filter((host) => !"qcr".includes(host.state)).length);
  }
});

test("an old or repeated event changes nothing", () => {
  const server = new Server(3);
  const before = server.delta(0);
  server.change(1, "f");
  const view = reduce(start(job(3)), "snapshot", server.snapshot());
  assert.equal(reduce(view, "delta", before), view);
  assert.equal(reduce(view, "delta", server.delta(0)), view);
  assert.equal(reduce(view, "nonsense", { ver: 99 }), view);
});

test("a view is not changed in place", () => {
  const server = new Server(3);
  const view = reduce(start(job(3)), "snapshot", server.snapshot());
  server.change(0, "o");
  const after = reduce(view, "delta", server.delta(view.ver));
  assert.equal(view.grid, "qqq");
  assert.equal(view.facts.size, 0);
  assert.equal(after.grid, "oqq");
  assert.deepEqual(changed(view.grid, after.grid), [0]);
});

test("the job's own event may come before the hosts of its version", () => {
  const server = new Server(1);
  const begun = reduce(start(job(1)), "snapshot", server.snapshot());
  server.change(0, "o");
  const told = reduce(begun, "job", { ver: server.ver, state: "succeeded" });
  const after = reduce(told, "delta", server.delta(begun.ver));
  assert.deepEqual([after.grid, after.facts.get(0).exit], ["o", 0]);
});

test("the end carries the verdict", () => {
  const server = new Server(1);
  server.change(0, "o");
  const view = reduce(start(job(1)), "done", { ver: 5, state: "succeeded", counts: server.counts, finished_at: "2026-01-01T00:00:00Z" });
  assert.equal(view.job.state, "succeeded");
  assert.equal(view.job.progress, 1);
});
