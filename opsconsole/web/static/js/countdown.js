// The moment before a job of medium size starts, in which a person may still stop it without anything having run.
import { byId } from "./dom.js";
import { ended } from "./store.js";

const STEP_MS = 100;

/** Shows the bar while the job counts down, and lets Esc stop it. */
export function createCountdown() {
  const root = byId("countdown");
  /** @type {number | null} */
  let told = null;
  let startsAt = 0;
  let timer = 0;

  function tick() {
    const left = Math.max(0, startsAt - performance.now());
    // The leader looks once a second, so it may start a little later than told, and never earlier.
    byId("countdown-left").textContent = String(Math.max(1, Math.ceil(left / 1000)));
    byId("countdown-bar").value = left;
  }

  document.addEventListener("keydown", (event) => {
    if (!root || root.hidden || event.key !== "Escape" || event.isComposing || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    byId("countdown-stop").requestSubmit();
  });

  return {
    /** @param {import("./store.js").Status} job */
    show(job) {
      if (!root) return;
      // Without a worker, or while the console is held, nothing starts however long it counts.
      const left = !ended(job.state) && job.waiting?.code === "countdown" ? (job.starts_in_ms ?? null) : null;
      root.hidden = left === null;
      if (left !== told && left !== null) startsAt = performance.now() + left;
      told = left;
      clearInterval(timer);
      if (left === null) return;
      tick();
      timer = setInterval(tick, STEP_MS);
    },
  };
}
