// Bars and lines. Bars begin at zero; every axis has its unit; colours never speak alone.

const COLOURS = {
  weights: "c1",
  "memory bank": "c2",
  activations: "c3",
  "allocator cache": "c4",
  "cuda context": "c5",
  "output masks": "c6",
  frames: "c7",
  "positional tables and copies": "c8",
  workspace: "c9",
  "attention scores": "c9",
  "autocast copies": "c8",
  "kept masks": "c6",
  "frames being prepared": "c7",
};
const colourOf = (name) => COLOURS[name] || "c9";

// Calls draw(width) now and whenever the width of its box changes.
function responsive(box, draw) {
  let last = 0;
  const redraw = () => {
    const width = Math.floor(box.clientWidth);
    if (width > 0 && width !== last) draw((last = width));
  };
  new ResizeObserver(redraw).observe(box);
  return {
    redraw: () => {
      last = 0;
      redraw();
    },
  };
}

// One bar of parts against a budget: {name, bytes} from zero, what is usable, what is held back, the bound.
function budgetBar(bar) {
  return el("div", {}, barAlone(bar), legend(bar));
}

function barAlone({ parts, total, upper, usable, budget, label }) {
  const end = Math.max(budget, upper || 0, total) * 1.02,
    share = (bytes) => `${((bytes / end) * 100).toFixed(3)}%`;
  const bar = el("div", { class: "bar", role: "img", "aria-label": label });
  const block = (from, bytes, kind, title) => {
    const node = el("span", { class: kind, title });
    node.style.left = share(from);
    node.style.width = share(bytes);
    bar.append(node);
  };
  block(0, usable, "usable", `usable: ${formatSize(usable)}`);
  if (budget > usable) block(usable, budget - usable, "held", `held back: ${formatSize(budget - usable)}`);
  let at = 0;
  for (const part of parts) {
    block(at, part.bytes, `part ${colourOf(part.name)}`, `${part.name}: ${formatSize(part.bytes)}`);
    at += part.bytes;
  }
  if (upper) block(upper, 0, "bound", `upper bound: ${formatSize(upper)}`);
  if (total > usable) block(usable, total - usable, "over", `beyond the usable: ${formatSize(total - usable)}`);
  block(usable, 0, "line", `usable: ${formatSize(usable)}`);
  const ticks = el("div", { class: "ticks", "aria-hidden": true });
  for (const tick of niceTicks(end, 6).filter((one) => one < end * 0.93)) {
    const node = el("span", {}, tick === 0 ? "0" : axisSize(tick, end));
    node.style.left = share(tick);
    ticks.append(node);
  }
  return el("div", { class: "barbox" }, bar, ticks);
}

function niceTicks(end, most) {
  const rough = end / most,
    power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const found = [];
  for (let at = 0; at <= end * 1.0001; at += step) found.push(at);
  return found;
}

const axisSize = (bytes, end) =>
  end >= 2e9 ? `${grouped(Number((bytes / 1e9).toFixed(2)))} GB` : `${Math.round(bytes / 1e6)} MB`;

// What the colours of a bar mean, and its marks: bound, what is usable, what is held back, what is too much.
function legend({ parts, total, upper, usable, budget }) {
  const entry = (kind, name, bytes) =>
    el("li", {}, el("span", { class: `key ${kind}`, "aria-hidden": true }), `${name} `, el("b", {}, formatSize(bytes)));
  return el(
    "ul",
    { class: "legend" },
    parts.map((part) => entry(colourOf(part.name), part.name, part.bytes)),
    upper ? entry("k-bound", "upper bound", upper) : null,
    entry("k-line", "usable", usable),
    budget > usable ? entry("k-held", "held back", budget - usable) : null,
    total > usable ? entry("k-over", "beyond the usable", total - usable) : null,
  );
}

