// The pages Queue and Workers: the server's table, fetched anew every few seconds while somebody looks.
import { byId, pageAt } from "./dom.js";
import { localTimes } from "./page.js";

const EVERY_MS = 3000;

async function refresh() {
  if (!document.hidden) {
    const page = await pageAt(location.href, AbortSignal.timeout(10_000)).catch(() => null);
    for (const id of ["queue", "slots"]) {
      const fresh = page?.getElementById(id);
      if (fresh) localTimes(fresh);
      // What did not change stays, so that the focus and what is being read aloud do too.
      if (fresh && !fresh.isEqualNode(byId(id))) byId(id).replaceWith(fresh);
    }
  }
  setTimeout(refresh, EVERY_MS);
}
setTimeout(refresh, EVERY_MS);
