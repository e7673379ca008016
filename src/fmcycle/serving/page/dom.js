// Small helpers over the page's elements.
export const $ = (selector, node = document) => node.querySelector(selector);

export function element(name, fields = {}, ...children) {
  const made = Object.assign(document.createElement(name), fields);
  made.append(...children);
  return made;
}

export const clone = (template) => $(template).content.firstElementChild.cloneNode(true);

// What a screen reader says.
export function say(text) { $("#status").textContent = text; }

// Scrolls to the end, unless the reader has scrolled up.
export function toEnd(always = false) {
  const box = $("#scroll");
  if (always || box.scrollHeight - box.scrollTop - box.clientHeight < 160) box.scrollTop = box.scrollHeight;
}

export async function copy(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // a page that came by plain http has no clipboard
    const box = element("textarea", { value: text, className: "hidden" });
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = before; }, 1500);
}

// A file that the person chose, with its content as a data URL.
const SAME = { "audio/x-wav": "audio/wav", "audio/wave": "audio/wav", "audio/x-flac": "audio/flac", "video/ogg": "audio/ogg", "application/ogg": "audio/ogg", "audio/mp3": "audio/mpeg" };
export const read = (file) => new Promise((done, failed) => {
  const reader = new FileReader();
  reader.onload = () => done({ file, name: file.name, type: SAME[file.type] ?? file.type, url: reader.result });
  reader.onerror = () => failed(reader.error);
  reader.readAsDataURL(file);
});

// The question as the person sent it, with its files.
export function question(text, files = []) {
  $("#empty")?.remove();
  const turn = clone("#question");
  $(".text", turn).textContent = text;
  $(".made", turn).append(...files.map(file => file.type.startsWith("image/") ? element("img", { src: file.url, alt: file.name, className: "small" }) : element("audio", { src: file.url, controls: true, title: file.name })));
  return turn;
}
