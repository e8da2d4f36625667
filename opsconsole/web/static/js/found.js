// The hosts of a job by what they wrote, as the address of its page asks: which places of the roster these are.
import { api } from "./dom.js";
import { t } from "./texts.js";

/**
 * Returns the places of the hosts with a hit, or of those without one. An answer may come before all hosts were searched:
 * then the question is asked again for as long as that gets further.
 * @param {number} job
 * @param {URLSearchParams} asked what the API takes: find, re, case, found
 * @param {number} size how many hosts the job has
 */
export async function foundPlaces(job, asked, size) {
  const search = new URLSearchParams({ q: asked.get("find") ?? "", limit: "1" });
  for (const name of ["re", "case"]) if (asked.has(name)) search.set(name, "1");
  for (let searched = -1; ; ) {
    const answer = await api(`/api/v1/jobs/${job}/search?${search}`);
    if (answer.complete) {
      /** @type {Set<number>} */
      const hit = new Set(answer.totals.map((/** @type {[number, number]} */ [i]) => i));
      return asked.get("found") === "without" ? new Set([...Array(size).keys()].filter((i) => !hit.has(i))) : hit;
    }
    if (answer.searched <= searched) throw new Error(t("Not all hosts could be searched in the time."));
    searched = answer.searched;
  }
}
