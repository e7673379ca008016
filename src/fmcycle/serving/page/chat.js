// A conversation: questions, each with one answer or several, of which one is shown.
import { events } from "./client.js";
import { $, clone, copy, element, question, say, toEnd } from "./dom.js";
import { offer } from "./feedback.js";
import { fresh, keep, load, shown } from "./history.js";
import { markdown } from "./markdown.js";
import { sampling, system } from "./settings.js";

const WARM = 0.8;  // temperature of a regenerated answer if the settings ask for the most likely one, which would come again
const ENDS = {
  length: "Cut at the limit of tokens.",
  stopped: "You stopped this answer.",
  broken: "The answer broke off.",
};
const state = { talk: fresh(), running: null, editing: null };
const told = { model: () => {}, changed: () => {} };  // set by the page: the model that answered; the conversations changed
let limits = {};

export const current = () => state.talk.id;
export const busy = () => state.running !== null;
export const stop = () => state.running?.abort();
export function forget(id) { if (id === state.talk.id) state.talk.gone = true; }
export function wire(callbacks) { Object.assign(told, callbacks); }
export function limit(model) { limits = model; }

// Shows a conversation; without an id a new one.
export function open(id) {
  stop();
  edit(null);
  state.talk = (id && load(id)) || fresh();
  history.replaceState(null, "", id ? `#${state.talk.id}` : location.pathname);
  $("#talk").replaceChildren();
  for (const turn of state.talk.turns) $("#talk").append(...drawn(turn));
  toEnd(true);
}

export async function ask(text, files) {
  if (state.editing) {
    const turns = state.talk.turns.slice(0, state.talk.turns.indexOf(state.editing));
    const talk = Object.assign(fresh(), { turns: structuredClone(turns) });
    files = files.length ? files : state.editing.files;
    edit(null);
    state.talk = talk;
    $("#talk").replaceChildren(...talk.turns.flatMap(drawn));
  }
  const turn = { text, files: files.map(({ name, type, url }) => ({ name, type, url })), versions: [], at: 0 };
  state.talk.turns.push(turn);
  history.replaceState(null, "", `#${state.talk.id}`);
  $("#talk").append(...drawn(turn));
  toEnd(true);
  await answer(turn, sampling());
}

// Chooses a question to send anew in other words; null leaves it.
export function edit(turn) {
  state.editing = turn;
  $("#editing").hidden = !turn;
  if (turn) { $("#message").value = turn.text; $("#message").dispatchEvent(new Event("input")); $("#message").focus(); }
}

function messages(turn) {
  const before = state.talk.turns.slice(0, state.talk.turns.indexOf(turn)).filter(each => shown(each)?.text);
  const said = before.flatMap(each => [asked(each), { role: "assistant", content: shown(each).text }]);
  return [...(state.talk.system ? [{ role: "system", content: state.talk.system }] : []), ...said, asked(turn)];
}

function asked({ text, files }) {
  const pictures = files.map(({ url }) => ({ type: "image_url", image_url: { url } }));
  return { role: "user", content: files.length ? [...pictures, { type: "text", text }] : text };
}

// Asks for one more answer to the question of `turn`. cut: the answer at the limit that the new one, which is longer, replaces.
async function answer(turn, options, cut = null) {
  const talk = state.talk, running = state.running = new AbortController(), begun = performance.now();
  talk.system = system();
  const version = { id: null, text: "", finish: null, options, rating: 0, corrected: "" };
  if (cut) turn.versions[turn.versions.indexOf(cut)] = version;
  else turn.at = turn.versions.push(version) - 1;
  $("#send").hidden = true;
  $("#stop").hidden = false;
  say("The model is answering.");
  let place = redraw(turn), painting = 0, model = null;
  const paint = () => { painting = 0; write(place, cut && cut.text.length > version.text.length ? cut.text : version.text); toEnd(); };
  paint();
  try {
    const body = { model: "fmcycle", messages: messages(turn), stream: true, stream_options: { include_usage: true }, ...options };
    for await (const chunk of events("v1/chat/completions", body, running.signal)) {
      version.id = chunk.id;
      model = version.model = chunk.model;
      version.usage = chunk.usage ?? version.usage;
      version.finish = chunk.choices[0]?.finish_reason ?? version.finish;
      version.text += chunk.choices[0]?.delta?.content ?? "";
      painting ||= requestAnimationFrame(paint);
    }
    version.finish ??= "broken";
  } catch (error) {
    version.finish = error.name === "AbortError" ? "stopped" : "broken";
    if (version.finish === "broken") version.error = error.seconds ? `${error.message} (in ${error.seconds} s)` : error.message;
  }
  cancelAnimationFrame(painting);
  if (cut && version.finish !== "stop" && version.text.length < cut.text.length) turn.versions[turn.at] = Object.assign(cut, { error: version.error });
  version.seconds = (performance.now() - begun) / 1000;
  state.running = null;
  $("#send").hidden = false;
  $("#stop").hidden = true;
  if (!talk.gone && !keep(talk)) say("This browser keeps no more conversations: delete some.");
  told.changed();
  if (model) told.model(model);
  if (state.talk !== talk) return;
  place = redraw(turn);
  toEnd();
  say(version.error ?? (version.text || "The model said nothing."));
  $("#message").focus();
}

