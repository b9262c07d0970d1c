// What a run holds in the host's memory: planner/memory_model/host.py, of the runtime here and of stock's predictors.

const PROCESS_BYTES = 550000000,
  PICTURES = 8,
  PREPARED_FRAMES = 4,
  WRITTEN = 3,
  REMEMBERED = 8;

function pinned(size) {
  let found = 1;
  while (found < size) found *= 2;
  return found;
}

function hostComponents(run, shapes) {
  const weights = shapes[run.variant].parameters * 4,
    own = run.runtime === "own";
  const named = (frames, bank, masks) => [
    { name: "frames", bytes: frames, provenance: "derived" },
    { name: "memory bank", bytes: bank, provenance: "derived" },
    { name: "masks", bytes: masks, provenance: "derived" },
  ];
  const loading = {
    name: "weights being loaded",
    bytes: own || OTHERS.has(run.runtime) ? weights : 2 * weights,
    provenance: "derived",
  };
  const stretches = [[loading], ...hostStretches(run).map((parts) => named(...parts))];
  const sum = (parts) => parts.reduce((total, part) => total + part.bytes, 0);
  const largest = stretches.reduce((best, parts) => (sum(parts) > sum(best) ? parts : best));
  return [{ name: "process", bytes: PROCESS_BYTES, provenance: "assumed" }, ...largest.filter((part) => part.bytes)];
}

// Frames, memory bank and masks of each stretch after loading.
function hostStretches(run) {
  const area = run.frameSize[0] * run.frameSize[1],
    picture = area * 3,
    copies = picture * (1 + 4 * 2);
  const pixels = run.resolution[0] * run.resolution[1],
    count = run.frames || 1;
  if (OTHERS.has(run.runtime)) return otherStretches(run, pixels, picture, count);
  if (run.runtime === "own") {
    if (run.task !== "video") return [[copies, 0, area * (run.task === "automask" ? 1 : 2 * run.objects)]];
    const one = pinned(roundEven(memoryPerFrame(pixels))),
      streams = run.streams || 1,
      objects = run.objects * streams;
    return [
      [
        streams * (PICTURES * picture + PREPARED_FRAMES * pinned(pixels * 3)),
        objects * one * (run.offloadState ? REMEMBERED : 1),
        WRITTEN * objects * area + run.objects * pinned(area),
      ],
    ];
  }
  if (run.task !== "video") return [[copies, 0, area * (run.task === "image" ? run.objects * CANDIDATE_MASKS * 4 : 1)]];
  const frame = roundEven(clipBytes(1, pixels)),
    kept = run.offloadVideo ? count * frame : 0;
  const found = [[count * frame + 2 * frame, 0, 0]];
  if (!run.offloadState) return found;
  const small = roundEven(smallMask(pixels)),
    memory = roundEven(memoryPerFrame(pixels));
  found.push([kept, run.objects * small, roundEven(outputMasks(run.objects + 2, area))]);
  found.push([kept, count * run.objects * (memory + small), 0]);
  return found;
}

function otherStretches(run, pixels, picture, count) {
  const video = run.task === "video",
    half = run.precision === "float16" || run.precision === "bfloat16";
  const frame = Math.floor(roundEven(clipBytes(1, pixels)) / (half ? 2 : 1));
  const mine = run.runtime === "transformers" && video;
  const frames = mine && run.offloadVideo ? count * frame : 0;
  const moved = transformersState(pixels, run.precision, false) - transformersState(pixels, run.precision, true);
  const bank = mine && run.offloadState ? count * run.objects * roundEven(moved) : 0;
  const area = run.frameSize[0] * run.frameSize[1];
  if (!mine || run.streaming) return [[picture * (1 + 4 * 2) + frames, bank, run.objects * area * 4]];
  const prepared = run.preparedOnHost ? count * (preparedFrame(pixels, area) - picture) : 0;
  return [
    [2 * count * picture + roundEven(prepared), 0, 0],
    [count * picture + frames, bank, 0],
  ];
}
