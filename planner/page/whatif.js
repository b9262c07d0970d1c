// Sliders that price again. The settings are plain values; the address carries those that differ from the plan's.

const SIZES_GB = [
  0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 20, 24, 32, 40, 48, 64, 80, 96, 141, 192,
  288,
];
const OBJECT_STEPS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500, 750, 1000];
const PASS_STEPS = [1, 2, 4, 8, 16];
const FRAME_STEPS = [
  1, 2, 5, 10, 18, 30, 60, 100, 150, 200, 300, 500, 750, 1000, 2000, 3000, 5000, 10000, 20000, 50000, 100000,
];
const PRECISIONS = ["autocast_bfloat16", "autocast_float16", "float32", "float16", "bfloat16"];
const VARIANT_NAMES = ["tiny", "small", "base_plus", "large"];
const NATIVE = [1024, 1024];

function settingsOf(entry) {
  const { plan, whole } = entry;
  const near = plan.chosen || (plan.rejected[0] && plan.rejected[0].configuration),
    { request, budget } = plan;
  const one = near || {
    variant: "tiny",
    version: "2.1",
    resolution: NATIVE,
    precision: "autocast_bfloat16",
    attention: "auto",
    object_batch: request.task === "automask" ? 64 : 1,
    offload_state: false,
  };
  return {
    variant: one.variant,
    version: one.version,
    resolution: one.resolution,
    precision: one.precision,
    attention: one.attention,
    objectBatch: one.object_batch,
    offloadState: one.offload_state,
    objects: request.objects,
    streams: request.streams || 1,
    frames: request.task === "video" ? (request.frames === "unlimited" ? null : request.frames) : 1,
    budget: budget.total_bytes,
    gpu: whole.gpu || "",
  };
}

const runOf = (settings, request) => ({
  runtime: "own",
  task: request.task,
  frameSize: request.frame_size,
  bounded: true,
  offloadVideo: false,
  streaming: false,
  ...settings,
});

// Where a slider stands for a value between its steps.
function nearest(values, own) {
  if (typeof own !== "number") return 0;
  const apart = (one) => (typeof one === "number" ? Math.abs(Math.log(one / own)) : Infinity);
  return values.reduce((best, one, at) => (apart(one) < apart(values[best]) ? at : best), 0);
}

class WhatIf {
  constructor(entry, model, onchange) {
    this.entry = entry;
    this.model = model;
    this.onchange = onchange;
    this.base = settingsOf(entry);
    this.settings = { ...this.base };
    this.cards = new Map(model.data.gpus.map((card) => [card.name, card]));
    this.answer = el("div", { class: "answer", "aria-live": "polite" });
    this.rest = el("div", { class: "rest" });
    this.controls = el("div", {});
    this.build();
  }

  element() {
    return section(
      "whatif",
      "Change something",
      el(
        "p",
        { class: "quiet" },
        "Prices are worked out here, by the same laws and coefficients as sam2-plan predict. The address of this page carries what you change.",
      ),
      el(
        "div",
        { class: "whatif" },
        this.answer,
        el("form", { class: "controls", onsubmit: (event) => event.preventDefault() }, this.controls),
        this.rest,
      ),
    );
  }

  // Where it runs. A process of a packing has a share of a GPU, and takes the context of the whole of it.
  place() {
    return { card: this.settings.gpu ? this.cards.get(this.settings.gpu) : null, budget: this.whole() };
  }

  // Values of a slider, with the plan's own among them.
  steps(values, own, same = (one, other) => one === other, order = (one, other) => one - other) {
    return values.some((one) => same(one, own)) ? values : [...values, own].sort(order);
  }