const write = (place, text) => $(".text", place).replaceChildren(markdown(text));

// The elements of a question and its answer.
function drawn(turn) {
  const asking = question(turn.text, turn.files), button = $(".edit", asking);
  button.hidden = false;
  button.addEventListener("click", () => { if (!busy()) edit(turn); });
  const place = clone("#answer");
  place.turn = turn;
  fill(place, turn);
  return [asking, place];
}

function redraw(turn) {
  const former = [...$("#talk").children].find(each => each.turn === turn), place = clone("#answer");
  place.turn = turn;
  if (!busy()) fill(place, turn);
  former.replaceWith(place);
  return place;
}

// Everything about an answer that is done.
function fill(place, turn) {
  const version = shown(turn);
  place.classList.remove("busy");
  if (!version) return failed(place, turn, "This question was not answered.");
  const refused = version.finish === "content_filter", former = state.talk.turns.slice(0, state.talk.turns.indexOf(turn)).map(shown).findLast(each => each?.model);
  write(place, version.text);
  if (former && version.model && former.model !== version.model) mark(place, `Another model answers from here: ${version.model}`);
  if (refused) { place.classList.add("refused"); mark(place, version.usage?.completion_tokens ? "A guard stopped this answer." : "Refused by a guard:"); }
  if (version.error) return failed(place, turn, version.error);
  if (!version.text && version.finish === "stop") $(".text", place).append(element("p", { className: "note", textContent: "(the model said nothing)" }));
  if (ENDS[version.finish]) ending(place, turn, version);
  tools(place, turn, version);
}

function mark(place, text) {
  const line = $(".mark", place);
  line.hidden = false;
  line.append(element("span", { textContent: text }));
}

function failed(place, turn, message) {
  const version = shown(turn);
  place.classList.add("failed");
  ends(place, message, "Try again", () => {
    if (version && !version.text) turn.versions.splice(turn.at, 1);
    answer(turn, version?.options ?? sampling());
  });
  if (turn.versions.length > 1) pages(place, turn);
}

// Why an answer is not whole. A longer one is made with the same seed, so it begins with the same words.
function ending(place, turn, version) {
  const { prompt_tokens: read = 0, completion_tokens: written = 0 } = version.usage ?? {}, room = (limits.context ?? Infinity) - read;
  if (version.finish === "length" && written >= room) return ends(place, "Cut: the model's context is full.");
  if (version.finish !== "length") return ends(place, ENDS[version.finish]);
  return ends(place, ENDS.length, "Continue", () => answer(turn, { ...version.options, max_tokens: Math.min(2 * written, room) }, version));
}

function ends(place, text, action, work) {
  const line = $(".end", place), button = $("button", line);
  line.hidden = false;
  $("span", line).textContent = text;
  button.hidden = !action;
  button.textContent = action ?? "";
  button.addEventListener("click", () => { if (!busy()) work(); });
}

function tools(place, turn, version) {
  const again = $(".again", place), button = $(".copy", place);
  if (version.id) {
    offer(place, { ...version, said: version.text }, { better: "A better answer", kept: (given) => {
      Object.assign(version, { rating: given.rating ?? version.rating, corrected: given.corrected ?? version.corrected });
      keep(state.talk);
    } });
  }
  const { usage, options, seconds } = version, words = [usage && `${usage.completion_tokens} tokens`, seconds && `${seconds.toFixed(1)} s`, options?.temperature && `temperature ${options.temperature}`];
  $(".facts", place).textContent = words.filter(Boolean).join(", ");
  $(".tools", place).hidden = false;
  button.hidden = !version.text;
  button.addEventListener("click", () => copy(version.text, button));
  again.hidden = false;
  again.addEventListener("click", () => { if (!busy()) answer(turn, warmer(sampling(), version)); });
  if (turn.versions.length > 1) pages(place, turn);
}

// A fixed seed or temperature 0 would give the same answer again.
function warmer(options, version) {
  const seed = options.seed === version.options?.seed ? options.seed + 1 : options.seed;
  return { ...options, seed, temperature: options.temperature || WARM };
}

function pages(place, turn) {
  const box = $(".pages", place), step = (by) => {
    turn.at += by;
    keep(state.talk);
    const now = redraw(turn), button = $(by < 0 ? ".former" : ".next", now);
    (button.disabled ? $(".pages button:not(:disabled)", now) : button)?.focus();
  };
  $(".tools", place).hidden = box.hidden = false;
  $("span", box).textContent = `${turn.at + 1} of ${turn.versions.length}`;
  for (const [name, by] of [[".former", -1], [".next", 1]]) {
    const button = $(name, box);
    button.disabled = !(turn.at + by in turn.versions);
    button.addEventListener("click", () => { if (!busy()) step(by); });
  }
}
