// The live connection of a job page: server-sent events; where something on the way swallows them, long polls.
import { api } from "./dom.js";

const HELLO_WITHIN_MS = 3000;
const RETRY_STREAM_MS = 30000;
/** The server says something every 15 s: who hears nothing for so long has lost it, though nobody closed the connection. */
const SILENT_MS = 40000;
const EVENTS = ["hello", "snapshot", "delta", "groups", "out", "job", "notices", "done", "bye", "hb"];

/**
 * Follows a job until it is done or `close` is called. A hidden tab holds no connection.
 * @param {number} job
 * @param {{onEvent: (event: string, data: any) => void, onLink: (link: string) => void}} handlers
 */
export function follow(job, { onEvent, onLink }) {
  let ver = -1;
  /** @type {{i: number, offset: number} | null} */
  let out = null;
  /** @type {EventSource | null} */
  let source = null;
  /** @type {AbortController | null} */
  let polling = null;
  let helloTimer = 0;
  let retryTimer = 0;
  let lateTimer = 0;
  let over = false;

  /** @param {string} event @param {any} data */
  function take(event, data) {
    // Other events name the job's version, too, and may come before the hosts of that version were told.
    if (event === "snapshot" || event === "delta") ver = Math.max(ver, data.ver);
    if (event === "out" && out && data.i === out.i && typeof data.off === "number") out.offset = data.off + size(data);
    onEvent(event, data);
    if (event === "done") finish();
  }

  function finish() {
    over = true;
    stop();
    onLink("done");
  }

  function stop() {
    source?.close();
    source = null;
    polling?.abort();
    polling = null;
    clearTimeout(helloTimer);
    clearTimeout(retryTimer);
    clearTimeout(lateTimer);
    lateTimer = 0;
  }

  function stream() {
    stop();
    if (over || document.hidden) return;
    const query = `?notices=true${out ? `&out=${out.i}@${out.offset}` : ""}`;
    const opened = new EventSource(`/api/v1/jobs/${job}/events${query}`);
    source = opened;
    helloTimer = setTimeout(poll, HELLO_WITHIN_MS);
    for (const name of EVENTS) {
      opened.addEventListener(name, (message) => {
        if (source === opened) heard(name, JSON.parse(message.data));
      });
    }
    opened.addEventListener("error", () => {
      if (source !== opened) return;
      lateTimer ||= setTimeout(() => onLink("retry"), HELLO_WITHIN_MS);
      // A refusal (503 when streams are used up) closes the source for good; a broken line it mends by itself.
      if (opened.readyState === EventSource.CLOSED) poll();
    });
  }

  /** @param {string} name @param {any} data */
  function heard(name, data) {
    clearTimeout(helloTimer);
    clearTimeout(lateTimer);
    lateTimer = 0;
    if (name === "bye") {
      stop();
      retryTimer = setTimeout(data.poll ? poll : stream, data.retry_ms ?? 2000);
      return;
    }
    if (name === "hello") onLink("live");
    helloTimer = setTimeout(() => {
      onLink("retry");
      stream();
    }, SILENT_MS);
    take(name, data);
  }

  async function poll() {
    stop();
    if (over || document.hidden) return;
    const control = new AbortController();
    polling = control;
    retryTimer = setTimeout(stream, RETRY_STREAM_MS);
    while (!control.signal.aborted) {
      try {
        const since = ver < 0 ? "" : `?since=${ver}&wait=20`;
        const data = await api(`/api/v1/jobs/${job}/delta${since}`, { signal: control.signal });
        onLink("poll");
        if (data) take(data.grid === undefined ? "delta" : "snapshot", data);
        if (out) onEvent("out", { i: out.i });
        const status = await api(`/api/v1/jobs/${job}`, { signal: control.signal });
        if (status.finished_at && status.ver <= ver) take("done", status);
        else onEvent("job", { ver, state: status.state, stop_reason: status.stop_reason, stopped_by: status.stopped_by });
      } catch {
        if (control.signal.aborted) return;
        onLink("retry");
        await new Promise((resolve) => setTimeout(resolve, 2000));
      }
    }
  }

  const visibility = () => (document.hidden ? stop() : stream());
  document.addEventListener("visibilitychange", visibility);
  addEventListener("pagehide", stop);
  stream();

  return {
    /** Asks for one host's output from a byte offset on, or for none. @param {{i: number, offset: number} | null} next */
    watch(next) {
      if (next?.i === out?.i) return;
      out = next;
      if (!over && !polling) stream();
    },
    close() {
      document.removeEventListener("visibilitychange", visibility);
      stop();
    },
  };
}

/** @param {{s?: string, b64?: boolean}} piece */
function size(piece) {
  if (!piece.s) return 0;
  return piece.b64 ? atob(piece.s).length : new TextEncoder().encode(piece.s).length;
}
