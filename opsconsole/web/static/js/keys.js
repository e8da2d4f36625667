// Keyboard shortcuts. Single keys never fire while somebody types or a dialog asks, and can be turned off (WCAG 2.1.4).

/** @param {EventTarget | null} target */
const typing = (target) =>
  target instanceof HTMLElement &&
  (target.isContentEditable || target.matches("textarea, select, input:not([type=checkbox], [type=radio])"));

/**
 * Binds keys such as "f", "ctrl+enter" or "g h" (one after the other) to actions.
 * @param {Record<string, (event: KeyboardEvent) => void>} bindings
 */
export function keys(bindings) {
  let before = "";
  let at = 0;
  document.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const control = event.ctrlKey || event.metaKey || event.altKey;
    // With Alt some layouts type another sign than the key's; digits are meant by their place.
    const name = event.altKey ? `alt+${event.code.replace("Digit", "")}` : (control ? "ctrl+" : "") + event.key.toLowerCase();
    if (!control && (typing(event.target) || localStorage.getItem("keys") === "off" || document.querySelector("dialog:modal"))) return;
    const pair = performance.now() - at < 1200 ? `${before} ${name}` : "";
    const action = bindings[pair] ?? bindings[name];
    before = name;
    at = performance.now();
    if (!action) return;
    event.preventDefault();
    action(event);
  });
}
