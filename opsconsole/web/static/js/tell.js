// "Tell me": what of a job the browser tells by a notification, also while its tab is hidden and has no stream.
import { phase } from "./control.js";
import { api } from "./dom.js";
import { elapsed, ended } from "./store.js";

const LOOK_EVERY_MS = 1000;

/**
 * Lets a person tick what to be told; asks for the permission when something is ticked for the first time.
 * @param {any} root the boxes; its `data-key` is where the choice for further jobs is kept
 * @param {string} kept where this choice is kept in the tab
 */
export function choices(root, kept) {
  const usual = localStorage.getItem(root.dataset.key);
  const before = (sessionStorage.getItem(kept) ?? usual ?? "").split(" ");
  const boxes = [...root.querySelectorAll("[data-tell]")];
  const minutes = root.querySelector("[type=number]");
  // What was ticked before this was fetched counts too.
  for (const box of boxes) box.checked ||= before.includes(box.dataset.tell);
  minutes.value = before[0] || minutes.value;
  const wanted = () => boxes.filter((box) => box.checked).map((box) => box.dataset.tell);

  const refuse = () => {
    root.querySelector("p").hidden = false;
    for (const box of boxes) box.checked = false;
  };
  const keep = async () => {
    if (wanted()[0] && (await globalThis.Notification?.requestPermission()) !== "granted") refuse();
    const said = [minutes.value, ...wanted()].join(" ");
    sessionStorage.setItem(kept, said);
    if (wanted().includes("always")) localStorage.setItem(root.dataset.key, said);
    else localStorage.removeItem(root.dataset.key);
  };
  root.addEventListener("change", keep);
  if (wanted()[0]) keep();
  return { wanted, minutes, refuse };
}

/**
 * Tells of a job what is ticked, each once.
 * @param {any} root
 * @param {() => import("./store.js").Status} job
 * @param {(status: import("./store.js").Status) => void} take
 */
export async function tell(root, job, take) {
  const { id } = job();
  const { wanted, minutes, refuse } = choices(root, `tell${id}`);

  function look() {
    const { state, stop_reason, waves } = job();
    const over = ended(state);
    /** @type {Record<string, any>} */
    const so = {
      finished: over, trouble: over && state !== "succeeded", threshold: stop_reason === "threshold",
      // Each wave that waits is another one to be told of.
      waits: phase(job()) === "waits" && `waits${waves?.now}`, long: (elapsed(job(), Date.now()) ?? 0) > minutes.value * 60_000,
    };
    const told = sessionStorage.getItem(`told${id}`) ?? "";
    const news = wanted().filter((name) => so[name]).map((name) => (so[name] === true ? name : so[name])).filter((name) => !told.includes(name));
    if (!news[0]) return;
    sessionStorage.setItem(`told${id}`, `${told} ${news}`);
    const said = (/** @type {string} */ which) => [...document.querySelectorAll(which)].map((node) => node.textContent?.trim()).filter(Boolean).join(", ");
    try {
      const shown = new Notification(`${said("#pill")} · #${id}`, { body: said("#stopped, .chip:not([hidden])"), tag: `tell${id}${news[0]}` });
      shown.onclick = () => {
        focus();
        shown.close();
      };
    } catch {
      refuse();
    }
    if (wanted().includes("sound")) chime();
  }

  for (;;) {
    // A hidden page has closed its stream.
    if (document.hidden && wanted()[0]) await api(`/api/v1/jobs/${id}?since=${job().ver}&wait=25`).then((status) => status && take(status), () => {});
    look();
    if (ended(job().state)) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** A tone of a fifth of a second; a browser that nobody has touched stays silent. */
function chime() {
  const audio = new AudioContext();
  const tone = audio.createOscillator();
  tone.connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + 0.2);
  tone.onended = () => audio.close();
}
