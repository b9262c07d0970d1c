// Sliders that price again. The settings are plain values; the address carries those that differ from the plan's.

const SIZES_GB = [0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 20, 24, 32, 40, 48, 64, 80, 96, 141, 192, 288];
const OBJECT_STEPS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500, 750, 1000];
const FRAME_STEPS = [1, 2, 5, 10, 18, 30, 60, 100, 150, 200, 300, 500, 750, 1000, 2000, 3000, 5000, 10000, 20000, 50000, 100000];
const PRECISIONS = ["autocast_bfloat16", "autocast_float16", "float32", "float16", "bfloat16"];
const VARIANT_NAMES = ["tiny", "small", "base_plus", "large"];
const NATIVE = [1024, 1024];

function settingsOf(plan) {
  const near = plan.chosen || (plan.rejected[0] && plan.rejected[0].configuration), { request, budget } = plan;
  const one = near || { variant: "tiny", version: "2.1", resolution: NATIVE, precision: "autocast_bfloat16", attention: "auto", object_batch: request.task === "automask" ? 64 : 1, offload_state: false };
  return {
    variant: one.variant, version: one.version, resolution: one.resolution, precision: one.precision, attention: one.attention,
    objectBatch: one.object_batch, offloadState: one.offload_state, objects: request.objects,
    frames: request.task === "video" ? (request.frames === "unlimited" ? null : request.frames) : 1,
    budget: budget.total_bytes, gpu: budget.gpu ? budget.gpu.name : "",
  };
}

const runOf = (settings, request) => ({
  runtime: "own", task: request.task, frameSize: request.frame_size, bounded: true, offloadVideo: false, streaming: false, ...settings,
});

// The same on another runtime, as its guides have it; null with a reason where it cannot do that.
function runElsewhere(runtime, settings, request, card) {
  const { pins, task } = request, square = settings.resolution[0] === settings.resolution[1];
  const lacks = (precision) => card && card.lacks[precision];
  const first = (...precisions) => precisions.find((one) => !lacks(one)) || precisions[0];
  const recipe = { stock: ["autocast_bfloat16", "autocast_float16"], transformers: ["bfloat16", "float16"], ultralytics: ["float32"] }[runtime.split(" ")[0]];
  const [name, way] = runtime.split(" "), free = name === "transformers" || !square ? NATIVE : settings.resolution;
  const run = {
    ...runOf(settings, request), runtime: name, streaming: way === "streaming", offloadState: false, bounded: name === "ultralytics",
    resolution: pins.resolution ? settings.resolution : free, precision: pins.precision ? settings.precision : first(...recipe),
    attention: pins.attention || "auto",
  };
  run.objectBatch = task === "automask" ? 64 : name === "ultralytics" || (name === "stock" && task === "image") ? settings.objects : 1;
  const other = name !== "stock";
  if (lacks(run.precision)) return { reason: lacks(run.precision) };
  if (name !== "transformers" && run.resolution[0] !== run.resolution[1]) return { reason: "it runs square resolutions only" };
  if (name === "transformers" && formatResolution(run.resolution) !== formatResolution(NATIVE)) return { reason: "it runs at 1024×1024 only" };
  if (name === "transformers" && task === "automask") return { reason: "automatic masks are a pipeline of its own there" };
  if (name === "ultralytics" && run.precision === "bfloat16") return { reason: "it cannot run in bfloat16" };
  if (other && run.attention !== "auto") return { reason: "it has no choice of attention" };
  return { run };
}