// Lines of bytes over the length of a clip. series: {name, kind, points: [[frames, bytes]], longest}.
function clipChart({ width, series, frames, usable, budget, most, label }) {
  const height = Math.max(220, Math.min(360, Math.round(width * 0.5))),
    left = 62,
    right = 30,
    top = 16,
    bottom = 46;
  // Where a runtime stops early in a long clip, only a logarithmic axis shows it.
  const stops = series.map((one) => one.longest).filter((one) => one),
    log = stops.length > 0 && Math.min(...stops) * 10 < frames;
  const along = log ? (at) => Math.log(at) / Math.log(frames) : (at) => (at - 1) / Math.max(1, frames - 1);
  const x = (at) => left + along(at) * (width - left - right);
  const y = (bytes) => height - bottom - (bytes / most) * (height - top - bottom);
  const id = "inside",
    svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "lines" });
  svg.append(
    shape(
      "clipPath",
      { id },
      shape("rect", { x: left, y: top, width: width - left - right, height: height - top - bottom }),
    ),
  );
  for (const tick of niceTicks(most, 5).filter((one) => one <= most)) {
    svg.append(shape("line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick), class: "grid" }));
    svg.append(
      shape("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, tick === 0 ? "0" : axisSize(tick, most)),
    );
  }
  const decades = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((power) => 10 ** power);
  const ticks = log ? decades : niceTicks(frames, width < 480 ? 3 : 6).map((one) => Math.max(1, Math.round(one)));
  for (const tick of ticks.filter((one) => one <= frames)) {
    svg.append(shape("text", { x: x(tick), y: height - bottom + 18, "text-anchor": "middle" }, grouped(tick)));
  }
  svg.append(
    shape(
      "text",
      { x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" },
      `length of the clip, in frames${log ? ", logarithmic" : ""}`,
    ),
  );
  svg.append(
    shape("rect", {
      x: left,
      width: width - left - right,
      y: y(Math.min(most, budget)),
      height: Math.max(0, y(usable) - y(Math.min(most, budget))),
      class: "heldband",
    }),
  );
  svg.append(shape("line", { x1: left, x2: width - right, y1: y(usable), y2: y(usable), class: "budgetline" }));
  let row = 0;
  for (const one of [...series].sort((first, second) => (second.longest || 0) - (first.longest || 0))) {
    const d = one.points
      .map(([at, bytes], place) => `${place ? "L" : "M"}${x(at).toFixed(1)},${y(bytes).toFixed(1)}`)
      .join("");
    svg.append(shape("path", { d, class: `series ${one.kind}`, "clip-path": `url(#${id})` }));
    if (one.longest !== null && one.longest < frames && one.longest > 0) {
      const at = x(one.longest),
        over = y(budget);
      svg.append(shape("path", { d: `M${at - 5},${over - 5}l10,10m0,-10l-10,10`, class: `cross ${one.kind}` }));
      if (width < 600) continue; // the table below says the same
      const words = `${nameOf(one.name)}: ${grouped(one.longest)}`,
        room = at + words.length * 6.6 < width;
      svg.append(
        shape(
          "text",
          { x: room ? at + 9 : at - 9, y: over - 8 - 14 * row, "text-anchor": room ? "start" : "end", class: "strong" },
          words,
        ),
      );
      row += 1;
    }
  }
  svg.append(
    shape(
      "text",
      {
        x: width - right - 4,
        y: y(usable) - 5 < top + 10 ? y(usable) + 14 : y(usable) - 5,
        "text-anchor": "end",
        class: "strong",
      },
      `usable ${formatSize(usable)}`,
    ),
  );
  return svg;
}

// Several stacked bars on one scale: rows of {name, parts, total}.
function stackedRows(rows, most, label) {
  return el(
    "div",
    { class: "rows", role: "img", "aria-label": label },
    rows.map((row) => {
      const bar = el("span", { class: "track" });
      let at = 0;
      for (const part of row.parts) {
        const node = el("span", {
          class: `part ${colourOf(part.name)}`,
          title: `${part.name}: ${formatSize(part.bytes)}`,
        });
        node.style.left = `${(at / most) * 100}%`;
        node.style.width = `${(part.bytes / most) * 100}%`;
        at += part.bytes;
        bar.append(node);
      }
      return el(
        "div",
        { class: "row" },
        el("span", { class: "name" }, row.name),
        bar,
        el("span", { class: "much" }, formatSize(row.total)),
      );
    }),
  );
}
