// What a plan's JSON says, section by section. Every figure here is the file's own.

function hero(entry) {
  const { plan } = entry,
    { chosen, estimate, budget, request } = plan,
    verdict = entry.packing ? entry.packing.verdict : plan.verdict;
  const head = el("p", { class: `verdict v-${verdict}` }, VERDICTS[verdict]);
  const what = el("p", { class: "quiet" }, `${described(request)}; on ${ofBudget(budget)}`);
  const body = chosen ? heroChosen(entry, chosen, estimate, budget) : heroNothing(entry);
  return el(
    "section",
    { id: "decision", tabindex: -1, "aria-labelledby": "decision-title" },
    el(
      "h1",
      { id: "decision-title" },
      head,
      chosen
        ? el(
            "span",
            { class: "choice" },
            `${spoken(chosen.variant)} ${chosen.version} at ${formatResolution(chosen.resolution)}`,
          )
        : null,
    ),
    what,
    entry.packing ? packed(entry.packing) : null,
    body,
  );
}

function ofBudget(budget) {
  const name = budget.gpu ? `${budget.gpu.name}, ` : "";
  const held = budget.headroom_bytes ? `, of which ${formatSize(budget.headroom_bytes)} are held back` : "";
  return `${name}${formatSize(budget.total_bytes)}${budget.source === "device" ? " free" : ""}${held}`;
}

function heroChosen(entry, chosen, estimate, budget) {
  const { plan } = entry,
    { usable_bytes: usable, total_bytes: all } = budget;
  const accuracy =
    chosen.quality === null
      ? chosen.quality_reason.replace(/^./, (letter) => letter.toUpperCase())
      : [
          "Accuracy ",
          figure(chosen.quality, "chosen.quality"),
          ` ${chosen.quality_metric}${chosen.quality_is_estimate ? " (an estimate)" : ""}`,
        ];
  const best = {
    quality: chosen.quality === null ? "the first in that order" : "the most accurate",
    speed: "the fastest",
    balanced: "the best balanced",
  }[plan.request.prefer];
  const label = `It takes ${formatSize(estimate.total_bytes)} of ${formatSize(usable)} usable; upper bound ${formatSize(estimate.upper_bytes)}`;
  const run = plan.command ? plan.command.split(" && ") : [];
  return [
    el(
      "p",
      { class: "lead" },
      el("b", {}, size(estimate.total_bytes, "estimate.total_bytes")),
      " of ",
      size(usable, "budget.usable_bytes"),
      " usable, upper bound ",
      size(estimate.upper_bytes, "estimate.upper_bytes"),
      ". In ",
      [spoken(chosen.precision), ...ways(chosen, plan.request.task)].join(", "),
      ".",
    ),
    budgetBar({
      parts: estimate.components,
      total: estimate.total_bytes,
      upper: estimate.upper_bytes,
      usable,
      budget: all,
      label,
    }),
    warned(entry),
    el(
      "div",
      { class: "grid2" },
      el(
        "div",
        {},
        el("h2", {}, "Run it"),
        plan.command ? steps(run, entry.packing) : el("p", {}, plan.command_reason),
      ),
      el(
        "div",
        {},
        el("h2", {}, "Why this one"),
        el(
          "p",
          {},
          accuracy,
          "; ",
          best,
          " of ",
          figure(plan.candidates, "candidates", grouped(plan.candidates)),
          " candidates.",
        ),
        el(
          "p",
          {},
          chosen.frames_per_second === null
            ? `Speed: ${chosen.frames_per_second_reason}.`
            : [
                "Speed ",
                figure(chosen.frames_per_second, "chosen.frames_per_second"),
                ` frames/s: ${chosen.frames_per_second_of}.`,
              ],
        ),
        el(
          "p",
          {},
          plan.rejected.length
            ? `Turned down first: ${describe(plan.rejected[0].configuration)}: ${plan.rejected[0].reason}.`
            : "Nothing better was turned down.",
        ),
        el("p", {}, `The stock predictor of sam2: ${onStock(plan.stock)}.`),
      ),
    ),
  ];
}

