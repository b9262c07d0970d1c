// The page: one plan at a time, its sections in order of what people ask first.

const DATA = JSON.parse(document.getElementById("data").textContent);
const unpackedOnce = new Map();

async function unpacked(text) {
  if (!unpackedOnce.has(text)) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    unpackedOnce.set(text, new Response(stream).json());
  }
  return unpackedOnce.get(text);
}

const PARSERS = {
  objects: Number,
  objectBatch: Number,
  budget: Number,
  frames: (text) => (text === "unlimited" ? null : Number(text)),
  resolution: (text) => text.split("x").map(Number),
  offloadState: (text) => text === "1",
  variant: String,
  precision: String,
  gpu: String,
};

// What the address says: {plan, settings}. What makes no sense there is left out.
function fromAddress() {
  const words = new URLSearchParams(location.hash.slice(1)),
    found = {};
  for (const [name, parse] of Object.entries(PARSERS)) if (words.has(name)) found[name] = parse(words.get(name));
  const plan = Number(words.get("plan") || 1) - 1;
  return { plan: DATA.plans[plan] ? plan : 0, settings: found };
}

function sensible(settings, whatif) {
  const { base, cards, entry } = whatif,
    found = {},
    whole = (value) => Number.isInteger(value) && value >= 1 && value <= 1e9;
  if ("objects" in settings && whole(settings.objects) && settings.objects <= 1e6) found.objects = settings.objects;
  if ("objectBatch" in settings && POINTS.includes(settings.objectBatch) && entry.plan.request.task === "automask")
    found.objectBatch = settings.objectBatch;
  if (
    "frames" in settings &&
    entry.plan.request.task === "video" &&
    (settings.frames === null || whole(settings.frames))
  )
    found.frames = settings.frames;
  if ("budget" in settings && Number.isInteger(settings.budget) && settings.budget >= 1e6 && settings.budget <= 1e15)
    found.budget = settings.budget;
  if ("resolution" in settings && entry.resolutions.some((one) => one.join() === settings.resolution.join()))
    found.resolution = settings.resolution;
  if ("offloadState" in settings && entry.plan.request.task === "video") found.offloadState = settings.offloadState;
  if (VARIANT_NAMES.includes(settings.variant)) found.variant = settings.variant;
  if (PRECISIONS.includes(settings.precision)) found.precision = settings.precision;
  if ("gpu" in settings && (settings.gpu === "" || cards.has(settings.gpu))) found.gpu = settings.gpu;
  return { ...base, ...found };
}

function toAddress(plan, whatif) {
  const words = new URLSearchParams();
  if (DATA.plans.length > 1) words.set("plan", plan + 1);
  for (const name of whatif ? whatif.changed() : []) {
    const value = whatif.settings[name];
    if (!(name in PARSERS)) continue;
    words.set(
      name,
      name === "resolution"
        ? value.join("x")
        : value === null
          ? "unlimited"
          : value === true
            ? 1
            : value === false
              ? 0
              : value,
    );
  }
  const text = words.toString();
  if (location.hash.slice(1) !== text)
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

function choose(current) {
  if (DATA.plans.length < 2) return null;
  const rows = DATA.plans.map((entry, at) => {
    const { plan } = entry,
      verdict = entry.packing ? entry.packing.verdict : plan.verdict;
    return [
      el("a", { href: `#plan=${at + 1}`, "aria-current": at === current ? "page" : null }, entry.name),
      VERDICTS[verdict],
      plan.chosen ? describe(plan.chosen) : "—",
      plan.estimate ? size(plan.estimate.total_bytes) : "—",
      size(plan.budget.usable_bytes),
    ];
  });
  return el(
    "nav",
    { "aria-label": "Plans of this report" },
    table(
      `${DATA.plans.length} plans: choose one`,
      ["plan", "verdict", "configuration", "takes", "usable"],
      rows,
      [3, 4],
    ),
  );
}

let shown = null;

async function show() {
  const { plan: at, settings } = fromAddress();
  if (shown && shown.at === at && shown.whatif) {
    shown.whatif.settings = sensible(settings, shown.whatif);
    shown.whatif.show();
    shown.live.draw();
    return;
  }
  const entry = DATA.plans[at],
    { plan } = entry,
    page = document.getElementById("page");
  shown = { at };
  document
    .getElementById("top")
    .replaceChildren(el("p", { class: "brand" }, el("b", {}, "sam2-plan"), ` ${entry.name}`));
  const later = el("div", { id: "later" }),
    candidates = el("div", {});
  fill(
    page,
    choose(at),
    hero(entry),
    later,
    memorySection(plan),
    foundSection(DATA.found),
    section("candidates", "Every candidate: accuracy against memory", candidates),
    elsewhereSection(plan),
    alsoSection(plan),
    limitsSection(plan),
    sourcesSection(plan),
  );
  document
    .getElementById("end")
    .replaceChildren(
      el("p", { class: "quiet" }, `Made by sam2-plan ${DATA.version}. This page loads nothing and sends nothing.`),
    );
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done))); // the decision is drawn first
  const [laws, list] = await Promise.all([unpacked(DATA.laws[entry.laws]), unpacked(entry.candidates)]);
  if (shown.at !== at) return;
  live(entry, laws, later, settings, at);
  drawCandidates(entry, list, candidates);
  performance.mark("ready");
  document.documentElement.dataset.ready = "yes";
}

function live(entry, laws, box, settings, at) {
  const whatif = new WhatIf(entry, new MemoryModel(laws), (one) => {
    shown.live.soon();
    toAddress(at, one);
  });
  whatif.settings = sensible(settings, whatif);
  Object.assign(shown, { whatif, live: new Live(whatif) });
  window.sam2plan = { whatif, live: shown.live, estimate: null };
  fill(
    box,
    whatif.element(),
    ...(entry.plan.request.task === "video" ? [shown.live.clipSection()] : []),
    shown.live.costSection(),
  );
  whatif.show();
  shown.live.draw();
}

function drawCandidates(entry, list, box) {
  const { plan } = entry,
    metric = { video: "J&F on SA-V test, %", image: "mIoU on SA-23, one click, %", automask: "accuracy" }[
      plan.request.task
    ];
  if (!list.length) {
    fill(box, el("p", {}, "No candidate is open."));
    return;
  }
  const plot = new CandidatePlot(list, { usable: plan.budget.usable_bytes, total: plan.budget.total_bytes, metric });
  const again = list.find((one) => one.outcome === "chosen"),
    chosen = plan.chosen;
  const moved =
    entry.weighed_now && (again ? describe(again.configuration) : null) !== (chosen ? describe(chosen) : null);
  const note = entry.weighed_now
    ? "Weighed when this page was made, by the laws of this release."
    : "As the plan keeps them.";
  fill(
    box,
    el(
      "p",
      { class: "quiet" },
      note,
      moved ? el("b", {}, ` They would now choose ${again ? describe(again.configuration) : "nothing"}.`) : null,
    ),
    plot.element(),
  );
  window.sam2plan.plot = plot;
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("decision").focus();
});
addEventListener("hashchange", show);
show();
