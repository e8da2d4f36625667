// One host's output: a window of lines over what the server keeps, with follow and search over all of it.
// Longer than 400 lines because what is searched and what is shown know each other's lines.
import { render } from "./ansi.js";
import { api, byId, el, throttled } from "./dom.js";
import { bytes, number, plural, t } from "./texts.js";

const PAGE = 250;
// The browser lays out a block when it comes into view: small ones, so that it need not lay out a whole page at once.
const BLOCK = 50;
const WINDOW = 4000;
const CLIP = 4096;
const NEAR_PX = 800;
const LINE_PX = 18;

/** @typedef {[number, number, number, string]} Line number, ms since the start, stream, text */

/**
 * @param {{root: HTMLElement, url: string, step?: string, encoding?: string, lines: number, running: boolean, line: number | null,
 *   onCount?: (shown: {total: number, bytes: number, stderr: number}) => void}} options
 */
export function createLog({ root, url, step, encoding, lines, running, line, onCount }) {
  let first = 0;
  let last = 0;
  let total = lines;
  let live = running;
  let follow = running && line === null;
  let missed = 0;
  /** @type {{from: number, bytes: number} | null} */
  let cut = null;
  /** What is on its way. @type {Promise<void> | null} */
  let busy = null;
  let again = false;
  let refreshing = false;
  /** How often other lines were asked for than those next to what is shown. */
  let jumps = 0;
  let closed = false;
  /** The first and the last of the lines that the address names. */
  let marked = [line ?? 0, Number(line && /-L(\d{1,9})$/.exec(location.hash)?.[1]) || (line ?? 0)];
  const started = Date.parse(root.dataset.started ?? "");
  const abort = new AbortController();
  const partial = el("div", { class: "ln", hidden: true }, el("a"), el("b"), el("span"));
  /** @type {Record<number, string>} */
  const open = {};
  const newer = byId("newer");

  // What every question about this output says of it.
  const part = () => (step ? `&step=${step}` : "") + (encoding ? `&encoding=${encoding}` : "");
  const errorsOnly = () => root.classList.contains("errors");
  /** Returns some lines, null where they do not belong beside what is shown by now. @param {number} at @param {number} limit @param {string} [where] */
  async function page(at, limit, where = "from_line") {
    const jump = jumps;
    const answer = await api(`${url}/output?${where}=${at}&limit=${limit}${part()}${errorsOnly() ? "&stream=stderr" : ""}`, { signal: abort.signal });
    return jump === jumps ? answer : null;
  }

  /** @param {Line} one */
  function draw([n, ms, fd, content]) {
    const body = el("span");
    const clipped = content.length > CLIP;
    render(body, clipped ? content.slice(0, CLIP) : content);
    if (clipped) body.append(rest(body, content));
    const when = el("time", { text: `${(ms / 1000).toFixed(2)} s` });
    if (started) when.title = new Date(started + ms).toLocaleTimeString();
    body.prepend(when);
    return el("div", { class: `ln${fd === 2 ? " e" : ""}${isMarked(n) ? " hl" : ""}`, id: `L${n}` }, el("a", { href: `#L${n}`, text: n }), el("b"), body);
  }

  /** @param {number} n */
  const isMarked = (n) => n > 0 && n >= marked[0] && n <= marked[1];

  /** @param {number} from @param {number} to */
  function mark(from, to) {
    marked = [from, to];
    for (const node of root.querySelectorAll(".ln")) node.classList.toggle("hl", isMarked(Number(node.id.slice(1))));
  }

  /** @param {HTMLElement} body @param {string} content */
  function rest(body, content) {
    const button = el("button", { class: "linkish", type: "button", text: ` ${t("show all {n} characters", { n: number(content.length) })}` });
    button.addEventListener("click", () => {
      body.replaceChildren();
      render(body, content);
    });
    return button;
  }

  /** @param {Line[]} page_ */
  function blocks(page_) {
    const all = document.createDocumentFragment();
    for (let at = 0; at < page_.length; at += BLOCK) all.append(block(page_.slice(at, at + BLOCK), page_[Math.max(at - 1, 0)][0]));
    return all;
  }

  /** @param {Line[]} lines_ @param {number} before the number of the line above, or that of the first line */
  function block(lines_, before) {
    const node = el("div", { class: "pg" });
    for (const one of lines_) {
      if (cut && one[0] > before + 1) node.append(gap(cut.bytes));
      before = one[0];
      node.append(draw(one));
    }
    node.style.containIntrinsicSize = `auto ${lines_.length * LINE_PX}px`;
    node.dataset.first = String(lines_[0][0]);
    node.dataset.last = String(before);
    return node;
  }

  /** @param {number} lost */
  const gap = (lost) => el("div", { class: "gap", text: t("{size} left out here: the output was over the kept limit", { size: bytes(lost) }) });

  /** @param {any} answer */
  function note(answer) {
    total = answer.total_lines;
    // Between two errors other lines are left out, too.
    cut = errorsOnly() ? null : answer.truncated;
    onCount?.({ total, bytes: answer.total_bytes, stderr: answer.stderr_bytes });
  }

  /** Shows the lines from `from` on (a negative one counts from the end), forgetting what was shown. @param {number} from */
  async function load(from) {
    jumps++;
    const answer = await page(from, PAGE);
    if (closed || !answer) return;
    jumps++;
    note(answer);
    root.replaceChildren();
    if (answer.lines.length) root.append(blocks(answer.lines));
    first = answer.lines[0]?.[0] ?? 0;
    last = answer.lines.at(-1)?.[0] ?? 0;
    root.append(partial);
    blank();
  }

  /** Says that there is nothing where there is nothing. */
  function blank() {
    const shown = root.querySelector("p.empty");
    const none = errorsOnly() ? t("Nothing on stderr.") : total ? "" : live ? t("Nothing printed yet.") : (root.dataset.empty ?? "");
    const text = root.querySelector(".pg") || !partial.hidden ? "" : none;
    if (!text) shown?.remove();
    else if (shown) shown.textContent = text;
    else root.append(el("p", { class: "empty", text }));
  }

  /** One piece at a time. @param {() => Promise<void>} read */
  async function alone(read) {
    if (busy) return;
    busy = read();
    await busy.finally(() => (busy = null));
  }

  const down = async () => last < total && alone(async () => {
    const answer = await page(last + 1, PAGE);
    if (!answer) return;
    note(answer);
    if (!answer.lines.length) {
      last = Math.max(last, total);
      return;
    }
    if (last && cut && answer.lines[0][0] > last + 1) partial.before(gap(cut.bytes));
    partial.before(blocks(answer.lines));
    last = answer.lines.at(-1)[0];
    first ||= answer.lines[0][0];
    if (!follow) missed += answer.lines.length;
    trim(true);
  });

  const up = async () => first > 1 && alone(async () => {
    const answer = await page(first, PAGE, "before");
    if (!answer) return;
    if (answer.lines.length) {
      const before = root.scrollHeight;
      if (cut && answer.lines.at(-1)[0] < first - 1) root.prepend(gap(cut.bytes));
      root.prepend(blocks(answer.lines));
      // Keep what is read in its place where the browser does not: some never anchor the scroll, none does at the very top.
      if (!root.scrollTop || !CSS.supports("overflow-anchor", "auto")) root.scrollTop += root.scrollHeight - before;
      trim(false);
    }
    first = answer.lines[0]?.[0] ?? 1;
  });

  /** Drops the far end of a window that has grown too long. @param {boolean} top */
  function trim(top) {
    const shown = [...root.querySelectorAll(".pg")];
    let count = root.querySelectorAll(".ln").length;
    while (count > WINDOW && shown.length > 2) {
      const gone = /** @type {HTMLElement} */ (top ? shown.shift() : shown.pop());
      gone.remove();
      count -= gone.childElementCount;
      if (top) first = Number(gone.dataset.last) + 1;
      else last = Number(gone.dataset.first) - 1;
    }
  }

  /** Repeats a scroll: blocks get their true height only once they come into view. @param {() => void} scroll */
  function settle(scroll, times = 3) {
    scroll();
    if (times > 1) requestAnimationFrame(() => !closed && settle(scroll, times - 1));
  }

  function toEnd() {
    settle(() => {
      if (follow) root.scrollTop = root.scrollHeight;
    });
  }

  /** Brings the first line into view, however far it is. */
  async function toFirst() {
    if (first > 1) await load(1);
    settle(() => (root.scrollTop = 0));
  }

  /** Brings the last line into view, however far it is; that of a running command is followed. */
  async function toLast() {
    if (live) return setFollow(true);
    if (last < total) await load(-PAGE);
    settle(() => (root.scrollTop = root.scrollHeight));
  }

  function showNewer() {
    if (!newer) return;
    newer.hidden = follow || !missed;
    newer.textContent = plural(missed, "{n} new line", "{n} new lines");
  }

  const refresh = throttled(async () => {
    again = true;
    if (refreshing) return;
    refreshing = true;
    while (again && !closed) {
      again = false;
      // What is on its way may have been asked before that came which this tells of.
      await busy?.catch(() => {});
      await renew();
    }
    refreshing = false;
  }, 300);

  async function renew() {
    total = Math.max(total, last + 1);
    // Somebody who reads far up is told of new lines without being moved.
    if (!follow && first && root.scrollHeight - root.scrollTop - root.clientHeight > NEAR_PX * 4) {
      const answer = await page(last + 1, 1).catch(() => null);
      if (answer) note(answer);
      missed = total - last;
    } else {
      while (!closed && last < total) {
        const before = last;
        await down().catch(() => (total = last));
        if (last === before) break;
        // Who follows a flood reads its end: what is far behind is fetched when one goes there.
        if (follow && total - last > WINDOW) await load(-PAGE).catch(() => {});
      }
    }
    blank();
    if (follow) toEnd();
    showNewer();
  }

  /** @param {boolean} on */
  function setFollow(on) {
    follow = on;
    byId("follow")?.setAttribute("aria-pressed", String(on));
    if (on) {
      missed = 0;
      (last < total - WINDOW ? load(-PAGE) : down()).then(toEnd, () => {});
    }
    showNewer();
  }

  const listen = { signal: abort.signal, passive: true };
  root.addEventListener("wheel", (event) => event.deltaY < 0 && follow && setFollow(false), listen);
  root.addEventListener("touchmove", () => follow && setFollow(false), listen);
  root.addEventListener("pointerdown", (event) => event.target === root && follow && setFollow(false), listen);
  root.addEventListener("keydown", (event) => {
    if (["PageUp", "ArrowUp", "Home"].includes(event.key) && follow) setFollow(false);
    if (!["Home", "End"].includes(event.key) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    (event.key === "End" ? toLast() : toFirst()).catch(() => {});
  }, { signal: abort.signal });
  root.addEventListener("scroll", () => {
    if (root.scrollTop < NEAR_PX) up().catch(() => {});
    if (root.scrollHeight - root.scrollTop - root.clientHeight < NEAR_PX) down().catch(() => {});
  }, listen);
  // A click on a number is the link to its line; with Shift it is the link to all from the line before.
  root.addEventListener("click", (event) => {
    const n = Number(/** @type {HTMLElement} */ (event.target).closest(".ln > a")?.textContent);
    if (!n || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const from = (event.shiftKey && marked[0]) || n;
    mark(Math.min(from, n), Math.max(from, n));
    history.replaceState(history.state, "", `#L${marked[0]}` + (from === n ? "" : `-L${marked[1]}`));
  }, { signal: abort.signal });
  newer?.addEventListener("click", () => setFollow(true), { signal: abort.signal });

  const ready = load(line ? Math.max(1, line - 50) : running ? -PAGE : 1).then(async () => {
    // A link to a line that is not there leads to the last one.
    if (line && line > last) await toLast();
    else if (line) reveal(line);
    else if (follow) toEnd();
  });

  /** @param {number} n */
  function reveal(n) {
    const node = document.getElementById(`L${n}`);
    if (marked[0] !== n) mark(n, n);
    settle(() => node?.scrollIntoView({ block: "center" }));
  }

  return {
    ready,
    /** Takes a piece of live output: a sign that lines came, and the text of a line that has not ended yet.
     * @param {{fd?: number, s?: string, b64?: boolean}} piece */
    out(piece) {
      if (piece.s !== undefined && piece.fd && !piece.b64) {
        open[piece.fd] = ((open[piece.fd] ?? "") + piece.s).split("\n").at(-1)?.slice(-CLIP) ?? "";
        const rest_ = open[2] || open[1] || "";
        partial.hidden = !rest_;
        partial.classList.toggle("e", Boolean(open[2]));
        const body = partial.lastElementChild;
        body.replaceChildren();
        render(body, rest_);
        blank();
      }
      refresh();
    },
    /** The command has ended: what was an unfinished line is one now. */
    finished() {
      live = false;
      partial.hidden = true;
      total = Math.max(total, last + 1);
      refresh();
    },
    /** Sets what is said where nothing was printed. @param {string} text */
    empty(text) {
      root.dataset.empty = text;
      blank();
    },
    follow: setFollow,
    toLast,
    get following() {
      return follow;
    },
    /** Brings a line into view. @param {number} n */
    async goTo(n) {
      setFollow(false);
      if (!document.getElementById(`L${n}`)) {
        byId("errors").ariaPressed = String(root.classList.toggle("errors", false));
        await load(Math.max(1, n - 50));
      }
      reveal(n);
    },
    /** Asks the server which lines of this output have what is `asked` for. @param {URLSearchParams} asked @param {AbortSignal} signal */
    find(asked, signal) {
      const [of, i] = url.split("/hosts/");
      asked.set("i", i);
      return api(`${of}/search?${asked}${part()}`, { signal });
    },
    /** Reads what is shown in another encoding, from the same lines on. @param {string} [next] "" for UTF-8 @param {number} [from] another first line */
    async read(next = encoding, from = first || 1) {
      encoding = next;
      await load(follow ? -PAGE : from);
      toEnd();
    },
    close() {
      closed = true;
      abort.abort();
    },
  };
}

// --- search: the server looks through every kept line, and tells true totals and pages of hits ------------------------

const HITS = 200;

/** @typedef {{n: number, text: string, from_char: number, spans: [number, number][]}} Hit */

/**
 * @param {{input: HTMLInputElement, root: HTMLElement, log: () => ReturnType<typeof createLog> | null}} options
 */
export function search({ input, root, log }) {
  /** Pages of hits by their number. @type {Map<number, Hit[]>} */
  let pages = new Map();
  let total = 0;
  let at = -1;
  let asking = new AbortController();
  const hits = byId("hits");
  const regex = byId("find-re");
  const cased = byId("find-case");

  /** @param {number} index */
  async function hit(index) {
    const page = Math.floor(index / HITS);
    if (!pages.has(page)) {
      const asked = new URLSearchParams({ q: input.value, skip: String(page * HITS), hits: String(HITS) });
      for (const [name, button] of Object.entries({ re: regex, case: cased })) if (button?.ariaPressed === "true") asked.set(name, "1");
      const answer = await log()?.find(asked, asking.signal);
      total = answer?.lines ?? 0;
      pages.set(page, answer?.rows[0]?.hits ?? []);
    }
    return pages.get(page)?.[index % HITS];
  }

  async function start() {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    pages = new Map();
    total = 0;
    at = -1;
    say("");
    mark();
    if (!input.value || !log()) return;
    say(t("Searching…"));
    try {
      await hit(0);
    } catch (error) {
      if (!signal.aborted) say(/** @type {any} */ (error).problem?.detail ?? t("The search failed."));
      return;
    }
    if (signal.aborted) return;
    say();
    if (total) step(1);
  }

  /** @param {string} [text] */
  function say(text) {
    if (hits) hits.textContent = text ?? (total ? t("{n} of {total}", { n: number(at + 1), total: number(total) }) : t("Not found"));
  }

  /** @param {number} by */
  async function step(by) {
    if (!total) return;
    const { signal } = asking;
    at = (at + by + total) % total;
    say();
    const found = await hit(at).catch(() => undefined);
    if (!found || signal.aborted) return;
    await log()?.goTo(found.n);
    mark();
  }

  /** Highlights the places that are known among the lines on the page, without touching their nodes. */
  function mark() {
    if (!globalThis.Highlight) return;
    /** @type {Range[]} */
    const ranges = [];
    for (const one of [...pages.values()].flat()) {
      const line = root.querySelector(`#L${one.n} > span`);
      if (line) for (const span of one.spans) ranges.push(...place(line, one, span));
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  }

  let timer = 0;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(start, 200);
  };
  input.addEventListener("input", later);
  for (const button of [regex, cased]) {
    button?.addEventListener("click", () => {
      button.ariaPressed = String(button.ariaPressed !== "true");
      later();
    });
  }
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") root.focus();
  });
  if (input.value) start();
  return { step, again: start };
}

/** Returns where a place of a hit is among the text nodes of its line. @param {Element} line @param {Hit} hit @param {[number, number]} span */
function place(line, { text, from_char }, [from, to]) {
  const nodes = [];
  const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) if (!node.parentElement?.matches("time")) nodes.push(node);
  // The server counts characters, a page counts UTF-16 units; and the page does not show what was overwritten.
  const chars = [...nodes.map((node) => node.nodeValue).join("")];
  if (!chars.slice(from_char).join("").startsWith([...text].slice(0, to).join(""))) return [];
  const units = (/** @type {number} */ n) => chars.slice(0, from_char + n).join("").length;
  const [start, end] = [units(from), units(to)];
  let before = 0;
  /** @type {Range[]} */
  const ranges = [];
  for (const node of nodes) {
    const size = node.nodeValue?.length ?? 0;
    if (before < end && before + size > start) {
      const range = new Range();
      range.setStart(node, Math.max(start - before, 0));
      range.setEnd(node, Math.min(end - before, size));
      ranges.push(range);
    }
    before += size;
  }
  return ranges;
}
