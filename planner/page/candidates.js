// Every candidate by memory and accuracy: a canvas that the mouse and the arrow keys walk over, and a table of the same.

const PAGE_ROWS = 25;
const OUTCOMES = ["chosen", "surely fits", "fits tightly", "does not fit", "cannot run"];

function outcomeOf(one) {
  if (one.outcome === "fits") return one.upper_bytes <= one.limit_bytes ? 1 : 2;
  return { chosen: 0, does_not_fit: 3, unsupported: 4 }[one.outcome];
}

class CandidatePlot {
  constructor(candidates, budget) {
    this.all = candidates.map((one, place) => ({ one, place, outcome: outcomeOf(one) }));
    this.budget = budget;
    this.at = this.beginning();
    this.box = el("div", { class: "plot" });
    this.canvas = el("canvas", {
      tabindex: 0,
      role: "slider",
      "aria-label": "Candidates in order of preference: arrow keys walk over them",
      "aria-valuemin": 1,
      "aria-valuemax": this.all.length,
      onkeydown: (event) => this.key(event),
      onpointermove: (event) => this.hover(event),
      onpointerdown: (event) => this.hover(event),
    });
    this.axes = shape("svg", { "aria-hidden": true });
    this.box.append(this.canvas, this.axes);
    this.detail = el("div", { class: "detail", "aria-live": "polite" });
    this.table = el("div", {});
    this.first = 0;
    this.filter = { variant: "", outcome: "" };
    responsive(this.box, (width) => this.layout(width));
    this.select(this.at);
    this.list();
  }

  // The choice; where nothing fits, what needs least.
  beginning() {
    const chosen = this.all.findIndex((entry) => entry.outcome === 0),
      need = (entry) => entry.one.need_bytes ?? Infinity;
    return chosen >= 0 ? chosen : this.all.reduce((best, entry) => (need(entry) < need(best) ? entry : best)).place;
  }

  element() {
    const pick = (name, label, options) =>
      el(
        "label",
        {},
        `${label} `,
        el(
          "select",
          {
            onchange: (event) => {
              this.filter[name] = event.target.value;
              this.first = 0;
              this.paint();
              this.list();
            },
          },
          options.map(([value, text]) => el("option", { value }, text)),
        ),
      );
    const variants = [...new Set(this.all.map((entry) => entry.one.configuration.variant))];
    const undrawn = this.all.filter((entry) => entry.one.total_bytes === null).length;
    return el(
      "div",
      {},
      el(
        "div",
        { class: "filters" },
        pick("variant", "Variant", [["", "all"], ...variants.map((name) => [name, spoken(name)])]),
        pick("outcome", "Outcome", [["", "all"], ...OUTCOMES.map((name, at) => [at, name])]),
      ),
      undrawn < this.all.length ? [el("div", { class: "beside" }, this.box, this.detail), marks()] : null,
      undrawn
        ? el(
            "p",
            { class: "quiet" },
            `${counted(undrawn, "candidate")} that cannot run here ${undrawn === 1 ? "is" : "are"} in the table only.`,
          )
        : null,
      el("details", { class: "noprint" }, el("summary", {}, `All ${grouped(this.all.length)} as a table`), this.table),
    );
  }

  shown() {
    const { variant, outcome } = this.filter;
    return this.all.filter(
      (entry) =>
        (!variant || entry.one.configuration.variant === variant) &&
        (outcome === "" || entry.outcome === Number(outcome)),
    );
  }

  layout(width) {
    const drawn = this.all.filter((entry) => entry.one.total_bytes !== null);
    const sizes = drawn.map((entry) => entry.one.total_bytes),
      { usable, total } = this.budget;
    const low = Math.min(usable, ...spread(sizes, Math.min)) * 0.85,
      high = Math.max(total, ...spread(sizes, Math.max)) * 1.2;
    const known = drawn.map((entry) => entry.one.quality).filter((one) => one !== null);
    const unknown = drawn.length - known.length;
    const height = Math.max(300, Math.min(440, Math.round(width * 0.6)));
    const frame = { left: 46, right: 12, top: 14, bottom: 44 };
    const strip = !unknown ? 0 : known.length ? (unknown > known.length ? 150 : 84) : height - frame.top - frame.bottom;
    const floor = height - frame.bottom - strip - (strip && known.length ? 26 : 0);
    const q = known.length
      ? [Math.floor(Math.min(...spread(known, Math.min))) - 1, Math.ceil(Math.max(...spread(known, Math.max))) + 1]
      : [0, 1];
    const span = Math.log(high / low);
    const variants = ["tiny", "small", "base_plus", "large"];
    this.x = (bytes) => frame.left + (Math.log(bytes / low) / span) * (width - frame.left - frame.right);
    const yKnown = (quality) => floor - ((quality - q[0]) / (q[1] - q[0])) * (floor - frame.top);
    const yUnknown = (variant) => height - frame.bottom - (strip * (variants.indexOf(variant) + 0.5)) / variants.length;
    for (const entry of this.all) {
      if (entry.one.total_bytes === null) continue;
      entry.x = this.x(entry.one.total_bytes);
      entry.y = entry.one.quality === null ? yUnknown(entry.one.configuration.variant) : yKnown(entry.one.quality);
    }
    this.size = { width, height };
    this.drawAxes({ low, high, q, known, strip, floor, frame, yKnown, yUnknown, variants });
    this.paint();
  }

