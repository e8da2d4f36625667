// How far the files of a job are, while it goes on. The state of a job changes with its hosts; its bytes do so meanwhile.
import { api, byId } from "./dom.js";
import { bytes, t } from "./texts.js";

const EVERY_MS = 2000;
const note = byId("carried");

async function look() {
  const job = await api(`/api/v1/jobs/${note.dataset.job}`);
  const { done, total, bytes_per_s: speed } = job.carried;
  note.querySelector("progress").max = Math.max(total, 1);
  note.querySelector("progress").value = done;
  byId("carried-text").textContent = t("{done} of {total} carried, {speed} a second", { done: bytes(done), total: bytes(total), speed: bytes(speed) });
  return Boolean(job.finished_at);
}

async function follow() {
  const over = await look().catch(() => false);
  if (!over) setTimeout(follow, EVERY_MS);
}

if (note?.dataset.live !== undefined) follow();
