// The page of one output group.
import { byId, copy } from "./dom.js";
import "./page.js";
import { t } from "./texts.js";

byId("copy-names")?.addEventListener("click", (/** @type {MouseEvent} */ event) => {
  copy(/** @type {HTMLElement} */ (event.currentTarget), byId("names").textContent, t("Copied"));
});