  drawAxes({ low, high, q, known, strip, floor, frame, yKnown, yUnknown, variants }) {
    const { width, height } = this.size,
      axes = shape("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": true });
    const text = (x, y, words, anchor = "middle", kind = null) =>
      axes.append(shape("text", { x, y, "text-anchor": anchor, class: kind }, words));
    const base = height - frame.bottom;
    const decades = Math.log10(high / low) * (width < 480 ? 2 : 1),
      steps = decades > 3.5 ? [1] : decades > 2 ? [1, 3] : [1, 2, 5];
    for (let power = 1e8; power <= 1e16; power *= 10) {
      for (const step of steps) {
        const bytes = power * step;
        if (bytes < low || bytes > high) continue;
        axes.append(shape("line", { x1: this.x(bytes), x2: this.x(bytes), y1: frame.top, y2: base, class: "grid" }));
        text(this.x(bytes), base + 16, bytes >= 1e9 ? `${grouped(bytes / 1e9)} GB` : `${bytes / 1e6} MB`);
      }
    }
    text((width + frame.left) / 2, height - 6, "memory it takes, logarithmic");
    if (known.length) {
      const step = q[1] - q[0] > 12 ? 5 : q[1] - q[0] > 6 ? 2 : 1;
      for (let at = Math.ceil(q[0] / step) * step; at <= q[1]; at += step) {
        axes.append(
          shape("line", { x1: frame.left, x2: width - frame.right, y1: yKnown(at), y2: yKnown(at), class: "grid" }),
        );
        text(frame.left - 6, yKnown(at) + 4, at, "end");
      }
      text(frame.left + 2, frame.top - 3, this.budget.metric, "start");
    }
    if (strip) {
      if (known.length)
        axes.append(
          shape("line", {
            x1: frame.left,
            x2: width - frame.right,
            y1: base - strip - 20,
            y2: base - strip - 20,
            class: "axis",
          }),
        );
      text(
        frame.left + 2,
        known.length ? base - strip - 7 : frame.top - 3,
        "no accuracy is published: by variant",
        "start",
      );
      for (const name of variants)
        text(frame.left - 6, yUnknown(name) + 4, name === "base_plus" ? "base+" : name, "end");
    }
    const usable = this.x(this.budget.usable);
    axes.append(shape("line", { x1: usable, x2: usable, y1: frame.top, y2: base, class: "budgetline" }));
    const leftOf = usable > width * 0.6;
    text(
      usable + (leftOf ? -5 : 5),
      frame.top + 12,
      `usable ${formatSize(this.budget.usable)}`,
      leftOf ? "end" : "start",
      "strong",
    );
    this.axes.replaceWith(axes);
    this.axes = axes;
  }

  // The points on a layer of their own, which is drawn anew only where they change: ten thousand stamps.
  paint() {
    if (!this.size) return;
    const scale = window.devicePixelRatio || 1,
      { width, height } = this.size;
    const layer = blank(width * scale, height * scale),
      pen = layer.getContext("2d"),
      shown = this.shown();
    for (const kind of [3, 2, 1, 0]) {
      const mark = stamp(kind, scale);
      for (const { outcome, x, y, one } of shown) {
        if (outcome !== kind || one.total_bytes === null) continue;
        pen.drawImage(mark, Math.round(x * scale - mark.width / 2), Math.round(y * scale - mark.height / 2));
      }
    }
    this.layer = layer;
    this.canvas.width = layer.width;
    this.canvas.height = layer.height;
    this.canvas.style.aspectRatio = `${width} / ${height}`;
    this.ring();
  }

  ring() {
    if (!this.layer) return;
    const pen = this.canvas.getContext("2d"),
      scale = window.devicePixelRatio || 1,
      entry = this.all[this.at];
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.drawImage(this.layer, 0, 0);
    if (!entry || entry.one.total_bytes === null) return;
    pen.scale(scale, scale);
    pen.strokeStyle = "#d6336c";
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(entry.x, entry.y, 10, 0, 2 * Math.PI);
    pen.stroke();
  }

  hover(event) {
    const box = this.canvas.getBoundingClientRect(),
      x = event.clientX - box.left,
      y = event.clientY - box.top;
    let best = -1,
      least = 30 * 30;
    for (const entry of this.shown()) {
      if (entry.one.total_bytes === null) continue;
      const distance = (entry.x - x) ** 2 + (entry.y - y) ** 2;
      if (distance < least) {
        least = distance;
        best = entry.place;
      }
    }
    if (best >= 0 && best !== this.at) this.select(best);
  }

  key(event) {
    const shown = this.shown(),
      here = shown.indexOf(this.all[this.at]);
    const to = {
      ArrowRight: here + 1,
      ArrowDown: here + 1,
      ArrowLeft: here - 1,
      ArrowUp: here - 1,
      PageDown: here + 10,
      PageUp: here - 10,
      Home: 0,
      End: shown.length - 1,
    }[event.key];
    if (to === undefined || !shown.length) return;
    event.preventDefault();
    this.select(shown[Math.min(Math.max(to, 0), shown.length - 1)].place);
  }

  select(at) {
    this.at = at;
    const { one, outcome } = this.all[at] || {};
    if (!one) return;
    const accuracy =
      one.quality === null
        ? one.quality_reason || "no accuracy is published"
        : `${one.quality}${one.quality_is_estimate ? " (an estimate)" : ""}`;
    fill(
      this.detail,
      el("p", { class: `pill p${outcome}` }, OUTCOMES[outcome]),
      el("p", {}, el("b", {}, describe(one.configuration))),
      el(
        "dl",
        {},
        el("dt", {}, "preference"),
        el("dd", {}, `${grouped(one.rank)} of ${grouped(this.all.length)}`),
        el("dt", {}, "takes"),
        el(
          "dd",
          {},
          size(one.total_bytes),
          one.total_bytes === null ? "" : ["; bound ", size(one.upper_bytes), "; completes in ", size(one.need_bytes)],
        ),
        el("dt", {}, "accuracy"),
        el("dd", {}, accuracy),
        el("dt", {}, "why"),
        el("dd", {}, one.reason),
      ),
    );
    const took = one.total_bytes === null ? "" : `takes ${formatSize(one.total_bytes)}; `;
    this.canvas.setAttribute("aria-valuenow", at + 1);
    this.canvas.setAttribute(
      "aria-valuetext",
      `${describe(one.configuration)}: ${OUTCOMES[outcome]}; ${took}${one.reason}`,
    );
    this.ring();
  }

  list() {
    const shown = this.shown(),
      last = Math.max(0, Math.ceil(shown.length / PAGE_ROWS) - 1) * PAGE_ROWS;
    this.first = Math.min(Math.max(0, this.first), last);
    const rows = shown
      .slice(this.first, this.first + PAGE_ROWS)
      .map(({ one, outcome }) => [
        grouped(one.rank),
        describe(one.configuration),
        OUTCOMES[outcome],
        size(one.total_bytes),
        size(one.upper_bytes),
        one.quality === null ? "—" : one.quality,
        one.reason,
      ]);
    const turn = (text, to, off) =>
      el(
        "button",
        {
          type: "button",
          disabled: off,
          onclick: () => {
            this.first = to;
            this.list();
          },
        },
        text,
      );
    fill(
      this.table,
      table(
        "Candidates in order of preference",
        ["#", "configuration", "outcome", "takes", "bound", "accuracy", "why"],
        rows,
        [0, 3, 4, 5],
      ),
      el(
        "p",
        { class: "pager" },
        turn("Earlier", this.first - PAGE_ROWS, this.first === 0),
        ` ${shown.length ? grouped(this.first + 1) : 0} to ${grouped(Math.min(shown.length, this.first + PAGE_ROWS))} of ${grouped(shown.length)} `,
        turn("Later", this.first + PAGE_ROWS, this.first >= last),
      ),
    );
  }
}