// What becomes of the same request there, in a sentence.
function onStock({ total_bytes: total, fits, first_frame_out_of_memory: frame, reason }) {
  if (total === null) return reason;
  const takes = `it takes ${formatSize(total)}`;
  if (fits) return reason ? `${takes}, and fits ${reason}` : `${takes}, and fits`;
  return `${takes}, and does not fit: ${reason}${frame === null ? "" : `, at frame ${grouped(frame)}`}`;
}

function warned({ plan, packing }) {
  const found = [...(packing ? packing.warnings : []), ...plan.warnings];
  return found.length
    ? el(
        "ul",
        { class: "warnings" },
        found.map((one) => el("li", {}, one)),
      )
    : null;
}

// Keep the plan, fetch its weights, run it: what a packing runs stands beside each of its GPUs.
function steps(lines, packing) {
  const last = packing ? [] : lines.slice(1),
    point = lines.some((line) => line.includes("--point"));
  return [
    command(lines[0], "plan, and keep the plan"),
    command("sam2-plan checkpoints plan.yaml --download", "fetch the weights"),
    last.map((line) => command(line, "run it")),
    el("p", { class: "quiet" }, `INPUT is your file${point ? "; the point lies on your object" : ""}.`),
  ];
}

function heroNothing(entry) {
  const { plan } = entry,
    near = plan.rejected[0],
    { budget } = plan;
  const tips = plan.try;
  return [
    near
      ? el(
          "p",
          { class: "lead" },
          "Nearest: ",
          el("b", {}, describe(near.configuration)),
          " ",
          near.need_bytes === null
            ? `cannot run: ${near.reason}.`
            : [
                "needs ",
                size(near.need_bytes, "rejected.0.need_bytes"),
                ", ",
                size(near.short_by_bytes, "rejected.0.short_by_bytes"),
                " more than the ",
                size(near.limit_bytes, "rejected.0.limit_bytes"),
                near.component === "host" ? " that the host has." : " usable.",
              ],
        )
      : el("p", {}, plan.command_reason),
    near && near.need_bytes !== null && near.component !== "host"
      ? budgetBar({
          parts: [{ name: "the least that the nearest needs", bytes: near.need_bytes }],
          total: near.need_bytes,
          upper: null,
          usable: budget.usable_bytes,
          budget: budget.total_bytes,
          label: `The nearest needs ${formatSize(near.need_bytes)} of ${formatSize(budget.usable_bytes)} usable`,
        })
      : null,
    warned(entry),
    el("h2", {}, tips.length ? "What would fit" : "Nothing that was tried would fit"),
    tips.map((one) => el("div", {}, el("p", {}, one.change), command(one.command, one.change))),
  ];
}

const SHOWN_GPUS = 12,
  APART = 64;
const processes = (count) => `${grouped(count)} process${count === 1 ? "" : "es"}`;

