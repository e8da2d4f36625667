// The strips above the grid that tell of single hosts: markup of the server, fetched anew when such hosts turn up.
import { fetchInto, renew, throttled } from "./dom.js";

const LOOK_EVERY_MS = 2000;

/**
 * The strip of host keys nobody has decided on. Returns what to call with the number of unreachable hosts whenever it may have changed.
 * @param {number} job
 * @param {HTMLElement} root
 * @param {number} known how many hosts were unreachable when the page was made
 */
export function offeredKeys(job, root, known) {
  let unreachable = known;
  const look = throttled(() => {
    fetchInto(root, `/jobs/${job}/keys/notice`).catch(() => {
      // The next host that is unreachable, or the next look at the page, asks again.
      unreachable = -1;
    });
  }, LOOK_EVERY_MS);

  return (/** @type {number} */ now) => {
    if (now === unreachable) return;
    unreachable = now;
    look();
  };
}

/**
 * The strip of hosts on which the command may still be running; while somebody waits for the answer of a check it looks
 * again. Returns what to call with the view whenever it may have changed.
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

/**
 * The strip of how far the files of a job are: the state of a job changes with its hosts, its bytes do so meanwhile.
 * @param {number} job
 * @param {HTMLElement} root
 */
export function carriedFiles(job, root) {
  if (root.querySelector("[data-active]")) setTimeout(() => renew(root, `/jobs/${job}/carried`).catch(() => {}).then(() => carriedFiles(job, root)), LOOK_EVERY_MS);
}