  build() {
    const { entry, base } = this,
      { request } = entry.plan,
      video = request.task === "video";
    const slider = (name, label, values, say) => {
      const said = el("output", { for: `w-${name}`, id: `w-${name}-said` });
      const input = el("input", {
        type: "range",
        id: `w-${name}`,
        min: 0,
        max: values.length - 1,
        step: 1,
        oninput: (event) => this.set({ [name]: values[Number(event.target.value)] }),
      });
      const key = JSON.stringify;
      input.show = () => {
        const own = this.settings[name],
          at = values.findIndex((one) => key(one) === key(own));
        input.value = at < 0 ? nearest(values, own) : at;
        said.textContent = say(this.settings[name]);
        input.setAttribute("aria-valuetext", said.textContent);
      };
      return el("div", { class: "control" }, el("label", { for: `w-${name}` }, label), said, input);
    };
    const choice = (name, label, options) => {
      const input = el(
        "select",
        { id: `w-${name}`, onchange: (event) => this.set({ [name]: event.target.value }) },
        options.map(([value, text]) => el("option", { value }, text)),
      );
      input.show = () => {
        input.value = this.settings[name];
      };
      return el("div", { class: "control" }, el("label", { for: `w-${name}` }, label), input);
    };
    const same = (one, other) => formatResolution(one) === formatResolution(other);
    const budgets = this.steps(
      SIZES_GB.map((gigabytes) => gigabytes * 1e9),
      base.budget,
    );
    const frames = [...(base.frames === null ? FRAME_STEPS : this.steps(FRAME_STEPS, base.frames)), null];
    const parts = [
      choice("gpu", "GPU", [
        ["", "any card of the budget's size"],
        ...[...this.cards.keys()].sort((one, other) => one.localeCompare(other, "en")).map((name) => [name, name]),
      ]),
      this.budgetControl(budgets, slider),
      choice(
        "variant",
        "Variant",
        VARIANT_NAMES.map((name) => [name, spoken(name)]),
      ),
      choice(
        "precision",
        "Precision",
        PRECISIONS.map((name) => [name, spoken(name)]),
      ),
      slider(
        "resolution",
        "Resolution",
        this.steps(entry.resolutions, base.resolution, same, (one, other) => one[0] * one[1] - other[0] * other[1]),
        formatResolution,
      ),
      request.task === "automask"
        ? null
        : slider("objects", "Objects", this.steps(OBJECT_STEPS, base.objects), grouped),
      video ? slider("frames", "Frames", frames, (count) => (count === null ? "without end" : grouped(count))) : null,
      request.task === "image"
        ? null
        : slider(
            "objectBatch",
            video ? "Objects per pass" : "Points per pass",
            this.steps(video ? PASS_STEPS : POINTS, base.objectBatch),
            String,
          ),
      video ? this.hostControl() : null,
      el(
        "p",
        {},
        el("button", { type: "button", id: "w-reset", onclick: () => this.set(this.base) }, "Back to the plan"),
      ),
    ];
    put(this.controls, {}, parts);
    this.inputs = [...this.controls.querySelectorAll("input, select")];
  }

  budgetControl(values, slider) {
    return slider(
      "budget",
      this.entry.packing ? "Room for each" : "Budget",
      values,
      (bytes) => `${formatSize(bytes)}${this.held(bytes) ? `, ${formatSize(bytes - this.held(bytes))} usable` : ""}`,
    );
  }

  hostControl() {
    const input = el("input", {
      type: "checkbox",
      id: "w-offloadState",
      onchange: (event) => this.set({ offloadState: event.target.checked }),
    });
    input.show = () => {
      input.checked = this.settings.offloadState;
    };
    return el(
      "div",
      { class: "control check" },
      input,
      el("label", { for: "w-offloadState" }, "memory bank on the host"),
    );
  }

  whole() {
    const { packing, whole } = this.entry;
    return packing ? whole.total_bytes : this.settings.budget;
  }

  // Neighbours give no cache back, so that of several processes each needs all that it takes.
  shared() {
    const { packing } = this.entry;
    return Boolean(packing) && packing.streams > 1;
  }

  needOf({ least, total }) {
    return this.shared() ? total : least;
  }

  held(bytes) {
    const { headroom } = this.entry.plan.budget;
    return Math.min(bytes, headroom.fixed_bytes + Math.ceil((bytes * headroom.percent) / 100));
  }

  set(changes) {
    const gpu = changes.gpu === undefined || changes.gpu === this.settings.gpu ? null : this.cards.get(changes.gpu);
    this.settings = { ...this.settings, ...changes };
    if (gpu && changes.budget === undefined && !this.entry.packing) this.settings.budget = gpu.total_bytes;
    this.show();
    this.onchange(this);
  }

  // Whether anything differs from the plan.
  changed() {
    return Object.keys(this.base).filter(
      (name) => JSON.stringify(this.base[name]) !== JSON.stringify(this.settings[name]),
    );
  }

  reason(run, card) {
    if (card && card.lacks[run.precision]) return card.lacks[run.precision];
    const kernel = run.attention === "flash" || run.attention === "cudnn";
    if (kernel && run.precision === "float32") return `${run.attention} attention runs in half precision only`;
    if (kernel && card && card.capability && card.capability[0] < 8)
      return `${run.attention} attention needs compute capability 8.0, this GPU has ${card.capability.join(".")}`;
    return null;
  }