function packed(packing) {
  const most = Math.max(...packing.gpus.map((gpu) => gpu.budget.total_bytes));
  const further = packing.gpus.length - SHOWN_GPUS,
    fits = packing.verdict !== "does_not_fit";
  const rows = packing.gpus.slice(0, SHOWN_GPUS).map((gpu, at) => {
    const all = processes(gpu.streams);
    // More than can be told apart are one block.
    const parts =
      gpu.streams > APART
        ? [{ name: all, bytes: gpu.used_bytes }]
        : Array.from({ length: gpu.streams }, (_, at) => ({ name: `process ${at + 1}`, bytes: gpu.process_bytes }));
    const bar = el("div", {
      class: "bar small",
      role: "img",
      "aria-label": `GPU ${at}: ${all}, ${formatSize(gpu.used_bytes)} of ${formatSize(gpu.budget.usable_bytes)}`,
    });
    const block = (from, bytes, kind, title) => {
      const node = el("span", { class: kind, title });
      node.style.left = `${(from / most) * 100}%`;
      node.style.width = `${(bytes / most) * 100}%`;
      bar.append(node);
    };
    block(0, gpu.budget.usable_bytes, "usable", "usable");
    block(gpu.budget.usable_bytes, gpu.budget.headroom_bytes, "held", "held back");
    parts.forEach((part, number) =>
      block(
        number * part.bytes,
        part.bytes,
        `part process ${number % 2 ? "c4" : "c1"}`,
        `${part.name}: ${formatSize(part.bytes)}`,
      ),
    );
    return el(
      "div",
      { class: "gpu" },
      el(
        "p",
        {},
        el("b", {}, gpu.budget.gpu ? gpu.budget.gpu.name : `GPU ${at}`),
        ": ",
        gpu.streams
          ? [
              figure(gpu.streams, `packing.gpus.${at}.streams`),
              ` ${all.split(" ")[1]} of `,
              size(gpu.process_bytes, `packing.gpus.${at}.process_bytes`),
              " each, ",
              size(gpu.used_bytes, `packing.gpus.${at}.used_bytes`),
              " of ",
              size(gpu.budget.usable_bytes, `packing.gpus.${at}.budget.usable_bytes`),
              " usable; ",
              size(gpu.left_bytes, `packing.gpus.${at}.left_bytes`),
              " left; room for ",
              figure(gpu.more_streams, `packing.gpus.${at}.more_streams`),
              " more",
            ]
          : gpu.reason,
      ),
      bar,
      gpu.command ? command(gpu.command, `Start one process on GPU ${at}`) : null,
    );
  });
  return el(
    "div",
    { class: "packing" },
    el(
      "p",
      { class: "lead" },
      el("b", {}, counted(packing.streams, "stream")),
      `, each a process, on ${counted(packing.gpus.length, "GPU")}: `,
      fits
        ? `at most ${grouped(packing.max_streams)} of this configuration, ${grouped(packing.max_streams_smallest)} of the smallest. Below the GPUs: one of them.`
        : `too little for each. Of the smallest configuration ${grouped(packing.max_streams_smallest)} fit.`,
    ),
    fits ? rows : null,
    fits && further > 0 ? el("p", {}, `And ${counted(further, "GPU")} more, as sam2-plan prints them.`) : null,
  );
}

function memorySection(plan) {
  const { estimate } = plan;
  if (!estimate) return null;
  const rows = estimate.components.map((part, at) => [
    [el("span", { class: `key ${colourOf(part.name)}`, "aria-hidden": true }), part.name],
    size(part.bytes, `estimate.components.${at}.bytes`),
    el("abbr", { title: PROVENANCES[part.provenance] }, part.provenance),
  ]);
  rows.push(
    [el("b", {}, "total"), size(estimate.total_bytes, "estimate.total_bytes"), ""],
    ["of which allocated, by tensors", size(estimate.allocated_bytes, "estimate.allocated_bytes"), ""],
    ["completes in, giving cache back", size(estimate.least_bytes, "estimate.least_bytes"), ""],
    ["upper bound", size(estimate.upper_bytes, "estimate.upper_bytes"), "95 % of held-out runs stayed below theirs"],
    [
      "context may take",
      [
        size(estimate.context_low_bytes, "estimate.context_low_bytes"),
        " to ",
        size(estimate.context_high_bytes, "estimate.context_high_bytes"),
      ],
      "by the card",
    ],
    [
      "on the host",
      size(estimate.host_bytes, "estimate.host_bytes"),
      estimate.host_components.map((part) => `${part.name} ${formatSize(part.bytes)}`).join(", ") ||
        estimate.host_bytes_reason,
    ],
  );
  const most = Math.max(...estimate.phases.map((phase) => phase.allocated_bytes));
  const phases = estimate.phases.map((phase) => ({
    name: phase.name === estimate.peak_phase ? `${phase.name} (peak)` : phase.name,
    parts: phase.components,
    total: phase.allocated_bytes,
  }));
  return section(
    "memory",
    "Where the memory goes",
    el(
      "div",
      { class: "grid2" },
      el("div", {}, table("Memory at the peak", ["part", "bytes", "where the figure comes from"], rows, [1])),
      el(
        "div",
        {},
        el("h3", {}, "Phase by phase, allocated"),
        stackedRows(
          phases,
          most,
          `Allocated by phase: ${phases.map((one) => `${one.name} ${formatSize(one.total)}`).join(", ")}`,
        ),
        el("p", { class: "quiet" }, "Bars begin at zero. Beside this the process holds cache and the CUDA context."),
      ),
    ),
  );
}

