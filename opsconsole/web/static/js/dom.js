// Small helpers to build a page from values. Text always goes in as text. What is asked of the server is asked in the language
// of the page, which may be that of its address (`?lang=`).
import { language, t } from "./texts.js";

const RENEW_WITHIN_MS = 10_000;

/**
 * Returns the element with this id.
 * @param {string} id
 * @returns {any} typed loosely: each caller knows which element its page holds
 */
export const byId = (id) => document.getElementById(id);

/**
 * Returns a new element. `class`, `text` and `on` are special, everything else becomes an attribute.
 * @param {string} name
 * @param {Record<string, any>} [props]
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function el(name, props = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") node.className = value;
    else if (key === "text") node.textContent = value;
    else if (key === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children);
  return node;
}

/** Returns the glyph of a state letter. @param {string} letter @returns {HTMLElement} */
export const glyph = (letter) => el("span", { class: `t ${letter}`, "aria-hidden": "true" });

/**
 * Puts `name=value` into the page's address; an empty value takes it out.
 * @param {Record<string, string | null>} changes
 * @param {boolean} [push] as a place that one may come back to, which shows the page anew
 */
export function address(changes, push = false) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(changes)) {
    if (value) url.searchParams.set(name, value);
    else url.searchParams.delete(name);
  }
  // Marked lines are of the host that was chosen.
  if ("host" in changes) url.hash = "";
  history[push && url.search !== location.search ? "pushState" : "replaceState"](null, "", url);
  put = location.search;
}
/** What was put there last; somebody who went back has come to another. */
export let put = globalThis.location?.search;

/**
 * Asks the console's own API and returns the JSON answer. Sends somebody whose session ended to the login page.
 * @param {string} path
 * @param {{method?: string, body?: unknown, signal?: AbortSignal}} [options]
 * @returns {Promise<any>} `null` for "nothing new" (304, 204); throws an Error with `.problem` on a refusal
 */
export async function api(path, { method = "GET", body, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", "Accept-Language": language() };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["X-CSRFToken"] = /** @type {any} */ (document.querySelector("meta[name=csrf]"))?.content;
  const answer = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) }).catch((error) => {
    if (error.name === "TypeError") error.message = t("The console does not answer.");
    throw error;
  });
  if (answer.status === 204 || answer.status === 304) return null;
  const data = await answer.json().catch((error) => {
    // A page that is left breaks answers off; what refuses need not speak JSON.
    if (answer.ok) throw error;
    return {};
  });
  if (answer.ok) return data;
  if (answer.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  throw Object.assign(new Error(data.detail || answer.statusText), { status: answer.status, problem: data });
}

/**
 * Returns a page of the server as a document that is shown nowhere.
 * @param {string} url
 * @param {AbortSignal} [signal]
 * @param {FormData} [body] a form to send
 * @returns {Promise<Document>}
 */
export async function pageAt(url, signal, body) {
  const answer = await fetch(url, { method: body ? "POST" : "GET", body, signal, headers: { Accept: "text/html", "Accept-Language": language() } });
  // Where the session has ended the whole page leads to the login, and from there back to itself.
  if (answer.status === 401 || answer.url.includes("/login?")) return new Promise(() => location.reload());
  // A form that is refused answers with itself, and with why.
  if (!answer.ok && !body) throw new Error(answer.statusText);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

/**
 * Fetches a piece of the server's markup and puts it in the place of what `root` holds.
 * @param {HTMLElement} root
 * @param {string} url
 * @param {AbortSignal} [signal]
 * @param {{body?: FormData, part?: string}} [options] a form to send, and which part of the answer is wanted
 */
export async function fetchInto(root, url, signal, { body, part = "body" } = {}) {
  const found = (await pageAt(url, signal, body)).querySelector(part);
  if (!found) throw new Error(`${url} has no ${part}`);
  root.replaceChildren(...found.childNodes);
}

/**
 * Does the same for what is asked for again and again: markup that did not change stays, with its focus and its words
 * unsaid a second time. A form that is on its way keeps its button.
 * @param {HTMLElement} root
 * @param {string} url
 */
export async function renew(root, url) {
  if (root.querySelector("form[data-sent]")) return;
  const fresh = document.createElement("div");
  await fetchInto(fresh, url, AbortSignal.timeout(RENEW_WITHIN_MS));
  const before = document.createElement("div");
  before.append(...[...root.childNodes].map((node) => node.cloneNode(true)));
  if (!before.isEqualNode(fresh)) root.replaceChildren(...fresh.childNodes);
}

/**
 * Calls `action` at most once every `ms`, at the start and at the end of a burst.
 * @param {() => void} action
 * @param {number} ms
 * @returns {() => void}
 */
export function throttled(action, ms) {
  let last = -Infinity;
  let timer = 0;
  return () => {
    const wait = last + ms - performance.now();
    if (wait <= 0) {
      last = performance.now();
      action();
    } else if (!timer) {
      timer = setTimeout(() => {
        timer = 0;
        last = performance.now();
        action();
      }, wait);
    }
  };
}

/**
 * Copies text and says so on the button for a moment.
 * @param {HTMLElement} button
 * @param {string} value
 * @param {string} done
 */
export async function copy(button, value, done) {
  await navigator.clipboard.writeText(value);
  const before = button.textContent;
  button.textContent = done;
  setTimeout(() => (button.textContent = before), 1500);
}
