// Models that answer in one piece: completions, classes, vectors, pictures and transcripts.
import { post } from "./client.js";
import { $, clone, element, question, say, toEnd } from "./dom.js";
import { offer } from "./feedback.js";
import { sampling } from "./settings.js";

// What each kind of model is asked with: the words beside the box, and what is said of it before anything is asked.
export const KINDS = {
  chat: { send: "Send", words: "Your message", about: "Ask the deployed model something." },
  completion: { send: "Go on", words: "A text to go on with", about: "This model writes a text: begin one." },
  classify: { send: "Classify", words: "A text to classify", about: "This model names the class of what you give it." },
  embed: { send: "Embed", words: "A text", about: "This model turns what you give it into a vector; two of them tell how alike they are." },
  generate_image: { send: "Draw", words: "What to draw", about: "This model draws." },
  transcribe: { send: "Write down", words: "", about: "This model writes down what is said in a sound." },
};
const data = (file) => ({ media_type: file.type, data: file.url.split(",")[1] });
let running = false;

// One answer in one piece: `work` puts it into the turn and returns what can be said of it.
export async function once(text, files, other) {
  if (running) return;
  const task = $("#ask").dataset.task, turn = clone("#answer"), asked = [text, other].filter(Boolean).join("\n\n");
  $("#talk").append(question(asked || (files.length ? "" : KINDS[task].send), files), turn);
  toEnd(true);
  running = $("#send").disabled = true;
  say("The model is at work.");
  try {
    const { id, said, better, labels } = await WORK[task]($(".text", turn), $(".made", turn), text, files, other);
    offer(turn, { id, said }, { better, labels });
    say(said);
  } catch (error) {
    turn.classList.add("failed");
    $(".text", turn).textContent = error.message;
    say(error.message);
  }
  turn.classList.remove("busy");
  running = $("#send").disabled = false;
  toEnd(true);
}

const WORK = {
  async completion(line, made, text) {
    const answer = await post("v1/completions", { model: "fmcycle", prompt: text, max_tokens: 64, ...sampling() }), choice = answer.choices[0];
    line.textContent = choice.text || "(the model said nothing)";
    if (choice.finish_reason === "length") made.append(element("p", { className: "note", textContent: "Cut at the limit of tokens." }));
    return { id: answer.id, said: choice.text, better: "A better answer" };
  },
  async classify(line, made, text, files) {
    const answer = await post("classify", { model: "fmcycle", input: files.length ? data(files[0]) : text }), row = answer.data[0];
    const bars = row.labels.slice(0, 10).flatMap(({ label, probability }) => {
      const share = `${(100 * probability).toFixed(1)} %`, bar = element("i");
      bar.style.width = share.replace(" ", "");
      return [element("dt", { textContent: label }), element("dd", { className: "bar" }, bar), element("dd", { className: "share", textContent: share })];
    });
    line.textContent = row.labels.length > 10 ? `The 10 most probable of ${row.labels.length} labels` : "";
    made.append(element("dl", { className: "bars" }, ...bars));
    return { id: answer.id, said: row.label, better: "The right label", labels: row.labels.map(({ label }) => label) };
  },
  async embed(line, made, text, files, other) {
    const answer = await post("v1/embeddings", { model: "fmcycle", input: [...files.map(data), ...[text, other].filter(Boolean)] });
    const rows = answer.data.map(row => row.embedding);
    const few = rows.map(row => `[${row.slice(0, 6).map(value => value.toFixed(3)).join(", ")}, …]`).join("\n");
    const alike = rows.length > 1 ? `\nCosine similarity of the first two: ${rows[0].reduce((sum, value, place) => sum + value * rows[1][place], 0).toFixed(3)}` : "";
    line.textContent = `${rows[0].length} numbers each\n${few}${alike}`;
    return { id: answer.id, said: line.textContent };
  },
  async generate_image(line, made, text) {
    const body = { model: "fmcycle", prompt: text, n: Number($("#count").value) || 1 };
    if ($("#seed").value) body.seed = Number($("#seed").value);
    const answer = await post("v1/images/generations", body);
    made.append(...answer.data.map(each => element("img", { src: `data:image/png;base64,${each.b64_json}`, alt: text || "a picture" })));
    line.textContent = `${answer.size}, seed ${answer.seed}`;
    return { id: answer.id, said: line.textContent };
  },
  async transcribe(line, made, text, files) {
    const form = new FormData();
    form.append("model", "fmcycle");
    form.append("file", files[0].file);
    const answer = await post("v1/audio/transcriptions", form);
    line.textContent = answer.text || "(nothing was heard)";
    return { id: answer.id, said: answer.text, better: "What was said" };
  },
};
