// The strip that tells of hosts on which the command may still be running: markup of the server, fetched anew when such
// hosts turn up and while somebody waits for the answer of a check.
import { renew, throttled } from "./dom.js";

const LOOK_EVERY_MS = 1500;

/**
 * Returns what to call with the view whenever it may have changed.
 * @param {number} job
 * @param {HTMLElement} root
 * @param {() => void} onAnswer called when hosts that were looked at have been answered for
 */
export function doubtfulRuns(job, root, onAnswer) {
  let known = "";
  let timer = 0;
  const look = throttled(async () => {
    clearTimeout(timer);
    const before = asked();
    await renew(root, `/jobs/${job}/doubts`).catch(() => {
      known = "";
    });
    if (asked() < before) onAnswer();
    again();
  }, LOOK_EVERY_MS);
  const asked = () => Number(root.querySelector("[data-asked]")?.getAttribute("data-asked"));
  const again = () => {
    if (asked()) timer = setTimeout(look, LOOK_EVERY_MS);
  };
  again();

  return (/** @type {import("./store.js").View} */ { job: { ver, counts } }) => {
    if (!counts.l && !counts.x && !counts.k && !root.firstElementChild) return;
    // Every change counts while there is a doubt: the answer of a check changes no counter.
    const now = root.firstElementChild ? String(ver) : `${counts.l} ${counts.x} ${counts.k}`;
    if (now === known) return;
    known = now;
    look();
  };
}
