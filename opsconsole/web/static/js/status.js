// The head of a job page: verdict, progress, counters.
import { createControl, createCountdown, headline, reasonOf } from "./control.js";
import { byId, el, glyph } from "./dom.js";
import { BAR_ORDER, elapsed, ended } from "./store.js";
import { about, duration, mark, number, plural, STATES, t } from "./texts.js";

const PILLS = {
  pending: ["q", mark("Pending")], running: ["r", mark("Running")], paused: ["z", mark("Paused")], stopping: ["r", mark("Stopping")], succeeded: ["o", mark("Succeeded")],
  partial: ["p", mark("Partial")], failed: ["f", mark("Failed")], cancelled: ["x", mark("Cancelled")],
};
const SPEAK_EVERY_MS = 15000;

/**
 * @param {string} title the job's, for the browser's tab
 * @param {(i: number) => string | undefined} letterOf the state of a host by its place, where it is known
 */
export function createStatus(title, letterOf) {
  /** @type {import("./store.js").Status | null} */
  let job = null;
  let spoken = 0;
  let clockSkew = 0;
  const control = createControl();
  const countdown = createCountdown();

  /** @param {import("./store.js").Status} next */
  function show(next) {
    const before = job;
    job = next;
    const [letter, name] = PILLS[/** @type {keyof typeof PILLS} */ (next.state)] ?? ["q", next.state];
    const pill = byId("pill");
    if (before?.state !== next.state) {
      pill.className = `pill ${letter}`;
      pill.replaceChildren(glyph(letter), el("span", { text: t(name) }));
    }
    const percent = Math.floor(next.progress * 100);
    byId("pct").textContent = `${percent}%`;
    byId("done").textContent = plural(next.targets.count, "{done} of {n} host ended", "{done} of {n} hosts ended").replace("{done}", number(next.done));
    byId("stopped").textContent = headline(next);
    control.show(next);
    countdown.show(next);
    byId("bar").setAttribute("aria-valuenow", String(percent));
    bar(next.counts);
    chips(next.counts);
    steps(next);
    budget(next);
    tick();
    document.title = `${ended(next.state) ? t(name) : `${percent}%`} · #${next.id} ${title}`;
    icon(next);
    speak(next, t(name), percent, Boolean(before && before.state !== next.state && (ended(next.state) || reasonOf(next) || before.state === "paused")));
    if (document.body.classList.toggle("over", ended(next.state))) byId("pct").parentElement.tabIndex = 0;
    for (const node of document.querySelectorAll("[data-while]")) {
      /** @type {HTMLElement} */ (node).hidden = ended(next.state);
    }
  }

  /** Where the hosts are among the steps of the order. @param {import("./store.js").Status} next */
  function steps(next) {
    for (const [at, { step, counts }] of (next.steps?.list ?? []).entries()) {
      const node = byId("step-list")?.children[at];
      node?.classList.toggle("now", step === next.steps?.now && !ended(next.state));
      node?.lastElementChild?.replaceChildren(...[...BAR_ORDER].filter((letter) => counts[letter]).flatMap((letter) => [
        el("span", { title: t(STATES[letter]) }, glyph(letter), ` ${number(counts[letter])}`, el("span", { class: "vh", text: ` ${t(STATES[letter])}` })), " "]));
    }
  }

  /** @param {Record<string, number>} counts */
  function bar(counts) {
    const parts = [...BAR_ORDER].filter((letter) => counts[letter]);
    const root = byId("bar");
    const same = parts.length === root.children.length && parts.every((letter, at) => root.children[at].className === letter);
    // Reused parts let the browser draw a change of width without a new layout of everything else.
    if (!same) root.replaceChildren(...parts.map((letter) => el("i", { class: letter })));
    parts.forEach((letter, at) => {
      const part = root.children[at];
      part.style.flexGrow = String(counts[letter]);
      part.title = `${t(STATES[letter])} ${number(counts[letter])}`;
    });
  }

  /** @param {Record<string, number>} counts */
  function chips(counts) {
    for (const chip of document.querySelectorAll(".chip:not([data-state=''])")) {
      const letter = chip.getAttribute("data-state") ?? "";
      const value = counts[letter] ?? 0;
      const label = chip.querySelector("b");
      if (label) label.textContent = number(value);
      /** @type {HTMLElement} */ (chip).hidden = !value && letter !== "f" && !chip.classList.contains("on");
    }
    for (const item of document.querySelectorAll("[data-menu-state]")) {
      /** @type {HTMLElement} */ (item).hidden = !counts[item.getAttribute("data-menu-state") ?? ""];
    }
    for (const node of document.querySelectorAll("[data-count-of]")) {
      const sum = [...(node.getAttribute("data-count-of") ?? "")].reduce((all, letter) => all + counts[letter], 0);
      node.textContent = number(sum);
    }
  }

  /** @param {import("./store.js").Status} next */
  function budget(next) {
    const node = byId("budget");
    if (!node || !next.budget) return;
    node.querySelector("b > span").textContent = t("{used} of {allowed}", { used: number(next.budget.used), allowed: number(next.budget.allowed) });
    node.querySelector("progress").value = next.budget.used;
  }

  function tick() {
    if (!job) return;
    const ms = elapsed(job, Date.now() + clockSkew);
    byId("elapsed").textContent = ms === null ? t("not started") : ms < 1000 && !job.finished_at ? t("just started") : duration(ms);
    const over = ended(job.state);
    const { q, c, r } = job.counts;
    const last = !over && !q && (job.slowest ?? []).find(({ i }) => (letterOf(i) ?? "r") === "r");
    const seconds = (/** @type {string} */ since) => Math.max(0, Math.floor((Date.now() + clockSkew - Date.parse(since)) / 1000));
    const left = last ? duration(seconds(last.started_at) * 1000) : !over && job.eta_ms !== null && q > 0 ? about(job.eta_ms) : "";
    byId("left").textContent = left;
    byId("left").nextElementSibling.textContent = last ? t("waiting for {n}: {host}", { n: number(c + r), host: last.host }) : t("left");
    byId("left").parentElement.hidden = !left;
    const rate = !over && job.rate_per_s ? t("{n} hosts/s", { n: job.rate_per_s < 10 ? job.rate_per_s.toFixed(1) : number(Math.round(job.rate_per_s)) }) : "";
    byId("rate").textContent = rate;
    byId("rate").parentElement.hidden = !rate;
  }
  setInterval(() => job && !ended(job.state) && tick(), 1000);

  /** @param {import("./store.js").Status} next @param {string} state @param {number} percent @param {boolean} urgent */
  function speak(next, state, percent, urgent) {
    if (!urgent && Date.now() - spoken < SPEAK_EVERY_MS) return;
    spoken = Date.now();
    const why = headline(next);
    const news = ended(next.state) ? [t("The job has ended: {state}", { state }), why].filter(Boolean).join(", ") : why ? `${state}: ${why}` : state;
    byId(next.stop_reason === "threshold" && urgent ? "alarm" : "spoken").textContent = urgent ? news : t("{percent} percent, {failed} failed", { percent, failed: next.counts.f });
  }

  /** @param {import("./store.js").Status} next */
  function icon(next) {
    const link = /** @type {HTMLLinkElement} */ (document.querySelector("link[rel=icon]"));
    const name = !ended(next.state) ? "run" : next.state === "succeeded" ? "ok" : "bad";
    const href = link.dataset[name] ?? "";
    if (link.getAttribute("href") !== href) link.href = href;
  }

  return {
    show,
    /** Sets the difference to the server's clock, so that elapsed times agree. @param {string} serverTime */
    clock(serverTime) {
      const there = Date.parse(serverTime);
      if (!Number.isNaN(there)) clockSkew = there - Date.now();
    },
  };
}
