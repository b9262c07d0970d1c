// The memory model: planner/memory_model/estimator.py, terms.py and contexts.py, over the same coefficients.
// A test holds every figure equal to planner.predict, to the byte.

const MOST_GENERATION = "12.0",
  USUAL_GENERATION = "8.6",
  LARGEST_CONTEXT = 2 ** 30,
  SPARE_SHARE = 0.5;
const SCORED = { encode: 0, track: 1 };
const REMAINDER = { load: "positional tables and copies" };

function roundEven(value) {
  const low = Math.floor(value),
    rest = value - low;
  if (rest !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}

function generationOf(capability) {
  if (!capability || capability[0] === 8)
    return capability && [0, 9].includes(capability[1]) ? capability.join(".") : USUAL_GENERATION;
  return capability[0] < 8 ? "7.5" : MOST_GENERATION;
}

function curveAt(pixels, values, at) {
  const slope = values[values.length - 1],
    last = pixels.length - 1;
  let place = 0;
  while (place <= last && pixels[place] <= at) place++;
  if (place === 0) return values[0];
  const low = pixels[place - 1];
  if (place > last) return values[last] + (at - low) * slope;
  return values[place - 1] + ((at - low) / (pixels[place] - low)) * (values[place] - values[place - 1]);
}

// What is reserved where segments grow: pages of 20 MiB in the pool of larger blocks, of 2 MiB in the other.
const LARGE_PAGE = 20 * 2 ** 20,
  SMALL_PAGE = 2 * 2 ** 20;
const inPages = (bytes, page) => Math.ceil(bytes / page) * page;

class MemoryModel {
  constructor(data) {
    this.data = data;
  }

  group(runtime, task, width, generation) {
    const { groups } = this.data;
    return (
      groups[`${runtime} ${task} ${width} ${generation}`] || groups[`${runtime} ${task} ${width} ${USUAL_GENERATION}`]
    );
  }

  // The context of a card, or of those that a budget may be of: {bytes, low, high, provenance, note}.
  context(place, correction) {
    if (correction && correction.context_bytes !== null) {
      const size = correction.context_bytes;
      return { bytes: size, low: size, high: size, provenance: "measured", note: null };
    }
    return place.card ? place.card.context : this.contextWithin(place.budget);
  }

  contextWithin(budget) {
    const { sizes, below, above } = this.data.contexts;
    let place = sizes.findIndex((size) => size.bytes >= budget);
    if (place < 0) place = sizes.length - 1;
    const own = sizes[place].contexts,
      around = (list) => list[Math.floor(list.length / 2)];
    let middle = around(own),
      largest = own[own.length - 1] * (1 + above);
    for (; place + 1 < sizes.length; place++) {
      const smaller = sizes[place],
        larger = sizes[place + 1].contexts;
      const spare = SPARE_SHARE * Math.max(0, smaller.bytes + 1 - budget);
      if (spare > LARGEST_CONTEXT) break;
      middle = Math.max(middle, around(larger) - spare);
      largest = Math.max(largest, larger[larger.length - 1] * (1 + above) - spare);
    }
    const low = Math.trunc(own[0] * (1 - below));
    return { bytes: roundEven(middle), low, high: Math.ceil(largest), provenance: "assumed", note: null };
  }

  // What the laws are applied to; `place` is {card, budget}, of which the card may be null.
  terms(group, run, q, capability, place) {
    const [runtime, task, width, generation] = group.group,
      shape = this.data.shapes[run.variant];
    const short = Math.min(...run.resolution),
      long = Math.max(...run.resolution);
    const known = group.resolutions.findIndex((size) => size[0] === short && size[1] === long);
    const law = (one) =>
      known < 0 ? curveAt(group.pixels, one.curves[run.variant], q.pixels) : one.tables[run.variant][known];
    const math = run.attention === "math",
      grown = features(runtime, task, q);
    const correction = this.correction(runtime, place);
    const leftOut = (runtime === "own" || runtime === "transformers") && task !== "video" ? VIDEO_PARAMETERS : 0;
    const [casts, castsReserved] = this.data.casts[`${runtime} ${task} ${width} ${run.variant}`] || [0, 0];
    return {
      q,
      grown,
      law,
      correction,
      weights: (shape.parameters - leftOut) * this.data.weight_bytes[`${runtime} ${width}`],
      usual: isUsual(task, runtime, q, grown, known >= 0 && (group.run[run.variant] || []).includes(known), math),
      workspace: this.data.workspaces[`${capability ? capability.join(".") : "any"} ${generation}`],
      casts,
      castsReserved,
      scores: math ? mathScores(task, q, shape.heads) : [0, 0, 0],
      ratios: correction ? [correction.allocated_ratio, correction.reserved_ratio] : null,
      context: this.context(place, correction),
    };
  }

  correction(runtime, place) {
    const sets = this.data.corrections;
    return sets[place.card ? place.card.corrections : 0][runtime] || null;
  }

  value(terms, law) {
    const curve = terms.law(law);
    let found = curve;
    for (const [name, coefficient] of Object.entries(law.growth)) found += coefficient * terms.grown[name];
    if (!law.spill) return found;
    let spilt = law.spill.constant + law.spill.share * curve;
    for (const [name, coefficient] of Object.entries(law.spill.growth)) spilt += coefficient * terms.grown[name];
    return Math.max(found, spilt);
  }

  extra(phase, terms) {
    let extra = 0;
    if (phase !== "load") extra = terms.workspace + (phase === "init" ? 0 : terms.casts);
    return phase in SCORED ? extra + terms.scores[SCORED[phase]] : extra;
  }

  allocatedIn(phase, law, terms) {
    const value = terms.weights + Math.max(0, this.value(terms, law) + this.extra(phase, terms));
    return Math.ceil(terms.ratios ? value * terms.ratios[0] : value);
  }

  highest(group, terms) {
    return Math.max(...Object.entries(group.phases).map(([name, law]) => this.allocatedIn(name, law, terms)));
  }

  // How far the ranges of the two pools are used where segments grow; asked for a total and for its bound.
  ranges(group, terms) {
    if (!terms.ranges) {
      const beside = Object.entries(group.extents).map(
        ([phase, law]) => this.value(terms, law) + this.extra(phase, terms),
      );
      terms.ranges = { large: terms.weights + Math.max(...beside), small: this.value(terms, group.small) };
    }
    return terms.ranges;
  }

  // What is reserved then, if so much more of them were used.
  pagesOf(group, terms, widened) {
    const { large, small } = this.ranges(group, terms),
      more = 1 + widened;
    return inPages(large * more, LARGE_PAGE) + inPages(small * more, SMALL_PAGE);
  }

  reservedOf(group, terms, allocated) {
    let value;
    if (group.reserved) {
      value = terms.weights + this.value(terms, group.reserved) + terms.workspace + terms.castsReserved;
      value += Math.max(terms.scores[0], terms.scores[2]);
    } else {
      value = this.pagesOf(group, terms, 0);
    }
    const reserved = Math.ceil(terms.ratios ? value * terms.ratios[1] : value);
    const ratio = group.most_reserved === null ? Infinity : group.most_reserved;
    const most = terms.ratios ? (ratio * terms.ratios[1]) / terms.ratios[0] : ratio;
    if (reserved <= allocated * most || terms.scores.some((score) => score !== 0)) return reserved;
    return Math.min(reserved, Math.ceil(Math.max(allocated, this.highest(group, terms)) * most));
  }

  bound(group, terms, reserved) {
    const { margins, beyond } = this.data,
      [whose, task] = group.group,
      { q } = terms;
    let share = terms.correction
      ? terms.correction.margin.ratio
      : margins[`${whose} ${task} ${terms.usual ? "usual" : "other"}`];
    const far = q.pixels > group.pixels[group.pixels.length - 1] || q.objects > group.largest_objects;
    if (far || q.framePixels > group.largest_frame_pixels) share = share + beyond;
    if (!group.reserved && !terms.ratios) return Math.max(reserved, Math.ceil(this.pagesOf(group, terms, share)));
    return reserved + Math.ceil(reserved * share);
  }

  rehearsed(group, run, capability) {
    if (!this.data.as_fitted || !capability) return null;
    let frames = run.task === "video" ? run.frames : 1;
    if (run.task === "video" && run.bounded && (frames === null || frames > FULL_BANK_FRAMES))
      frames = FULL_BANK_FRAMES;
    const words = [run.variant, run.version, ...run.resolution, run.attention, run.objects, run.objectBatch, frames];
    words.push(...run.frameSize, run.offloadVideo ? 1 : 0, run.offloadState ? 1 : 0, ...capability);
    if (run.streams > 1) words.push(`streams=${run.streams}`);
    return group.known[words.join(" ")] || null;
  }

  // The sums: {allocated, reserved, context, total, upper, least}, or null where no law holds.
  totals(run, place) {
    return this.worked(run, place).totals;
  }

  // One clip may have been rehearsed where several are predicted: more of them never take less.
  worked(run, place) {
    const found = this.workedAlone(run, place);
    if (!(run.streams > 1)) return found;
    const alone = this.workedAlone({ ...run, streams: 1 }, place).totals;
    for (const name of Object.keys(found.totals)) found.totals[name] = Math.max(found.totals[name], alone[name]);
    return found;
  }

  workedAlone(run, place) {
    const capability = place.card ? place.card.capability : null,
      width = WIDTH_OF[run.precision];
    const group = this.group(run.runtime, run.task, width, generationOf(capability)),
      q = quantities(run);
    const terms = this.terms(group, run, q, capability, place);
    const totals = this.summed(group, terms, capability && this.rehearsed(group, run, capability));
    const most = this.group(run.runtime, run.task, width, MOST_GENERATION);
    if (!capability && most !== group) {
      // Nobody named the GPU: likely one of most cards, and bounded by those that take most.
      const other = this.terms(most, run, q, null, place);
      const upper = this.bound(most, other, this.reservedOf(most, other, totals.allocated)) + other.context.high;
      totals.upper = Math.max(totals.upper, upper);
    }
    return { group, terms, totals };
  }

  summed(group, terms, known) {
    const [whose, task] = group.group,
      { context } = terms;
    let allocated = this.highest(group, terms);
    let reserved = Math.max(allocated, this.reservedOf(group, terms, allocated));
    let least = allocated + Math.ceil((reserved - allocated) * this.data.least[`${whose} ${task}`]);
    let upper;
    if (known && !terms.ratios) {
      [allocated, reserved] = known;
      upper = reserved;
      least = known[2] === null ? least : known[2];
    } else upper = this.bound(group, terms, reserved);
    least = Math.min(Math.max(least, allocated), reserved);
    return {
      allocated,
      reserved,
      context: context.bytes,
      total: reserved + context.bytes,
      upper: upper + context.high,
      least: least + context.bytes,
    };
  }

  // All that planner.predict says, under the names of its JSON.
  estimate(run, place) {
    const { group, terms, totals } = this.worked(run, place),
      { context } = terms,
      names = Object.keys(group.phases);
    const sizes = names.map((name) => this.allocatedIn(name, group.phases[name], terms));
    const highest = sizes.indexOf(Math.max(...sizes));
    const phases = names.map((name, at) =>
      this.phase(name, at === highest ? totals.allocated : Math.min(sizes[at], totals.allocated), terms, group),
    );
    const peak = phases.reduce((best, phase) => (phase.allocated_bytes > best.allocated_bytes ? phase : best));
    const origin = terms.ratios ? "measured" : group.provenance;
    const because = [...this.extrapolated(group, run, terms), ...this.data.notes];
    if (place.card && place.card.no_code) because.push(place.card.no_code);
    if (this.data.packages[run.runtime]) because.push(this.data.packages[run.runtime]);
    const parts = [
      ...peak.components,
      { name: "allocator cache", bytes: totals.reserved - totals.allocated, provenance: origin },
      { name: "cuda context", bytes: totals.context, provenance: context.provenance },
    ].filter((part) => part.bytes);
    const host = hostComponents(run, this.data.shapes);
    return {
      allocated_bytes: totals.allocated,
      reserved_bytes: totals.reserved,
      context_bytes: totals.context,
      context_low_bytes: context.low,
      context_high_bytes: context.high,
      total_bytes: totals.total,
      least_bytes: totals.least,
      upper_bytes: totals.upper,
      components: parts,
      phases,
      peak_phase: peak.name,
      extrapolated: because.length > 0,
      extrapolated_because: because,
      host_bytes: host.reduce((sum, part) => sum + part.bytes, 0),
      host_components: host,
    };
  }

  phase(name, whole, terms, group) {
    const ratio = terms.ratios ? terms.ratios[0] : 1,
      parts = [];
    const add = (part, size, provenance) => parts.push({ name: part, bytes: Math.trunc(size * ratio), provenance });
    add("weights", terms.weights, "published");
    for (const [feature, coefficient] of Object.entries(group.phases[name].growth)) {
      if (ARRAYS.has(feature)) add(feature, coefficient * terms.grown[feature], "derived");
    }
    if (name in SCORED) add("attention scores", terms.scores[SCORED[name]], "derived");
    if (name !== "load" && terms.workspace > 0) add("workspace", terms.workspace, "published");
    if (name !== "load" && name !== "init" && terms.casts > 0) add("autocast copies", terms.casts, "simulated");
    const rest = whole - parts.reduce((sum, part) => sum + part.bytes, 0);
    parts.push({
      name: REMAINDER[name] || "activations",
      bytes: rest,
      provenance: terms.ratios ? "measured" : group.provenance,
    });
    return { name, allocated_bytes: whole, components: parts.filter((part) => part.bytes) };
  }

  extrapolated(group, run, terms) {
    const { q } = terms,
      how = group.provenance,
      found = [];
    if (q.pixels > group.pixels[group.pixels.length - 1]) found.push(`more pixels than any that was ${how}`);
    if (run.attention === "math") found.push(`math attention was not ${how}`);
    if (q.objects > group.largest_objects) found.push(`more objects than any that was ${how}`);
    if (q.framePixels > group.largest_frame_pixels) found.push(`a larger picture than any that was ${how}`);
    if (terms.correction) found.push(...terms.correction.notes);
    if (terms.context.note) found.push(terms.context.note);
    return found;
  }
}