function elsewhereSection(plan) {
  const rows = [
    ["stock", { ...plan.stock, runtime: "stock predictor of sam2" }, "stock"],
    ...plan.others.map((one, at) => [one.runtime, one, `others.${at}`]),
  ].map(([, one, of]) => [
    one.runtime + (one.streaming ? ", streaming" : ""),
    describe(one.configuration),
    one.total_bytes === null ? "—" : size(one.total_bytes, `${of}.total_bytes`),
    one.host_bytes === null ? "—" : size(one.host_bytes, `${of}.host_bytes`),
    one.fits ? (one.tight ? "tightly" : "yes") : "no",
    one.first_frame_out_of_memory === null
      ? "—"
      : figure(
          one.first_frame_out_of_memory,
          `${of}.first_frame_out_of_memory`,
          grouped(one.first_frame_out_of_memory),
        ),
    one.reason || "it completes",
  ]);
  return section(
    "elsewhere",
    "The same on other runtimes",
    table(
      "What the same request takes elsewhere",
      ["runtime", "configuration", "takes", "on the host", "fits", "runs out at frame", "what happens"],
      rows,
      [2, 3, 5],
    ),
    plan.others.length
      ? null
      : el(
          "p",
          { class: "quiet noprint" },
          "For transformers and Ultralytics, plan with --runtime transformers --runtime ultralytics.",
        ),
  );
}

const COUNTED_TO = 1000000;
const objectsSaid = (count) => (count >= COUNTED_TO ? `${grouped(COUNTED_TO)} or more` : grouped(count));

function limitsSection(plan) {
  const { limits } = plan,
    why = (name) => limits.reasons[name] || "not known";
  const rows = [
    [
      "objects, at most",
      limits.max_objects === null
        ? why("max_objects")
        : figure(limits.max_objects, "limits.max_objects", objectsSaid(limits.max_objects)),
      limits.sure_objects === null
        ? why("sure_objects")
        : figure(limits.sure_objects, "limits.sure_objects", objectsSaid(limits.sure_objects)),
    ],
    limits.gpu_objects === null
      ? null
      : [
          "with the memory bank on the GPU",
          figure(limits.gpu_objects, "limits.gpu_objects", grouped(limits.gpu_objects)),
          "",
        ],
    [
      "frames, at most",
      limits.max_frames === "unlimited"
        ? "any number"
        : limits.max_frames === null
          ? why("max_frames")
          : figure(limits.max_frames, "limits.max_frames", grouped(limits.max_frames)),
      "",
    ],
    [
      "resolution, at most",
      limits.max_resolution ? formatResolution(limits.max_resolution) : why("max_resolution"),
      limits.sure_resolution ? formatResolution(limits.sure_resolution) : why("sure_resolution"),
    ],
    [
      "some plan exists from",
      limits.smallest_total_bytes === null
        ? why("smallest_total_bytes")
        : [
            size(limits.smallest_total_bytes, "limits.smallest_total_bytes"),
            limits.smallest_card ? `, a ${limits.smallest_card} card` : "",
          ],
      "",
    ],
  ];
  return section(
    "limits",
    "How far it reaches",
    table("Limits of the chosen variant on this budget", ["limit", "fits", "surely fits"], rows.filter(Boolean)),
  );
}

const SHOWN_ROWS = 6;

