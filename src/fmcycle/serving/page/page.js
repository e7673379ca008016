// The page: which model answers, what it takes, and what the buttons do.
import * as chat from "./chat.js";
import { $, element, read } from "./dom.js";
import * as past from "./history.js";
import * as settings from "./settings.js";
import { KINDS, once } from "./tasks.js";

let model = { tasks: ["chat"], takes: ["text"] };
const task = () => model.tasks[0];

$("#ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (chat.busy()) return;
  const text = $("#choose").hidden ? $("#message").value.trim() : $("#class").value, other = $("#other").value.trim();
  const files = await Promise.all([...$("#file").files].map(read));
  if (!(text || files.length || task() === "generate_image") || (task() === "chat" && !text)) return;
  $("#message").value = $("#other").value = $("#file").value = "";
  grow();
  if (task() === "chat") chat.ask(text, files);
  else once(text, files, other);
});

$("#message").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); $("#ask").requestSubmit(); }
});
function grow() { const box = $("#message"); box.style.height = "auto"; box.style.height = `${box.scrollHeight + 2}px`; }
$("#message").addEventListener("input", grow);
$("#stop").addEventListener("click", chat.stop);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || $("#settings").open) return;
  if (chat.busy()) chat.stop();
  else if (!$("#editing").hidden) leave();
  else if (narrow() && !$("#history").hidden) unfold(false);
});
$("#new").addEventListener("click", () => start());
$("#editing button").addEventListener("click", leave);

function leave() { chat.edit(null); $("#message").value = ""; grow(); }

function start(id) {
  chat.open(id);
  if (!$("#talk").children.length) $("#talk").append(element("p", { id: "empty", textContent: `${KINDS[task()].about} Say what you think of its answers: a thumb, a comment, or a better answer.` }));
  if (narrow()) unfold(false);
  list();
  $("#message").focus();
}

let chosen = null;  // whether the person wants to see the history; it comes by itself once there is one and room for it
const narrow = () => matchMedia("(max-width: 60rem)").matches;

function unfold(wide) {
  $("#history").hidden = !wide;
  $("#past").setAttribute("aria-expanded", String(wide));
}
$("#column").addEventListener("click", () => { if (narrow()) unfold(false); });
$("#past").addEventListener("click", () => unfold(chosen = $("#history").hidden));

function list() {
  const talks = past.all();
  $("#history ul").replaceChildren(...talks.map(talk => {
    const open = element("button", { type: "button", className: "open", textContent: past.title(talk), title: new Date(talk.changed).toLocaleString() });
    const drop = element("button", { type: "button", className: "drop", textContent: "✕", ariaLabel: `Delete: ${past.title(talk)}` });
    if (talk.id === chat.current()) open.setAttribute("aria-current", "true");
    open.addEventListener("click", () => start(talk.id));
    drop.addEventListener("click", () => {
      if (!confirm(`Delete this conversation from this browser?\n${past.title(talk)}`)) return;
      chat.forget(talk.id);
      past.drop(talk.id);
      if (talk.id === chat.current()) start(); else list();
    });
    return element("li", {}, open, drop);
  }));
  $("#export").disabled = $("#clear").disabled = !talks.length;
  if (task() === "chat" && !narrow()) unfold(chosen ?? talks.length > 0);
}

$("#export").addEventListener("click", () => {
  const url = URL.createObjectURL(new Blob([past.rows(past.all())], { type: "application/jsonl" }));
  element("a", { href: url, download: "conversations.jsonl" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
});
$("#clear").addEventListener("click", () => {
  const talks = past.all();
  if (!confirm(`Delete all ${talks.length} conversations from this browser?`)) return;
  for (const talk of talks) { chat.forget(talk.id); past.drop(talk.id); }
  start();
});

function show() {
  const kind = KINDS[task()], reads = (what) => model.takes.includes(what), files = reads("image") || reads("audio");
  const draws = task() === "generate_image", named = draws && model.classes?.length > 0;
  $("#ask").dataset.task = task();
  $("#send").textContent = kind.send;
  $("#words .hidden").textContent = $("#message").placeholder = reads("text") ? kind.words : "";
  $("#words").hidden = !reads("text") || named;
  $("#second").hidden = task() !== "embed" || !reads("text");
  $("#attach").hidden = !files;
  $("#attach span").textContent = reads("audio") ? "A sound" : task() === "embed" ? "One picture or two" : "A picture";
  $("#file").accept = reads("audio") ? "audio/wav,audio/flac,audio/ogg,audio/mpeg,.wav,.flac,.ogg,.opus,.mp3" : "image/png,image/jpeg,image/webp,image/gif,image/bmp";
  $("#file").multiple = task() === "embed";
  $("#choose").hidden = !named;
  $("#class").replaceChildren(...(model.classes ?? []).map(name => element("option", { textContent: name })));
  for (const field of document.querySelectorAll(".draws")) field.hidden = !draws;
  $("#extra").hidden = !files && !draws;
  $("#past").hidden = task() !== "chat";
  $("#set").hidden = !["chat", "completion"].includes(task());
  for (const field of document.querySelectorAll(".chats")) field.hidden = task() !== "chat";
  unfold(false);
}

async function connect() {
  try {
    const response = await fetch("v1/models");
    if (!response.ok) throw new Error();
    model = (await response.json()).data[1];
  } catch {
    $("#model").textContent = "the model is loading …";
    setTimeout(connect, 1000);
    return;
  }
  $("#model").textContent = model.id;
  chat.limit(model);
  show();
  start(task() === "chat" && past.load(location.hash.slice(1)) ? location.hash.slice(1) : undefined);
}

settings.wire(() => model);
chat.wire({ changed: list, model: (id) => { if (id !== model.id) connected(id); } });
async function connected(id) {  // another model was deployed while the page was open
  $("#model").textContent = id;
  const response = await fetch("v1/models").catch(() => null);
  if (response?.ok) { model = (await response.json()).data[1]; chat.limit(model); }
}
connect();
