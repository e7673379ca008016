// The requests to the server, and what can go wrong with them.
export class Failure extends Error {
  // status: of the response, 0 without one; seconds: after which the server may be asked again.
  constructor(message, status = 0, seconds = null) { super(message); Object.assign(this, { status, seconds }); }
}

async function request(path, body, signal, headers = {}) {
  const form = body instanceof FormData, json = form ? {} : { "content-type": "application/json" };
  let response;
  try {
    response = await fetch(path, { method: "POST", headers: { ...json, ...headers }, body: form ? body : JSON.stringify(body), signal });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Failure("The server does not answer. Is it running?");
  }
  if (response.ok) return response;
  let message = `The server answered with status ${response.status}.`;
  try { message = (await response.json()).error.message; } catch { /* no JSON: a proxy spoke */ }
  throw new Failure(message, response.status, Number(response.headers.get("retry-after")) || null);
}

export const post = async (path, body, signal, headers) => (await request(path, body, signal, headers)).json();

// The events of a streamed answer.
export async function* events(path, body, signal) {
  const response = await request(path, body, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "";;) {
    let piece;
    try { piece = await reader.read(); } catch (error) { throw error.name === "AbortError" ? error : new Failure("The connection to the server broke off."); }
    if (piece.done) return;
    const parts = (rest + piece.value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) if (part.startsWith("data: ") && part !== "data: [DONE]") {
      const event = JSON.parse(part.slice(6));
      if (event.error) throw new Failure(event.error.message, 500);
      yield event;
    }
  }
}
