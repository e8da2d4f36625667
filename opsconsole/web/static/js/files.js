// The files of an order on the Run page: uploads with their progress, and what the rows of the form mean.
import { byId, el } from "./dom.js";
import { t } from "./texts.js";

/**
 * Returns what the form says of files, by the names of an order; nothing while a command is written.
 * @param {FormData} form
 * @returns {Record<string, any>}
 */
export function carried(form) {
  if (form.get("kind") !== "files") return {};
  const [files, to, mode, owner] = ["file", "to", "mode", "owner"].map((part) => form.getAll(`push_${part}`).map((value) => String(value).trim()));
  const push = files.map((file, i) => ({ file, to: to[i], mode: mode[i] || undefined, owner: owner[i] || undefined })).filter((one) => one.file || one.to);
  const pull = String(form.get("pull") ?? "").split("\n").map((line) => line.trim()).filter(Boolean);
  return { ...(push.length ? { push } : {}), ...(pull.length ? { pull } : {}), ...(form.get("make_folders") ? { make_folders: true } : {}) };
}

/** Adds the names of the files, for the command line. @param {Record<string, any>} said @returns {Record<string, any>} */
export function named(said) {
  if (!said.push) return said;
  const name = (/** @type {string} */ sha256) => document.querySelector(`#push-rows option[value="${CSS.escape(sha256)}"]`)?.textContent?.replace(/ \([^()]*\)$/, "") ?? "FILE";
  return { ...said, push: said.push.map((/** @type {any} */ one) => ({ ...one, name: name(one.file) })) };
}

/**
 * Makes uploads start as soon as files are chosen; `changed` is called when a row has got one.
 * @param {() => void} changed
 */
export function uploads(changed) {
  const input = /** @type {HTMLInputElement} */ (byId("upload"));
  input.addEventListener("change", async () => {
    for (const file of input.files ?? []) {
      const known = await send(file);
      if (!known) break;
      offer(known);
    }
    input.value = "";
    changed();
  });
}

/** Sends one file and returns what the console knows it by. @param {File} file @returns {Promise<any>} */
function send(file) {
  const [bar, note] = [byId("upload-bar"), byId("upload-note")];
  bar.hidden = false;
  bar.value = 0;
  note.textContent = file.name;
  return new Promise((done) => {
    // fetch tells nothing of how far an upload is.
    const request = new XMLHttpRequest();
    request.open("POST", `/api/v1/files?name=${encodeURIComponent(file.name)}`);
    request.responseType = "json";
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("X-CSRFToken", document.querySelector("meta[name=csrf]")?.getAttribute("content") ?? "");
    request.upload.addEventListener("progress", (event) => (bar.value = event.loaded / Math.max(event.total, 1)));
    request.addEventListener("loadend", () => {
      const good = request.status === 201;
      bar.hidden = true;
      note.textContent = good ? t("{name} is uploaded", { name: file.name }) : request.response?.detail ?? t("{name} could not be uploaded", { name: file.name });
      done(good ? request.response : null);
    });
    request.send(file);
  });
}

/** Puts an uploaded file into the first row that has none. @param {{sha256: string, name: string}} known */
function offer(known) {
  const rows = byId("push-rows");
  for (const list of rows.querySelectorAll("select")) {
    if (![...list.options].some((one) => one.value === known.sha256)) list.append(el("option", { value: known.sha256, text: known.name }));
  }
  const free = [...rows.querySelectorAll("select")].find((list) => !list.value);
  if (free) free.value = known.sha256;
  if ([...rows.querySelectorAll("select")].every((list) => list.value)) row();
}

/** Adds an empty row for a further file. */
export function row() {
  const more = byId("push-rows").lastElementChild.cloneNode(true);
  for (const field of more.querySelectorAll("input, select")) field.value = "";
  byId("push-rows").append(more);
}