// The most frames with which `fits` still holds; 0 where not even one does, null where any number does.
function longestClip(fits) {
  if (!fits(1)) return 0;
  let low = 1, high = 2;
  while (fits(high)) {
    low = high;
    high *= 2;
    if (high > 1e9) return null;
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}

class WhatIf {
  constructor(entry, model, onchange) {
    this.entry = entry;
    this.model = model;
    this.onchange = onchange;
    this.base = settingsOf(entry.plan);
    this.settings = { ...this.base };
    this.cards = new Map(model.data.gpus.map((card) => [card.name, card]));
    this.answer = el("div", { class: "answer" });
    this.controls = el("div", { class: "controls" });
    this.build();
  }

  element() {
    return section("whatif", "Change something",
      el("p", { class: "quiet" }, "Prices are worked out here, by the same laws and coefficients as sam2-plan predict. The address of this page carries what you change."),
      el("div", { class: "grid2" }, el("form", { class: "controls", onsubmit: (event) => event.preventDefault() }, this.controls), this.answer));
  }

  place() {
    return { card: this.settings.gpu ? this.cards.get(this.settings.gpu) : null, budget: this.settings.budget };
  }

  // Values of a slider, with the plan's own among them.
  steps(values, own, same = (one, other) => one === other, order = (one, other) => one - other) {
    return values.some((one) => same(one, own)) ? values : [...values, own].sort(order);
  }

  build() {
    const { entry, base } = this, { request } = entry.plan, video = request.task === "video";
    const slider = (name, label, values, say) => {
      const said = el("output", { for: `w-${name}`, id: `w-${name}-said` });
      const input = el("input", { type: "range", id: `w-${name}`, min: 0, max: values.length - 1, step: 1, oninput: (event) => this.set({ [name]: values[Number(event.target.value)] }) });
      const key = JSON.stringify;
      input.show = () => {
        const at = values.findIndex((one) => key(one) === key(this.settings[name]));
        input.value = at < 0 ? 0 : at;
        said.textContent = say(this.settings[name]);
        input.setAttribute("aria-valuetext", said.textContent);
      };
      return el("div", { class: "control" }, el("label", { for: `w-${name}` }, label), said, input);
    };
    const choice = (name, label, options) => {
      const input = el("select", { id: `w-${name}`, onchange: (event) => this.set({ [name]: event.target.value }) }, options.map(([value, text]) => el("option", { value }, text)));
      input.show = () => { input.value = this.settings[name]; };
      return el("div", { class: "control" }, el("label", { for: `w-${name}` }, label), input);
    };
    const same = (one, other) => formatResolution(one) === formatResolution(other);
    const budgets = this.steps(SIZES_GB.map((gigabytes) => gigabytes * 1e9), base.budget);
    const frames = [...(base.frames === null ? FRAME_STEPS : this.steps(FRAME_STEPS, base.frames)), null];
    const parts = [
      choice("gpu", "GPU", [["", "any card of the budget's size"], ...[...this.cards.keys()].sort((one, other) => one.localeCompare(other, "en")).map((name) => [name, name])]),
      this.budgetControl(budgets, slider),
      choice("variant", "Variant", VARIANT_NAMES.map((name) => [name, spoken(name)])),
      choice("precision", "Precision", PRECISIONS.map((name) => [name, spoken(name)])),
      slider("resolution", "Resolution", this.steps(entry.resolutions, base.resolution, same, (one, other) => one[0] * one[1] - other[0] * other[1]), formatResolution),
      request.task === "automask" ? null : slider("objects", "Objects", this.steps(OBJECT_STEPS, base.objects), grouped),
      video ? slider("frames", "Frames", frames, (count) => (count === null ? "without end" : grouped(count))) : null,
      request.task === "automask" ? slider("objectBatch", "Points per pass", this.steps(POINTS, base.objectBatch), String) : null,
      video ? this.hostControl() : null,
      el("p", {}, el("button", { type: "button", id: "w-reset", onclick: () => this.set(this.base) }, "Back to the plan")),
    ];
    put(this.controls, {}, parts);
    this.inputs = [...this.controls.querySelectorAll("input, select")];
  }

  budgetControl(values, slider) {
    return slider("budget", "Budget", values, (bytes) => `${formatSize(bytes)}${this.held(bytes) ? `, ${formatSize(bytes - this.held(bytes))} usable` : ""}`);
  }

  hostControl() {
    const input = el("input", { type: "checkbox", id: "w-offloadState", onchange: (event) => this.set({ offloadState: event.target.checked }) });
    input.show = () => { input.checked = this.settings.offloadState; };
    return el("div", { class: "control check" }, input, el("label", { for: "w-offloadState" }, "memory bank on the host"));
  }

  held(bytes) {
    const { headroom } = this.entry.plan.budget;
    return Math.min(bytes, headroom.fixed_bytes + Math.ceil(bytes * headroom.percent / 100));
  }

  set(changes) {
    const gpu = changes.gpu === undefined || changes.gpu === this.settings.gpu ? null : this.cards.get(changes.gpu);
    this.settings = { ...this.settings, ...changes };
    if (gpu && changes.budget === undefined) this.settings.budget = gpu.total_bytes;
    this.show();
    this.onchange(this);
  }

  // Whether anything differs from the plan.
  changed() {
    return Object.keys(this.base).filter((name) => JSON.stringify(this.base[name]) !== JSON.stringify(this.settings[name]));
  }

  reason(run, card) {
    if (card && card.lacks[run.precision]) return card.lacks[run.precision];
    const kernel = run.attention === "flash" || run.attention === "cudnn";
    if (kernel && run.precision === "float32") return `${run.attention} attention runs in half precision only`;
    if (kernel && card && card.capability && card.capability[0] < 8) return `${run.attention} attention needs compute capability 8.0, this GPU has ${card.capability.join(".")}`;
    return null;
  }

  // {verdict, reason, estimate, usable}: as planning would say it of this one configuration.
  price() {
    const { settings, entry } = this, run = runOf(settings, entry.plan.request), place = this.place();
    const usable = settings.budget - this.held(settings.budget), cannot = this.reason(run, place.card);
    const estimate = this.model.estimate(run, place), host = entry.plan.budget.host_bytes;
    let verdict = estimate.upper_bytes <= usable ? "fits" : estimate.least_bytes <= usable ? "tight" : "does_not_fit", reason = null;
    if (verdict === "tight") reason = estimate.total_bytes <= usable ? "by the prediction; its bound is larger than what is usable" : "only by giving cache back, which costs time";
    if (verdict === "does_not_fit") reason = `it needs ${formatSize(estimate.least_bytes)}, ${formatSize(estimate.least_bytes - usable)} more than the usable`;
    if (host !== null && estimate.host_bytes > host) [verdict, reason] = ["does_not_fit", `the host would hold ${formatSize(estimate.host_bytes)}, more than its ${formatSize(host)}`];
    if (cannot) [verdict, reason] = ["unsupported", cannot];
    return { verdict, reason, estimate, usable };
  }

  show() {
    for (const input of this.inputs) input.show();
    const { verdict, reason, estimate, usable } = this.price(), { settings } = this;
    const label = `${VERDICTS[verdict]}: ${formatSize(estimate.total_bytes)} of ${formatSize(usable)} usable, upper bound ${formatSize(estimate.upper_bytes)}`;
    const note = [...(estimate.extrapolated ? [`extrapolated: ${estimate.extrapolated_because.join("; ")}`] : [])];
    this.answer.replaceChildren(
      el("p", { class: `verdict small v-${verdict}`, role: "status" }, VERDICTS[verdict], reason ? el("span", { class: "reason" }, ` ${reason}`) : null),
      budgetBar({ parts: estimate.components, total: estimate.total_bytes, upper: estimate.upper_bytes, usable, budget: settings.budget, label }),
      legend(estimate.components),
      el("p", { id: "w-figures" }, "takes ", el("b", {}, size(estimate.total_bytes, "w.total_bytes")), ", bound ", size(estimate.upper_bytes, "w.upper_bytes"),
        ", completes in ", size(estimate.least_bytes, "w.least_bytes"), ", tensors ", size(estimate.allocated_bytes, "w.allocated_bytes"), ", on the host ", size(estimate.host_bytes, "w.host_bytes")),
      note.length ? el("p", { class: "quiet" }, note.join("; ")) : null,
      command(this.command(), "plan exactly this"));
    if (window.sam2plan) window.sam2plan.estimate = estimate;
  }

  command() {
    const { settings, entry } = this, { request, budget } = entry.plan, words = ["sam2-plan"];
    const card = settings.gpu && this.cards.get(settings.gpu);
    if (card && card.total_bytes === settings.budget) words.push("--gpu", quoted(settings.gpu));
    else words.push("--vram", exactSize(settings.budget));
    words.push("--task", request.task);
    if (request.task !== "automask" && settings.objects !== 1) words.push("--objects", settings.objects);
    if (request.task === "video" && settings.frames !== null) words.push("--frames", settings.frames);
    if (!request.frame_size_assumed) words.push("--frame-size", request.frame_size.join("x"));
    words.push("--variant", settings.variant, "--resolution", settings.resolution.join("x"), "--precision", settings.precision);
    if (settings.attention !== "auto") words.push("--attention", settings.attention);
    if (budget.headroom.fixed_bytes) words.push("--headroom", exactSize(budget.headroom.fixed_bytes));
    else if (budget.headroom.percent !== 5) words.push("--headroom", budget.headroom.percent ? `${budget.headroom.percent}%` : "none");
    return words.join(" ");
  }
}

// Memory over the length of a clip, and what each further thing costs, at the settings of the sliders.
class Live {
  constructor(whatif) {
    this.whatif = whatif;
    const asked = whatif.entry.plan.others.map((one) => one.runtime + (one.streaming ? " streaming" : ""));
    this.on = new Set(["own", "stock", ...asked]);
    this.clip = el("div", {});
    this.costs = el("div", {});
    this.chart = el("div", { class: "chart" });
    this.names = el("div", {});
    this.width = 0;
    responsive(this.chart, (width) => { this.width = width; this.draw(); });
  }

  clipSection() {
    const boxes = [["own", "this runtime"], ["stock", "stock predictor"], ["transformers", "transformers"], ["transformers streaming", "transformers, streaming"], ["ultralytics", "Ultralytics"]].map(([name, text]) => {
      const input = el("input", { type: "checkbox", checked: this.on.has(name), onchange: (event) => { this.on[event.target.checked ? "add" : "delete"](name); this.draw(); } });
      return el("label", { class: `kind-${name.replace(" ", "-")}` }, input, " ", el("span", { class: `swatch ${name.replace(" ", "-")}`, "aria-hidden": true }), text);
    });
    return section("clip", "Memory over the length of a clip", el("fieldset", { class: "toggles" }, el("legend", {}, "Runtimes, at the settings above"), boxes), this.chart, this.names);
  }

  costSection() {
    return section("costs", "What more would cost", this.costs);
  }

  series() {
    const { whatif } = this, { settings, entry, model } = whatif, place = whatif.place(), { request } = entry.plan;
    return [...this.on].map((name) => {
      const made = name === "own" ? { run: runOf(settings, request) } : runElsewhere(name, settings, request, place.card);
      if (name === "own" && whatif.reason(made.run, place.card)) return { name, reason: whatif.reason(made.run, place.card) };
      if (!made.run) return { name, reason: made.reason };
      const at = (frames) => model.totals({ ...made.run, frames }, place);
      const room = name === "own" ? settings.budget - whatif.held(settings.budget) : settings.budget;
      return { name, at, run: made.run, longest: longestClip((frames) => at(frames).least <= room) };
    });
  }

  draw() {
    if (this.whatif.entry.plan.request.task === "video" && this.width) this.drawClip();
    this.drawCosts();
  }

  drawClip() {
    const { settings } = this.whatif, every = this.series(), able = every.filter((one) => one.at);
    const ends = able.map((one) => one.longest).filter((one) => one !== null && one > 0);
    const frames = settings.frames === null ? Math.min(20000, Math.max(60, Math.ceil(Math.max(0, ...ends) * 1.4))) : Math.max(2, settings.frames);
    const usable = settings.budget - this.whatif.held(settings.budget), own = able.find((one) => one.name === "own");
    const most = Math.max(settings.budget, own ? own.at(frames).total : 0) * 1.18;
    const places = [...new Set([...Array(Math.min(20, frames)).keys()].map((one) => one + 1).concat([...Array(61).keys()].map((one) => Math.max(1, Math.round(1 + one / 60 * (frames - 1))))))].sort((one, other) => one - other);
    const drawn = able.map((one) => ({ ...one, kind: one.name.replace(" ", "-"), points: pathOf(one, places, most * 1.5) }));
    const label = `Memory over clips of 1 to ${grouped(frames)} frames: ${every.map((one) => `${one.name}: ${saidLongest(one)}`).join("; ")}`;
    this.chart.replaceChildren(clipChart({ width: this.width, series: drawn, frames, usable, budget: settings.budget, most, label }));
    const rows = every.map((one) => [
      [el("span", { class: `swatch ${one.name.replace(" ", "-")}`, "aria-hidden": true }), one.name === "own" ? "this runtime" : one.name],
      one.run ? describe({ ...one.run, version: settings.version }) : "—",
      one.at ? [size(one.at(frames).total), ` at ${grouped(frames)}`] : "—", saidLongest(one)]);
    this.names.replaceChildren(table("Longest clip that fits, at the settings above", ["runtime", "configuration", "takes", "longest clip that fits"], rows, [2]),
      el("p", { class: "quiet" }, "A cross marks where a runtime has used up the whole budget, all cache given back. The dashed line is what is usable of it."));
  }

  drawCosts() {
    const { whatif } = this, { settings, entry, model } = whatif, { request } = entry.plan, place = whatif.place();
    const next = (list, one) => list[list.findIndex((value) => JSON.stringify(value) === JSON.stringify(one)) + 1];
    const larger = entry.resolutions.find((one) => one[0] * one[1] > settings.resolution[0] * settings.resolution[1]);
    const variant = next(VARIANT_NAMES, settings.variant), video = request.task === "video", endless = settings.frames === null;
    const changes = [
      request.task === "automask" ? null : ["one more object", { objects: settings.objects + 1 }],
      request.task === "automask" ? null : ["ten more objects", { objects: settings.objects + 10 }],
      video ? ["one more frame", { frames: endless ? null : settings.frames + 1 }] : null,
      video ? ["a thousand more frames", { frames: endless ? null : settings.frames + 1000 }] : null,
      larger ? [`${formatResolution(larger)} instead of ${formatResolution(settings.resolution)}`, { resolution: larger }] : null,
      variant ? [`${spoken(variant)} instead of ${spoken(settings.variant)}`, { variant }] : null,
      settings.precision === "float32" ? null : ["float32", { precision: "float32" }],
    ].filter(Boolean);
    const own = (extra) => model.totals(runOf({ ...settings, ...extra }, request), place).total;
    const stock = (extra) => {
      const made = runElsewhere("stock", { ...settings, ...extra }, request, place.card);
      if (!made.run || (video && made.run.frames === null)) return null;
      return model.totals({ ...made.run, ...("precision" in extra ? extra : {}) }, place).total;
    };
    const more = (of, extra) => (of({}) === null || of(extra) === null ? "—" : el("data", { value: of(extra) - of({}) }, of(extra) === of({}) ? "nothing" : signed(of(extra) - of({}))));
    this.costs.replaceChildren(table("Added to what it takes now, predicted", ["change", "this runtime", "stock predictor"], changes.map(([name, extra]) => [name, more(own, extra), more(stock, extra)]), [1, 2]),
      el("p", { class: "quiet" }, "What is reserved goes in steps, so that a change may cost nothing, or less than nothing. A bounded memory bank is full after 18 frames."));
  }
}

// Points of a line as far as it stays in sight.
function pathOf(one, places, most) {
  const found = [];
  for (const frames of places) {
    const bytes = one.at(frames).total;
    found.push([frames, bytes]);
    if (bytes > most) break;
  }
  return found;
}

function saidLongest(one) {
  if (!one.at) return one.reason;
  if (one.longest === null) return "any length";
  return one.longest ? counted(one.longest, "frame") : "none, not one frame";
}
