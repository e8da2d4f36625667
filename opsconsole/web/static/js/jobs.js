// The list of jobs: its first page is fetched anew while somebody looks, with the filters of its address.
import { byId, pageAt } from "./dom.js";
import { localTimes } from "./page.js";

const BUSY_MS = 2000;
const CALM_MS = 5000;
const ANSWER_WITHIN_MS = 10_000;
/** What the server said last; what is shown has the reader's own times in it. */
let told = /** @type {Node | null} */ (null);

async function refresh() {
  const fresh = document.hidden ? null : (await pageAt(location.href, AbortSignal.timeout(ANSWER_WITHIN_MS)).catch(() => null))?.getElementById("jobs");
  const list = byId("jobs");
  if (fresh && !fresh.isEqualNode(told)) {
    told = fresh.cloneNode(true);
    const focused = list.contains(document.activeElement) && document.activeElement?.getAttribute("href");
    list.replaceChildren(...fresh.childNodes);
    localTimes(list);
    if (focused) list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  }
  next();
}

const next = () => setTimeout(refresh, document.querySelector("[data-active]") ? BUSY_MS : CALM_MS);

if (byId("jobs").dataset.live) next();
