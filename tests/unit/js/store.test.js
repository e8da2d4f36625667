import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "vitest";
import { changed, elapsed, BAR_ORDER, reduce, start } from "../../../opsconsole/web/static/js/store.js";

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
    const counts = Object.fromEntries([...BAR_ORDER].map((letter) => [letter, 0]));
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

const change = fc.record({ change: fc.nat(39), state: fc.constantFrom(...BAR_ORDER) });
// A delta that arrives, one that is lost on the way, one that comes a second time, and a look at the whole.
const arrival = fc.constantFrom("delta", "delta", "lost", "again", "snapshot");
const story = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.array(fc.oneof({ arbitrary: change, weight: 3 }, arrival), { maxLength: 120 }));

test("any deltas may be lost as long as a later one since the last seen version comes", () => {
  fc.assert(
    fc.property(story, ([count, events]) => {
      const server = new Server(count);
      let view = reduce(start(job(count)), "snapshot", server.snapshot());
      let last = server.delta(view.ver);
      for (const event of events) {
        if (typeof event === "object") server.change(event.change % count, event.state);
        else if (event === "snapshot") view = reduce(view, event, server.snapshot());
        else if (event === "again") view = reduce(view, "delta", last);
        else {
          last = server.delta(view.ver);
          if (event === "delta") view = reduce(view, "delta", last);
        }
      }
      view = reduce(view, "delta", server.delta(view.ver));
      const whole = reduce(start(job(count)), "snapshot", server.snapshot());
      const seen = ({ grid, ver, job: { counts, done, progress } }) => ({ grid, ver, counts, done, progress });
      assert.deepEqual({ ...seen(view), progress: 0 }, { ...seen(whole), progress: 0 });
      assert.equal(view.job.done, server.hosts.filter((host) => !"qcr".includes(host.state)).length);
      // A host's facts are those of the change that its letter comes from.
      for (const [i, facts] of view.facts) assert.equal(facts.exit, server.hosts[i].exit);
      assert.equal(Object.values(view.job.counts).reduce((sum, n) => sum + n, 0), count);
    }),
    { numRuns: 500 },
  );
});

test("the view that was given is never changed", () => {
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 20 }), (changes) => {
      const server = new Server(40);
      const before = reduce(start(job(40)), "snapshot", server.snapshot());
      const copy = structuredClone(before);
      for (const one of changes) server.change(one.change, one.state);
      for (const event of [["delta", server.delta(before.ver)], ["snapshot", server.snapshot()], ["done", { ver: 99, state: "failed" }]]) {
        assert.notEqual(reduce(before, ...event), before);
      }
      assert.deepEqual(before, copy);
    }),
  );
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
