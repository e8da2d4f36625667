// The strip that tells of host keys nobody has decided on: markup of the server, fetched anew while hosts turn up with
// such keys.
import { fetchInto, throttled } from "./dom.js";

const LOOK_EVERY_MS = 2000;

/**
 * Returns what to call with the number of unreachable hosts whenever it may have changed.
 * @param {number} job
 * @param {HTMLElement} root
 * @param {number} known how many hosts were unreachable when the page was made
 */
export function offeredKeys(job, root, known) {
  let unreachable = known;
  const look = throttled(() => {
    fetchInto(root, `/jobs/${job}/keys/notice`, new AbortController().signal).catch(() => {
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