const marks = () =>
  el(
    "ul",
    { class: "legend marks" },
    OUTCOMES.slice(0, 4).map((name, at) =>
      el("li", {}, el("span", { class: `mark m${at}`, "aria-hidden": true }), name),
    ),
  );

// Math.min of many numbers, a thousand at a time: a call takes only so many arguments.
function spread(values, of) {
  const found = [];
  for (let at = 0; at < values.length; at += 1000) found.push(of(...values.slice(at, at + 1000)));
  return found;
}

function blank(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width);
  canvas.height = Math.round(height);
  return canvas;
}

const MARKS = ["#d6336c", "#2f7fd1", "#c27c0e", "#858d99"];

// One point: a large disc for the choice, a disc, a diamond for what fits tightly, a cross for what does not fit.
function stamp(outcome, scale) {
  const side = 16,
    half = side / 2,
    canvas = blank(side * scale, side * scale),
    pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.translate(half, half);
  pen.globalAlpha = outcome === 0 ? 1 : 0.75;
  pen.fillStyle = pen.strokeStyle = MARKS[outcome];
  pen.lineWidth = 1.5;
  if (outcome === 3) {
    pen.stroke(new Path2D("M-3,-3L3,3M3,-3L-3,3"));
    return canvas;
  }
  const path = new Path2D(outcome === 2 ? "M0,-5L5,0L0,5L-5,0Z" : undefined);
  if (outcome !== 2) path.arc(0, 0, outcome ? 4 : 7, 0, 2 * Math.PI);
  pen.fill(path);
  return canvas;
}