function alsoSection(plan) {
  const also = plan.alternatives.map(({ chosen, estimate }, at) => [
    describe(chosen),
    ways(chosen, plan.request.task).join(", "),
    size(estimate.total_bytes, `alternatives.${at}.estimate.total_bytes`),
    size(estimate.upper_bytes, `alternatives.${at}.estimate.upper_bytes`),
    chosen.quality === null ? "—" : figure(chosen.quality, `alternatives.${at}.chosen.quality`),
  ]);
  const down = plan.rejected.map((one, at) => [
    describe(one.configuration),
    one.need_bytes === null ? "—" : size(one.need_bytes, `rejected.${at}.need_bytes`),
    one.short_by_bytes === null ? "—" : size(one.short_by_bytes, `rejected.${at}.short_by_bytes`),
    one.component,
    one.reason,
  ]);
  const shown = down.slice(0, SHOWN_ROWS),
    rest = down.slice(SHOWN_ROWS),
    fitting = ["configuration", "how", "takes", "bound", "accuracy"],
    heads = ["configuration", "needs", "short by", "breaks at", "why"];
  return section(
    "also",
    "What else fits, and what does not",
    also.length ? table("Alternatives that fit", fitting, also.slice(0, SHOWN_ROWS), [2, 3, 4]) : null,
    also.length > SHOWN_ROWS
      ? el(
          "details",
          { class: "noprint" },
          el("summary", {}, `${grouped(also.length - SHOWN_ROWS)} more that fit`),
          table("Further alternatives that fit", fitting, also.slice(SHOWN_ROWS), [2, 3, 4]),
        )
      : null,
    down.length
      ? table(
          plan.chosen ? "Turned down: preferred, and too large" : "Turned down, nearest miss first",
          heads,
          shown,
          [1, 2],
        )
      : el("p", {}, "Nothing better was turned down."),
    rest.length
      ? el(
          "details",
          { class: "noprint" },
          el("summary", {}, `${grouped(rest.length)} more`),
          table("Further candidates that were turned down", heads, rest, [1, 2]),
        )
      : null,
  );
}

function foundSection(found) {
  if (!found.length) return null;
  return section(
    "found",
    "Rehearsed and measured",
    found.map(({ name, document: one }) => {
      const rehearsal = one.kind === "rehearsal",
        plan = rehearsal ? one.plan : one;
      const how = rehearsal
        ? `Rehearsed on an imaginary ${one.gpu}`
        : `${one.truth === "measured" ? "Measured" : spoken(one.truth)} ${one.gpu ? `on ${one.gpu}` : ""}`;
      const rows = [];
      const bound = rehearsal ? one.predicted : one;
      for (const part of [
        ...one.components,
        ...one.phases.map((phase) => ({ ...phase, name: `phase ${phase.name}` })),
      ]) {
        rows.push([
          part.name,
          size(part.predicted_bytes),
          size(part.found_bytes),
          part.difference_bytes === null ? "—" : signed(part.difference_bytes),
        ]);
      }
      if (bound)
        rows.push([
          "upper bound",
          size(bound.upper_bytes),
          bound.within_upper_bound === null ? "—" : bound.within_upper_bound ? "kept" : "exceeded",
          "",
        ]);
      return el(
        "div",
        {},
        el("h3", {}, `${name}: ${how}`),
        plan ? el("p", { class: "quiet" }, `${describe(plan.configuration)}; ${plan.task}`) : null,
        one.summary ? el("p", {}, one.summary) : null,
        one.message ? el("p", {}, one.message) : null,
        rows.length
          ? table(`Predicted and found, ${name}`, ["part", "predicted", "found", "difference"], rows, [1, 2, 3])
          : null,
      );
    }),
  );
}

function sourcesSection(plan) {
  const { provenance, estimate } = plan,
    exact = estimate && estimate.exact;
  return section(
    "sources",
    "Where the figures come from",
    el(
      "p",
      {},
      exact
        ? `Bytes of the choice were ${exact.method}, with torch ${exact.torch}${exact.gpu ? ` on an imaginary ${exact.gpu}` : ""}. `
        : `Predicted by ${provenance.memory_model}, laws fitted to ${provenance.profiles.join(", ")}. `,
      "Of: ",
      Object.entries(provenance.versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(", "),
      ".",
    ),
    el(
      "dl",
      { class: "words" },
      Object.entries(PROVENANCES).map(([word, means]) => [el("dt", {}, word), el("dd", {}, means)]),
    ),
    estimate && estimate.extrapolated
      ? el("p", {}, `Extrapolated: ${estimate.extrapolated_because.join("; ")}.`)
      : null,
  );
}
