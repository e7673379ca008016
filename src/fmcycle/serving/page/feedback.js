// Thumbs, comments and corrections of one answer.
import { $, element } from "./dom.js";
import { post } from "./client.js";

// turn: the answer's element; answer: {id, said, rating, corrected}; better: what a correction is called, empty if there is none;
// labels: the model's classes; kept(given): is told what the server has kept.
export function offer(turn, answer, { better, labels, kept = () => {} }) {
  const note = $(".tools .note", turn), form = $("form.feedback", turn), more = $(".more", turn), { id, said } = answer;
  $(".tools", turn).hidden = false;
  if (labels) {  // one of the model's labels by its letters, or a new one
    const known = element("datalist", { id: `labels-${id}` }, ...labels.map(value => element("option", { value })));
    const box = element("input", { name: "corrected", maxLength: 50000, placeholder: said });
    box.setAttribute("list", known.id);
    form.corrected.replaceWith(box, known);
  } else form.corrected.value = better ? answer.corrected || said : "";
  $(".better", form).hidden = !better;
  $(".better span", form).textContent = better ?? "";
  if (!better) more.textContent = "Comment";
  const send = async (given) => {
    try {
      await post("v1/feedback", { id, ...given }, undefined, { "idempotency-key": crypto.randomUUID?.() ?? String(Math.random()) });
      note.textContent = "Kept, thank you.";
      kept(given);
      return true;
    } catch (error) { note.textContent = `Not kept: ${error.message}`; return false; }
  };
  const thumbs = [[$(".up", turn), 1], [$(".down", turn), -1]];
  const press = (rating) => { for (const [button, value] of thumbs) button.setAttribute("aria-pressed", String(value === rating)); };
  press(answer.rating ?? 0);
  for (const [button, rating] of thumbs) button.addEventListener("click", async () => { if (await send({ rating })) press(rating); });
  more.addEventListener("click", () => {
    form.hidden = !form.hidden;
    more.setAttribute("aria-expanded", String(!form.hidden));
    if (!form.hidden) form.comment.focus();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = { comment: form.comment.value.trim(), role: form.role.value }, corrected = form.corrected.value.trim();
    if (corrected && corrected !== said.trim()) Object.assign(given, { corrected, preferred: "corrected" });
    if (!given.comment && !given.corrected) { note.textContent = "Write a comment, or change the answer."; form.comment.focus(); return; }
    if (await send(given)) { form.hidden = true; more.setAttribute("aria-expanded", "false"); more.focus(); }
  });
}
