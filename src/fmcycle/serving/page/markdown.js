// Markdown as nodes of the page. Every text goes in as text: whatever a model writes is shown, and nothing of it runs or loads.
import { copy, element } from "./dom.js";

const DEPTH = 8;      // of lists, quotes and emphasis within each other; deeper ones stay as written
const REACH = 4000;   // characters in which the end of a code span, a link or an emphasis is looked for
const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/, HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/, RULE = /^ {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/, ITEM = /^( *)([-*+]|\d{1,9}[.)])( +|$)/, BETWEEN = /^ *\|?(?: *:?-+:? *\|)+(?: *:?-+:?)? *$/;
const WORD = /[\p{L}\p{N}]/u, MARKS = ["**", "__", "~~", "*", "_"], TAGS = { "**": "strong", "__": "strong", "~~": "del", "*": "em", "_": "em" };

export function markdown(text) {
  const made = document.createDocumentFragment();
  blocks(made, text.replace(/\r\n?/g, "\n").replaceAll("\t", "    ").split("\n"), 0);
  return made;
}

const begins = (line) => FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);

function blocks(parent, lines, depth) {
  for (let at = 0; at < lines.length;) {
    const line = lines[at], found = FENCE.exec(line) ?? HEADING.exec(line);
    if (!line.trim()) at += 1;
    else if (FENCE.test(line)) at = fence(parent, lines, at, found);
    else if (HEADING.test(line)) { parent.append(inline(element(`h${Math.min(found[1].length + 2, 6)}`), found[2].replace(/[ ]#*$/, ""))); at += 1; }
    else if (RULE.test(line)) { parent.append(element("hr")); at += 1; }
    else if (QUOTE.test(line) && depth < DEPTH) at = quote(parent, lines, at, depth);
    else if (ITEM.test(line) && depth < DEPTH) at = list(parent, lines, at, depth);
    else if (line.includes("|") && BETWEEN.test(lines[at + 1] ?? "") && cells(line).length === cells(lines[at + 1]).length) at = table(parent, lines, at);
    else {
      let end = at + 1;
      while (end < lines.length && lines[end].trim() && !begins(lines[end])) end += 1;
      parent.append(inline(element("p"), lines.slice(at, end).map(each => each.trim()).join("\n")));
      at = end;
    }
  }
}

// A fence that does not end yet reaches to the end of the text.
function fence(parent, lines, at, [, mark, language]) {
  const last = lines.findIndex((line, place) => place > at && line.trim().startsWith(mark) && !line.trim().replaceAll(mark[0], ""));
  const end = last < 0 ? lines.length : last, content = lines.slice(at + 1, end).join("\n");
  const button = element("button", { type: "button", textContent: "Copy", ariaLabel: "Copy this code" });
  button.addEventListener("click", () => copy(content, button));
  const code = element("pre", { tabIndex: 0 }, element("code", { textContent: content }));
  parent.append(element("div", { className: "code" }, element("div", { className: "head" }, element("span", { textContent: language.trim().slice(0, 40) }), button), code));
  return end + 1;
}

function quote(parent, lines, at, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const made = element("blockquote");
  blocks(made, lines.slice(at, end).map(line => line.replace(QUOTE, "")), depth + 1);
  parent.append(made);
  return end;
}

function list(parent, lines, at, depth) {
  const [, margin, first] = ITEM.exec(lines[at]), ordered = /\d/.test(first), made = element(ordered ? "ol" : "ul");
  if (ordered) made.start = parseInt(first, 10);
  while (at < lines.length) {
    const found = ITEM.exec(lines[at]);
    if (!found || found[1].length > margin.length + 1 || found[1].length < margin.length || /\d/.test(found[2]) !== ordered || RULE.test(lines[at])) break;
    const width = margin.length + found[2].length + 1, inner = [lines[at].slice(found[0].length)];
    for (at += 1; at < lines.length; at += 1) {
      const line = lines[at], blank = !line.trim(), deep = line.search(/\S/) >= Math.min(width, margin.length + 2);
      if (!blank && !deep && (begins(line) || !inner.at(-1).trim())) break;
      inner.push(blank ? "" : line.slice(Math.min(line.search(/\S/), width)));
    }
    const item = element("li");
    blocks(item, inner, depth + 1);
    if (item.children.length === 1 && item.firstElementChild.tagName === "P") item.replaceChildren(...item.firstElementChild.childNodes);
    made.append(item);
  }
  parent.append(made);
  return at;
}

const cells = (line) => line.trim().replace(/^\|/, "").replace(/\|$/, "").split(/(?<!\\)\|/).map(cell => cell.trim().replaceAll("\\|", "|"));

function table(parent, lines, at) {
  const aligned = cells(lines[at + 1]).map(mark => mark.endsWith(":") ? (mark.startsWith(":") ? "center" : "right") : "");
  const row = (line, tag) => {
    const given = cells(line);
    return element("tr", {}, ...aligned.map((align, place) => inline(element(tag, { className: align }), given[place] ?? "")));
  };
  const body = element("tbody"), made = element("table", {}, element("thead", {}, row(lines[at], "th")), body);
  for (at += 2; at < lines.length && lines[at].includes("|"); at += 1) body.append(row(lines[at], "td"));
  parent.append(element("div", { className: "scroll" }, made));
  return at;
}

function inline(parent, text, depth = 0) {
  let plain = "";
  for (let at = 0; at < text.length;) {
    const found = depth < DEPTH && (code(text, at) ?? link(text, at) ?? address(text, at) ?? emphasis(text, at, depth));
    if (!found && text[at] === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "")) { plain += text[at + 1]; at += 2; continue; }
    if (!found && text[at] !== "\n") { plain += text[at]; at += 1; continue; }
    parent.append(plain, found ? found.node : element("br"));
    plain = "";
    at = found ? found.end : at + 1;
  }
  parent.append(plain);
  return parent;
}

function code(text, at) {
  if (text[at] !== "`" || text[at - 1] === "`") return null;
  const mark = /^`+/.exec(text.slice(at, at + 20))[0];
  for (let end = at + mark.length; (end = text.indexOf(mark, end)) >= 0 && end < at + REACH;) {
    const after = /^`+/.exec(text.slice(end))[0];
    if (after === mark) return { node: element("code", { textContent: text.slice(at + mark.length, end).trim() }), end: end + mark.length };
    end += after.length;
  }
  return null;
}

// [words](https://...): any other kind of address stays as it is written, and so does a picture.
function link(text, at) {
  if (text[at] !== "[" || text[at - 1] === "!") return null;
  const found = /^\[([^\[\]\n]{1,400})\]\((https:\/\/[^\s()<>"]{1,2000})\)/.exec(text.slice(at, at + REACH));
  return found && { node: anchor(found[2], found[1]), end: at + found[0].length };
}

function address(text, at) {
  if (text[at] !== "h" || WORD.test(text[at - 1] ?? " ")) return null;
  const found = /^https:\/\/[^\s()<>"`*[\]]{1,2000}/.exec(text.slice(at, at + REACH))?.[0].replace(/[.,;:!?'_]+$/, "");
  return found && found.length > 8 ? { node: anchor(found, found), end: at + found.length } : null;
}

const anchor = (href, words) => element("a", { href, target: "_blank", rel: "noopener noreferrer", textContent: words });

// CommonMark's rule, which keeps 2 * 3 and snake_case as they are: a mark opens before a word and closes behind one.
function emphasis(text, at, depth) {
  const mark = MARKS.find(each => text.startsWith(each, at)), size = mark?.length;
  if (!mark || !opens(text[at - 1] ?? " ", text[at + size] ?? " ", mark)) return null;
  for (let end = at + size + 1; (end = text.indexOf(mark, end)) >= 0 && end < at + REACH; end += 1) {
    const before = text[end - 1], after = text[end + size] ?? " ", doubled = size === 1 && (before === mark || after === mark);
    if (doubled && after === mark) end += 1;
    if (doubled || before === "\\" || !opens(after, before, mark)) continue;
    return { node: inline(element(TAGS[mark]), text.slice(at + size, end), depth + 1), end: end + size };
  }
  return null;
}

// Does a mark between these two characters belong to the inner one? Read backwards it is the rule of a mark that closes.
function opens(outer, inner, mark) {
  return Boolean(inner.trim()) && (WORD.test(inner) || !WORD.test(outer)) && !(mark.includes("_") && WORD.test(outer));
}
