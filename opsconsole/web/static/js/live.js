// The parts of a page that tell of now, as the server draws them: asked for again while somebody looks, as often as each says.
import { pageAt } from "./dom.js";
import { localTimes } from "./page.js";

const ANSWER_WITHIN_MS = 10_000;
/** What the server said last of each; what is shown has the reader's own times in it. @type {Map<string, Node>} */
const told = new Map();
const parts = () => /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-live]")]);

async function refresh() {
  const page = document.hidden ? null : await pageAt(location.href, AbortSignal.timeout(ANSWER_WITHIN_MS)).catch(() => null);
  for (const part of parts()) {
    const fresh = page?.getElementById(part.id);
    // What did not change stays, so that the focus and what is being read aloud do too.
    if (!fresh || fresh.isEqualNode(told.get(part.id) ?? null)) continue;
    told.set(part.id, fresh.cloneNode(true));
    const focused = part.contains(document.activeElement) && document.activeElement?.getAttribute("href");
    localTimes(fresh);
    part.replaceWith(fresh);
    if (focused) /** @type {HTMLElement | null} */ (fresh.querySelector(`a[href="${CSS.escape(focused)}"]`))?.focus();
  }
  next();
}

function next() {
  const every = Math.min(...parts().map((part) => Number(part.dataset.live)));
  if (every < Infinity) setTimeout(refresh, every);
}

next();
