// A list of rows of equal height of which only the visible ones exist.
import { el } from "./dom.js";

const SPARE_ROWS = 12;

/**
 * Returns the first and the last row that must exist; none does when the last is before the first.
 * @param {number} top where the rows begin below the upper edge of what is seen, in pixels; negative once scrolled
 * @param {number} seen height of what is seen, in pixels
 * @param {number} height of a row, in pixels
 * @param {number} count of all rows
 */
export function visible(top, seen, height, count) {
  const first = Math.max(0, Math.floor(-top / height) - SPARE_ROWS);
  return { first, last: Math.min(count - 1, Math.ceil((seen - top) / height) + SPARE_ROWS) };
}

/**
 * @param {HTMLElement} root holds the rows; its height is set to that of all rows
 * @param {HTMLElement} scroller the element that scrolls, unless the page does
 * @param {{height: number, row: (index: number) => HTMLElement, need: (last: number, first: number) => void}} options
 *   `row` makes the row of an index; `need` is told the last and the first index that are looked at, so that they can be fetched
 */
export function virtualList(root, scroller, { height, row, need }) {
  let count = 0;
  /** @type {Map<number, HTMLElement>} */
  const shown = new Map();
  let due = false;

  function draw() {
    due = false;
    // In a small window the page scrolls and the scroller is as tall as its rows: what is seen is never more than the window.
    const box = scroller.getBoundingClientRect();
    const above = Math.max(box.top, 0);
    const seen = Math.max(Math.min(box.bottom, innerHeight) - above, 0);
    const { first, last } = visible(root.getBoundingClientRect().top - above, seen, height, count);
    for (const [index, node] of shown) {
      if (index >= first && index <= last) continue;
      // The focused row stays, or the keyboard would lose its place.
      if (node.contains(document.activeElement)) continue;
      node.remove();
      shown.delete(index);
    }
    for (let index = first; index <= last; index++) if (!shown.has(index)) place(index);
    if (last >= 0) need(last, first);
  }

  /** @param {number} index */
  function place(index) {
    const node = row(index);
    node.style.position = "absolute";
    node.style.insetInline = "0";
    node.style.top = `${index * height}px`;
    shown.get(index)?.replaceWith(node);
    if (!node.isConnected) root.append(node);
    shown.set(index, node);
  }

  function soon() {
    if (due) return;
    due = true;
    requestAnimationFrame(draw);
  }
  addEventListener("scroll", soon, { passive: true, capture: true });
  new ResizeObserver(soon).observe(scroller);

  return {
    /** Sets how many rows there are. @param {number} total */
    size(total) {
      count = total;
      root.style.height = `${total * height}px`;
      soon();
    },
    /** Makes the shown row of `index` anew, where it is shown. @param {number} index */
    refresh(index) {
      if (!shown.has(index)) return;
      const focused = shown.get(index)?.contains(document.activeElement) ? document.activeElement?.tagName : "";
      place(index);
      if (focused) /** @type {HTMLElement | null} */ (shown.get(index)?.querySelector(focused))?.focus();
    },
    /** Forgets every row. */
    clear() {
      for (const node of shown.values()) node.remove();
      shown.clear();
    },
    draw: soon,
  };
}

/** Returns a place holder for a row that is still on its way. @param {number} height */
export function blank(height) {
  const node = el("div", { class: "hrow" });
  node.style.height = `${height}px`;
  return node;
}
