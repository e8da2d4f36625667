// The jobs list: rows of unfinished jobs follow their status, and new jobs are announced.
import { api, el } from "./dom.js";
import { BAR_ORDER, elapsed, ended } from "./store.js";
import { duration, number, STATES, t } from "./texts.js";

const EVERY_MS = 2000;
const LOOK_EVERY_MS = 5000;

/** @param {HTMLElement} row @param {any} job */
function show(row, job) {
  const bar = row.querySelector(".bar");
  bar?.replaceChildren(
    ...[...BAR_ORDER].filter((letter) => job.counts[letter]).map((letter) => {
      const part = el("i", { class: letter, title: `${t(STATES[letter])} ${number(job.counts[letter])}` });
      part.style.flexGrow = String(job.counts[letter]);
      return part;
    }),
  );
  const done = row.querySelector("[data-done]");
  if (done) done.textContent = `${number(job.done)} / ${number(job.targets.count)}`;
  const took = row.querySelector("[data-took]");
  const ms = elapsed(job, Date.now());
  if (took && ms !== null) took.textContent = ms < 1000 ? t("just started") : duration(ms);
}

async function refresh() {
  if (!document.hidden) {
    for (const row of document.querySelectorAll("tr[data-active]")) {
      const job = await api(`/api/v1/jobs/${row.getAttribute("data-active")}`).catch(() => null);
      if (!job) continue;
      // The finished row comes from the server: its glyph, verdict and rerun links are made in one place.
      if (ended(job.state)) return location.reload();
      show(/** @type {HTMLElement} */ (row), job);
    }
  }
  if (document.querySelector("tr[data-active]")) setTimeout(refresh, EVERY_MS);
}

if (document.querySelector("tr[data-active]")) setTimeout(refresh, EVERY_MS);

/** The first page without a filter shows new jobs as they come, unless somebody is using the filter. */
async function lookForNew() {
  const table = document.querySelector("[data-newest]");
  if (!table) return;
  if (!document.hidden && !document.activeElement?.closest("form")) {
    const { jobs = [] } = (await api("/api/v1/jobs?limit=1").catch(() => null)) ?? {};
    if ((jobs[0]?.id ?? 0) > Number(table.getAttribute("data-newest"))) return location.reload();
  }
  setTimeout(lookForNew, LOOK_EVERY_MS);
}
setTimeout(lookForNew, LOOK_EVERY_MS);
