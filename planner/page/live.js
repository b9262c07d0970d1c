// What follows from the settings of the sliders: memory over the length of a clip, and what each further thing costs.

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
    responsive(this.chart, (width) => {
      this.width = width;
      this.draw();
    });
  }

  clipSection() {
    const boxes = [
      ["own", "this runtime"],
      ["stock", "stock predictor"],
      ["transformers", "transformers"],
      ["transformers streaming", "transformers, streaming"],
      ["ultralytics", "Ultralytics"],
    ].map(([name, text]) => {
      const input = el("input", {
        type: "checkbox",
        checked: this.on.has(name),
        onchange: (event) => {
          this.on[event.target.checked ? "add" : "delete"](name);
          this.draw();
        },
      });
      return el(
        "label",
        { class: `kind-${name.replace(" ", "-")}` },
        input,
        " ",
        el("span", { class: `swatch ${name.replace(" ", "-")}`, "aria-hidden": true }),
        text,
      );
    });
    return section(
      "clip",
      "Memory over the length of a clip",
      el("fieldset", { class: "toggles" }, el("legend", {}, "Runtimes, at the settings above"), boxes),
      this.chart,
      this.names,
    );
  }

  costSection() {
    return section("costs", "What more would cost", this.costs);
  }

  series() {
    const { whatif } = this,
      { settings, entry, model } = whatif,
      place = whatif.place(),
      { request } = entry.plan;
    return [...this.on].map((name) => {
      const made =
        name === "own" ? { run: runOf(settings, request) } : runElsewhere(name, settings, request, place.card);
      if (name === "own" && whatif.reason(made.run, place.card))
        return { name, reason: whatif.reason(made.run, place.card) };
      if (!made.run) return { name, reason: made.reason };
      const at = (frames) => model.totals({ ...made.run, frames }, place);
      const needOf = (totals) => (name === "own" ? whatif.needOf(totals) : totals.least);
      const room = name === "own" ? settings.budget - whatif.held(settings.budget) : settings.budget;
      return { name, at, run: made.run, longest: longestClip((frames) => needOf(at(frames)) <= room) };
    });
  }

  // Charts follow once a frame, however fast a slider is moved; its own price is shown at once.
  soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    if (this.whatif.entry.plan.request.task === "video" && this.width) this.drawClip();
    this.drawCosts();
  }

  drawClip() {
    const { settings } = this.whatif,
      every = this.series(),
      able = every.filter((one) => one.at);
    const ends = able.map((one) => one.longest).filter((one) => one !== null && one > 0);
    const frames =
      settings.frames === null
        ? Math.min(20000, Math.max(60, Math.ceil(Math.max(0, ...ends) * 1.4)))
        : Math.max(2, settings.frames);
    const usable = settings.budget - this.whatif.held(settings.budget),
      own = able.find((one) => one.name === "own");
    const most = Math.max(settings.budget, own ? own.at(frames).total : 0) * 1.4;
    const places = placesUpTo(frames);
    const drawn = able.map((one) => ({
      ...one,
      kind: one.name.replace(" ", "-"),
      points: pathOf(one, places, most * 1.5),
    }));
    const label = `Memory over clips of 1 to ${grouped(frames)} frames: ${every.map((one) => `${nameOf(one.name)}: ${saidLongest(one)}`).join("; ")}`;
    fill(
      this.chart,
      clipChart({ width: this.width, series: drawn, frames, usable, budget: settings.budget, most, label }),
    );
    const rows = every.map((one) => [
      [el("span", { class: `swatch ${one.name.replace(" ", "-")}`, "aria-hidden": true }), nameOf(one.name)],
      one.run ? describe({ ...one.run, version: settings.version }) : "—",
      one.at ? [size(one.at(frames).total), ` at ${grouped(frames)}`] : "—",
      saidLongest(one),
    ]);
    fill(
      this.names,
      table(
        "Longest clip that fits, at the settings above",
        ["runtime", "configuration", "takes", "longest clip that fits"],
        rows,
        [2],
      ),
      el(
        "p",
        { class: "quiet" },
        "A cross marks where a runtime has used up the whole budget, all cache given back. The dashed line is what is usable of it. At which frame a longer clip stops on its way: see The same on other runtimes.",
      ),
    );
  }

  drawCosts() {
    const { whatif } = this,
      { settings, entry, model } = whatif,
      { request } = entry.plan,
      place = whatif.place();
    const next = (list, one) => list[list.findIndex((value) => JSON.stringify(value) === JSON.stringify(one)) + 1];
    const larger = entry.resolutions.find((one) => one[0] * one[1] > settings.resolution[0] * settings.resolution[1]);
    const variant = next(VARIANT_NAMES, settings.variant),
      video = request.task === "video",
      endless = settings.frames === null;
    const changes = [
      request.task === "automask" ? null : ["one more object", { objects: settings.objects + 1 }],
      request.task === "automask" ? null : ["ten more objects", { objects: settings.objects + 10 }],
      video ? ["one more frame", { frames: endless ? null : settings.frames + 1 }] : null,
      video ? ["a thousand more frames", { frames: endless ? null : settings.frames + 1000 }] : null,
      larger
        ? [`${formatResolution(larger)} instead of ${formatResolution(settings.resolution)}`, { resolution: larger }]
        : null,
      variant ? [`${spoken(variant)} instead of ${spoken(settings.variant)}`, { variant }] : null,
      settings.precision === "float32" ? null : ["float32", { precision: "float32" }],
    ].filter(Boolean);
    const own = (extra) => model.totals(runOf({ ...settings, ...extra }, request), place).total;
    const stock = (extra) => {
      const made = runElsewhere("stock", { ...settings, ...extra }, request, place.card);
      if (!made.run || (video && made.run.frames === null)) return null;
      if ("resolution" in extra && !isSquare(settings.resolution)) return null; // it does not run at what is compared
      return model.totals({ ...made.run, ...("precision" in extra ? extra : {}) }, place).total;
    };
    const more = (of, extra) =>
      of({}) === null || of(extra) === null
        ? "—"
        : el("data", { value: of(extra) - of({}) }, of(extra) === of({}) ? "nothing" : signed(of(extra) - of({})));
    fill(
      this.costs,
      table(
        "Added to what it takes now, predicted",
        ["change", "this runtime", "stock predictor"],
        changes.map(([name, extra]) => [name, more(own, extra), more(stock, extra)]),
        [1, 2],
      ),
      el(
        "p",
        { class: "quiet" },
        "What is reserved goes in steps, so that a change may cost nothing, or less than nothing. A bounded memory bank is full after 18 frames.",
      ),
    );
  }
}

// Lengths of clips at which lines are drawn: close together where a bank fills, on even and on logarithmic axes.
function placesUpTo(frames) {
  const found = new Set(Array.from({ length: Math.min(20, frames) }, (_, at) => at + 1));
  for (let at = 0; at <= 80; at++) {
    found.add(Math.round(1 + (at / 80) * (frames - 1)));
    found.add(Math.max(1, Math.round(frames ** (at / 80))));
  }
  return [...found].sort((one, other) => one - other);
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
