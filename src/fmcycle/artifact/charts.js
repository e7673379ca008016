// Adds to every figure.curve: the values under the pointer or at the arrow keys, a logarithmic scale, and smoothing.
for (const figure of document.querySelectorAll("figure.curve")) {
  const box = JSON.parse(figure.dataset.box), series = JSON.parse(figure.dataset.series);
  const svg = figure.querySelector("svg"), told = figure.querySelector("output"), { width, height } = svg.viewBox.baseVal;
  const lines = [...svg.querySelectorAll("polyline")], dots = svg.querySelectorAll("circle");
  const marks = svg.querySelector(".marks"), linear = marks.innerHTML;
  const plain = lines.map((line) => line.getAttribute("points"));
  const make = (name, given) => {
    const made = document.createElementNS(svg.namespaceURI, name);
    for (const [key, value] of Object.entries(given)) made.setAttribute(key, value);
    return made;
  };
  const named = (step) => box.times?.[step] ?? `step ${step}`;
  const number = (value) => String(Number(value.toPrecision(4)));
  const steps = [...new Set(series.flatMap((each) => each.steps))].sort((one, other) => one - other);
  const positive = series.flatMap((each) => each.values).every((value) => value > 0);
  const state = { log: false, smooth: false, at: -1 };
  const x = (step) => box.left + (step / box.end) * (width - box.left - box.right);
  const scale = (value) => (state.log ? Math.log10(value) : value);

  function range() {
    if (!state.log) return [box.low, box.high];
    const values = series.flatMap((each) => each.values);
    return [Math.min(...values), Math.max(...values, Math.min(...values) * 1.01)].map(Math.log10);
  }
  function smoothed(values) { // exponential moving average, over about a twentieth of the points
    const keep = 1 - 1 / Math.max(2, values.length / 20);
    let mean = values[0];
    return values.map((value) => (mean = keep * mean + (1 - keep) * value));
  }
  function draw() {
    const [low, high] = range();
    const y = (value) => height - box.bottom - ((Math.min(scale(value), high) - low) / (high - low)) * (height - box.bottom - box.top);
    series.forEach((each, index) => {
      if (!state.log && !state.smooth) return lines[index].setAttribute("points", plain[index]);
      const values = state.smooth ? smoothed(each.values) : each.values;
      lines[index].setAttribute("points", each.steps.map((step, place) => `${x(step).toFixed(1)},${y(values[place]).toFixed(1)}`).join(" "));
    });
    for (const dot of dots) dot.style.display = state.log || state.smooth ? "none" : "";
    marks.innerHTML = linear;
    if (!state.log) return;
    marks.replaceChildren();
    const powers = [];
    for (let power = Math.floor(low); power <= high; power++) for (const part of [1, 2, 5]) powers.push(part * 10 ** power);
    const inside = powers.filter((value) => scale(value) >= low - 1e-9 && scale(value) <= high + 1e-9);
    for (const value of inside.length > 1 ? inside : [10 ** low, 10 ** high]) {
      marks.append(make("line", { class: "grid", x1: box.left, x2: width - box.right, y1: y(value), y2: y(value) }));
      const text = make("text", { x: box.left - 6, y: y(value) + 4, "text-anchor": "end" });
      text.textContent = Number(value.toPrecision(3)).toString();
      marks.append(text);
    }
  }
  function near(each, step) {
    return each.steps.reduce((best, other, place) => (Math.abs(other - step) < Math.abs(each.steps[best] - step) ? place : best), 0);
  }
  const cursor = make("line", { class: "cursor", y1: box.top, y2: height - box.bottom, visibility: "hidden" });
  svg.append(cursor);
  function tell(place) {
    state.at = Math.max(0, Math.min(steps.length - 1, place));
    const step = steps[state.at];
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, x(step));
    cursor.setAttribute("visibility", "visible");
    const values = series.map((each) => {
      const at = near(each, step), apart = each.steps[at] === step ? "" : ` (${named(each.steps[at])})`;
      return `${each.name.split(",")[0]} ${number(each.values[at])}${apart}`.trim();
    });
    told.textContent = `${named(step)}: ${values.join(" · ")}`;
    told.style.minHeight = `${told.offsetHeight}px`; // what stands below must not move under a click
  }
  function leave() {
    state.at = -1;
    cursor.setAttribute("visibility", "hidden");
    told.textContent = box.label;
  }
  svg.addEventListener("pointermove", (event) => {
    const edges = svg.getBoundingClientRect(), across = ((event.clientX - edges.left) / edges.width) * width;
    const step = ((across - box.left) / (width - box.left - box.right)) * box.end;
    tell(near({ steps }, step));
  });
  svg.addEventListener("pointerleave", () => document.activeElement !== svg && leave());
  svg.addEventListener("focus", () => state.at < 0 && tell(steps.length - 1));
  svg.addEventListener("blur", leave);
  svg.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: state.at - 1, ArrowRight: state.at + 1, Home: 0, End: steps.length - 1 };
    const page = Math.max(1, Math.round(steps.length / 10));
    Object.assign(moves, { PageUp: state.at + page, PageDown: state.at - page });
    if (!(event.key in moves)) return;
    event.preventDefault();
    tell(moves[event.key]);
  });
  const tools = document.createElement("div");
  tools.className = "tools";
  const long = series.some((each) => each.steps.length > 20);
  for (const [name, word, fits] of [["log", "log scale", positive && long], ["smooth", "smooth", long]]) {
    if (!fits) continue;
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: word });
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      state[name] = !state[name];
      button.setAttribute("aria-pressed", state[name]);
      draw();
    });
    tools.append(button);
  }
  if (tools.childElementCount) told.after(tools);
}
