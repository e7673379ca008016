// The conversations of this browser, one entry of localStorage each, so that two tabs don't overwrite each other.
const PREFIX = "fmcycle.chat.", WORDS = 48;

export const shown = (turn) => turn.versions[turn.at];

export function fresh() { return { id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, changed: 0, system: "", turns: [] }; }

// The first words of the first question.
export function title(talk) {
  const letters = [...(talk.turns[0]?.text ?? "").trim().replace(/\s+/g, " ")];
  if (letters.length <= WORDS) return letters.join("") || "(a picture)";
  const cut = letters.slice(0, WORDS).join("");
  return `${cut.slice(0, Math.max(cut.lastIndexOf(" "), 24))} …`;
}

// All conversations, the latest first.
export function all() {
  try {
    const found = Object.keys(localStorage).filter(key => key.startsWith(PREFIX)).map(key => load(key.slice(PREFIX.length)));
    return found.filter(Boolean).sort((one, other) => other.changed - one.changed);
  } catch { return []; }
}

export function load(id) {
  try {
    const found = JSON.parse(localStorage.getItem(PREFIX + id));
    return Array.isArray(found?.turns) ? found : null;
  } catch { return null; }
}

// Keeps a conversation; false if the browser does not take it.
export function keep(talk) {
  talk.changed = Date.now();
  try { localStorage.setItem(PREFIX + talk.id, JSON.stringify(talk)); return true; } catch { return false; }
}

export function drop(id) { try { localStorage.removeItem(PREFIX + id); } catch { /* nothing is kept */ } }

// JSONL of instructions: a row a conversation, with the answers that are shown, or what a person wrote in their place. An answer that was
// called poor, refused, stopped or cut has weight 0: it is read, and not trained on.
export function rows(talks) {
  const found = talks.map(talk => {
    const answered = talk.turns.filter(turn => shown(turn)?.text);
    if (!answered.some(turn => usable(shown(turn)))) return null;
    const pairs = answered.flatMap(turn => {
      const version = shown(turn), answer = { role: "assistant", content: version.corrected || version.text };
      return [{ role: "user", content: turn.text }, usable(version) ? answer : { ...answer, weight: 0 }];
    });
    return { id: `chat/${talk.id}`, messages: [...(talk.system ? [{ role: "system", content: talk.system }] : []), ...pairs] };
  });
  return found.filter(Boolean).map(row => `${JSON.stringify(row)}\n`).join("");
}

const usable = (version) => Boolean(version.corrected || (version.finish === "stop" && !(version.rating < 0)));