  // {verdict, reason, estimate, usable}: as planning would say it of this one configuration.
  price() {
    const { settings, entry } = this,
      run = runOf(settings, entry.plan.request),
      place = this.place();
    const usable = settings.budget - this.held(settings.budget),
      cannot = this.reason(run, place.card);
    const estimate = this.model.estimate(run, place),
      host = entry.plan.budget.host_bytes;
    const need = this.needOf({ least: estimate.least_bytes, total: estimate.total_bytes });
    let verdict = estimate.upper_bytes <= usable ? "fits" : need <= usable ? "tight" : "does_not_fit",
      reason = null;
    if (verdict === "tight")
      reason =
        estimate.total_bytes <= usable
          ? "by the prediction; its bound is larger than what is usable"
          : "only by giving cache back, which costs time";
    if (verdict === "does_not_fit")
      reason = `it needs ${formatSize(need)}, ${formatSize(need - usable)} more than the usable`;
    if (host !== null && estimate.host_bytes > host)
      [verdict, reason] = [
        "does_not_fit",
        `the host would hold ${formatSize(estimate.host_bytes)}, more than its ${formatSize(host)}`,
      ];
    if (cannot) [verdict, reason] = ["unsupported", cannot];
    return { verdict, reason, estimate, usable };
  }

  show() {
    for (const input of this.inputs) input.show();
    const { verdict, reason, estimate, usable } = this.price(),
      { settings } = this;
    const label = `${VERDICTS[verdict]}: ${formatSize(estimate.total_bytes)} of ${formatSize(usable)} usable, upper bound ${formatSize(estimate.upper_bytes)}`;
    const bar = {
      parts: estimate.components,
      total: estimate.total_bytes,
      upper: estimate.upper_bytes,
      usable,
      budget: settings.budget,
      label,
    };
    const note = [...(estimate.extrapolated ? [`extrapolated: ${estimate.extrapolated_because.join("; ")}`] : [])];
    fill(
      this.answer,
      el(
        "p",
        { class: `verdict small v-${verdict}` },
        VERDICTS[verdict],
        reason ? el("span", { class: "reason" }, ` ${reason}`) : null,
      ),
      barAlone(bar),
    );
    fill(
      this.rest,
      legend(bar),
      el(
        "p",
        { id: "w-figures" },
        "takes ",
        el("b", {}, size(estimate.total_bytes, "w.total_bytes")),
        ", bound ",
        size(estimate.upper_bytes, "w.upper_bytes"),
        ", completes in ",
        size(estimate.least_bytes, "w.least_bytes"),
        ", tensors ",
        size(estimate.allocated_bytes, "w.allocated_bytes"),
        ", on the host ",
        size(estimate.host_bytes, "w.host_bytes"),
      ),
      note.length ? el("p", { class: "quiet" }, note.join("; ")) : null,
      this.entry.packing ? null : command(this.command(), "plan exactly this"),
    );
    if (window.sam2plan) window.sam2plan.estimate = estimate;
  }

  command() {
    const { settings, entry } = this,
      { request, budget } = entry.plan,
      words = ["sam2-plan"];
    const card = settings.gpu && this.cards.get(settings.gpu);
    const part = card && card.total_bytes > settings.budget,
      usable = settings.budget - this.held(settings.budget);
    if (card && card.total_bytes >= settings.budget) words.push("--gpu", quoted(settings.gpu));
    else words.push("--vram", exactSize(settings.budget));
    words.push("--task", request.task);
    if (request.task !== "automask" && settings.objects !== 1) words.push("--objects", settings.objects);
    if (settings.streams > 1) words.push("--streams", settings.streams, "--shared");
    if (request.task === "video" && settings.frames !== null) words.push("--frames", settings.frames);
    if (!request.frame_size_assumed) words.push("--frame-size", request.frame_size.join("x"));
    words.push(
      "--variant",
      settings.variant,
      "--resolution",
      settings.resolution.join("x"),
      "--precision",
      settings.precision,
    );
    if (settings.attention !== "auto") words.push("--attention", settings.attention);
    if (part) words.push("--headroom", exactSize(card.total_bytes - usable));
    else if (budget.headroom.fixed_bytes) words.push("--headroom", exactSize(budget.headroom.fixed_bytes));
    else if (budget.headroom.percent !== 5)
      words.push("--headroom", budget.headroom.percent ? `${budget.headroom.percent}%` : "none");
    return words.join(" ");
  }
}
