// Settings of the answers, kept in this browser.
import { $ } from "./dom.js";

const KEY = "fmcycle.settings", NAMES = ["system", "temperature", "max_tokens", "seed"];
const form = () => $("#settings form");
let now = {};
try { now = JSON.parse(localStorage.getItem(KEY)) ?? {}; } catch { /* the browser keeps nothing */ }

export const system = () => (now.system ?? "").trim();

// The fields of a request; the seed is drawn here, so that an answer can be made again.
export function sampling() {
  const said = { seed: crypto.getRandomValues(new Uint32Array(1))[0] };
  for (const name of NAMES.slice(1)) if (now[name] !== undefined && now[name] !== "") said[name] = Number(now[name]);
  return said;
}

function keep(settings) {
  now = settings;
  try { localStorage.setItem(KEY, JSON.stringify(now)); } catch { /* they hold until the page closes */ }
  $("#set").classList.toggle("on", NAMES.some(name => now[name]));
}

// limits: what the server says of the model's longest answer and its context.
export function wire(limits) {
  keep(now);
  $("#set").addEventListener("click", () => {
    for (const name of NAMES) form()[name].value = now[name] ?? "";
    const { max_tokens: usual, context } = limits();
    form().max_tokens.placeholder = usual ?? "";
    if (context) form().max_tokens.max = context;
    $("#settings").showModal();
  });
  form().reset.addEventListener("click", () => { for (const name of NAMES) form()[name].value = ""; });
  form().addEventListener("submit", (event) => {
    if (event.submitter?.value !== "leave") keep(Object.fromEntries(NAMES.map(name => [name, form()[name].value])));
  });
}
