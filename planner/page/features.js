// What bytes grow with: planner/memory_model/features.py, arrays.py and beyond.py, formula by formula.
// Python's integers and floats are doubles here. Every product below stays under 2^53, so both give the same bits.

const MEMORY_FRAMES = 7,
  POINTER_FRAMES = 16,
  POINTER_TOKENS = 64,
  TOKEN_PIXELS = 256;
const CANDIDATE_MASKS = 3,
  SCORE_BYTES = 4 * 2 + 1,
  GRID_POINTS = 1024,
  SMALL_BLOCK = 2 ** 20,
  ENLARGED_BYTES = 64 * 2 ** 20,
  KEPT_BY_ULTRALYTICS = 9;
const VIDEO_PARAMETERS = 7520753,
  ENDLESS_FRAMES = 1e9,
  USUAL_FRAME_PIXELS = 1080 * 1920,
  FULL_BANK_FRAMES = 18;
const STRIPS_FROM = 720 * 1280,
  STRIPS_TO = 1080 * 1920,
  ANY_RESOLUTION = 1024 * 1024;
const PASSES = [1, 2, 3, 4, 5, 8, 16];
const POINTS = [1, 2, 4, 8, 16, 32, 64];
const WIDTH_OF = {
  float16: "half",
  bfloat16: "half",
  autocast_float16: "autocast",
  autocast_bfloat16: "autocast",
  float32: "float32",
};
const ARRAYS = new Set(["frames", "memory bank", "output masks", "kept masks", "frames being prepared"]);
const OTHERS = new Set(["transformers", "ultralytics"]);

const outputMasks = (count, pixels) => count * pixels * 4;
const memoryPerFrame = (pixels) => (pixels / TOKEN_PIXELS) * 64 * 2;
const smallMask = (pixels) => (pixels / 16) * 4;
const POINTER = 256 * 4;
const stockState = (pixels) => memoryPerFrame(pixels) + smallMask(pixels) + POINTER;
const readState = (pixels, memories, pointers) =>
  memories * memoryPerFrame(pixels) + pointers * POINTER + smallMask(pixels);
const clipBytes = (count, pixels) => count * pixels * 3 * 4;

function transformersState(pixels, precision, offloaded) {
  const item = precision === "float32" ? 4 : 2;
  const pointer = 256 * (precision === "float16" || precision === "bfloat16" ? 2 : 4) + item;
  const tokens = pixels / TOKEN_PIXELS,
    small = tokens * 16 * item;
  const kept = tokens * 64 * 2 * (precision === "autocast_float16" ? 2 : 1);
  return kept + (offloaded ? 0 : pixels * item + small) + pointer;
}

function preparedFrame(pixels, framePixels) {
  const source = framePixels * 3,
    resized = pixels * 3;
  return source + Math.max(source * 4 + resized * 4, resized * (1 + 2 * 4));
}

function preparedSegments(pixels, framePixels) {
  const source = framePixels * 3,
    resized = pixels * 3;
  return source * (1 + 4) + resized * 4 + (source * 4 >= resized * (1 + 4) ? 0 : resized * 4);
}

function quantities(run) {
  const pixels = run.resolution[0] * run.resolution[1];
  const q = {
    pixels,
    batch: run.objectBatch,
    offloadVideo: run.offloadVideo,
    offloadState: run.offloadState,
    objects: run.runtime === "own" ? run.objects * (run.streams || 1) : run.objects,
    frames: run.frames || ENDLESS_FRAMES,
    framePixels: run.frameSize[0] * run.frameSize[1],
    keptBytes: 0,
    frameBytes: 0,
    givenFrames: 0,
    prepared: false,
  };
  if (!OTHERS.has(run.runtime) || run.task !== "video") return q;
  if (run.runtime === "ultralytics") {
    q.keptBytes = transformersState(pixels, run.precision, false);
    if (run.bounded) q.frames = Math.min(q.frames, KEPT_BY_ULTRALYTICS);
    return q;
  }
  const half = run.precision === "float16" || run.precision === "bfloat16";
  q.keptBytes = transformersState(pixels, run.precision, run.offloadState);
  q.frameBytes = run.offloadVideo ? 0 : clipBytes(1, pixels) / (half ? 2 : 1);
  q.givenFrames = run.streaming ? 0 : q.frames;
  q.prepared = !run.preparedOnHost;
  return q;
}

const readOf = (q) => readState(q.pixels, Math.min(q.frames, MEMORY_FRAMES), Math.min(q.frames, POINTER_FRAMES));

function features(runtime, task, q) {
  if (runtime === "transformers") return transformersFeatures(task, q);
  if (runtime === "ultralytics") return ultralyticsFeatures(task, q);
  const stock = runtime === "stock";
  if (task === "video") return stock ? stockVideo(q) : ownVideo(q);
  if (task === "image") {
    const passes = stock ? q.objects : Math.min(q.batch, q.objects);
    return {
      "further objects of a pass": (passes - 1) * q.pixels,
      "output masks": outputMasks(stock ? passes : 1, q.framePixels),
    };
  }
  return automaskFeatures(stock, q);
}

function automaskFeatures(stock, q) {
  const one = outputMasks(1, q.framePixels),
    every = outputMasks(CANDIDATE_MASKS * q.batch, q.framePixels);
  const found = { "output masks": stock ? every : Math.max(one, Math.min(every, ENLARGED_BYTES)) };
  if (!stock) found["strips of masks"] = Math.min(Math.max(q.framePixels - STRIPS_FROM, 0), STRIPS_TO - STRIPS_FROM);
  for (const [between, steps] of stepsBetween(POINTS, q.batch)) {
    found[`points ${between}`] = steps * q.pixels;
    found[`points ${between}, at any resolution`] = steps * ANY_RESOLUTION;
  }
  if (stock) found["kept masks"] = GRID_POINTS * CANDIDATE_MASKS * smallMask(q.pixels);
  return found;
}

function ownVideo(q) {
  const passes = Math.min(q.batch, q.objects),
    masks = q.objects * smallMask(q.pixels),
    memories = readOf(q) - smallMask(q.pixels),
    waiting = q.objects - 1,
    held = memories * (q.offloadState ? Math.min(passes, waiting) : q.objects),
    reached = memories * (q.offloadState ? Math.min(2 * passes, waiting) : q.objects),
    small = memoryPerFrame(q.pixels) <= SMALL_BLOCK;
  const found = {
    "memory bank": masks + held,
    "output masks": outputMasks(1, q.framePixels),
    "memory bank in the small pool": masks + (small ? reached : 0),
    "memory bank in the large pool": small ? 0 : reached,
  };
  for (const [between, steps] of stepsBetween(PASSES, passes)) {
    found[`objects of a pass ${between}`] = steps * q.pixels;
    found[`objects of a pass ${between}, at any resolution`] = steps * ANY_RESOLUTION;
  }
  return found;
}

// How much of `count` lies between each two knots; what lies beyond the last counts with the last two.
function stepsBetween(knots, count) {
  return knots.slice(1).map((high, place) => {
    const low = knots[place],
      reached = place === knots.length - 2 ? count : Math.min(count, high);
    return [`from ${low} to ${high}`, Math.max(reached - low, 0)];
  });
}

function stockVideo(q) {
  const everything = q.objects * q.frames * stockState(q.pixels);
  return {
    frames: clipBytes(q.offloadVideo ? 1 : q.frames, q.pixels),
    "memory bank": q.offloadState ? readOf(q) : everything,
    "output masks": outputMasks(q.objects, q.framePixels),
    "lists that were lengthened": outputMasks((q.objects * (q.objects + 1)) / 2, q.framePixels),
  };
}

function transformersFeatures(task, q) {
  const found = { "further objects of a pass": (q.objects - 1) * q.pixels, "output masks": 0 };
  if (task !== "video") return found;
  found["output masks"] = outputMasks(q.objects, q.framePixels);
  found["memory bank"] = q.objects * q.frames * q.keptBytes;
  found.frames = q.frames * q.frameBytes;
  found["frames being prepared"] = q.givenFrames * (q.prepared ? preparedFrame(q.pixels, q.framePixels) : q.frameBytes);
  found["segments of frames being prepared"] =
    q.givenFrames * (q.prepared ? preparedSegments(q.pixels, q.framePixels) : q.frameBytes);
  found["a picture of the source"] = q.givenFrames > 0 ? 0 : q.framePixels;
  found["memories that are read"] = (Math.min(q.frames, MEMORY_FRAMES) - 1) * q.pixels;
  found.streaming = q.givenFrames > 0 ? 0 : q.pixels;
  found["image features of the frame before"] = 0;
  found["features and memories from the host"] = 0;
  return found;
}

function ultralyticsFeatures(task, q) {
  const found = {
    "further objects of a pass": (q.objects - 1) * q.pixels,
    "output masks": outputMasks(q.objects, q.framePixels),
  };
  if (task === "video") {
    found["memory bank"] = q.objects * q.frames * q.keptBytes;
    found["memories that are read"] = q.objects * (Math.min(q.frames, MEMORY_FRAMES) - 1) * q.pixels;
  }
  return found;
}

// What math attention takes for scores: held in encode, held in track, and kept of track.
function mathScores(task, q, heads) {
  const tokens = q.pixels / TOKEN_PIXELS,
    encode = heads * tokens * tokens * SCORE_BYTES;
  if (task !== "video") return [encode, 0, 0];
  const passes = Math.min(q.batch, q.objects),
    memories = Math.min(q.frames - 1, MEMORY_FRAMES);
  const track = memories > 0 ? passes * (tokens * (memories * tokens + POINTER_TOKENS) * SCORE_BYTES) : 0;
  const longer = tokens * (((memories * (memories + 1)) / 2) * tokens + memories * POINTER_TOKENS) * SCORE_BYTES;
  return [encode, track, passes * longer];
}

function isUsual(task, runtime, q, grown, wasRun, math) {
  let few = grown["output masks"] <= USUAL_FRAME_PIXELS * 4;
  if (task === "automask") few = q.batch === POINTS[POINTS.length - 1] && q.framePixels <= USUAL_FRAME_PIXELS;
  else if (task === "video" && runtime === "own") few = few && q.batch === 1;
  else if (OTHERS.has(runtime)) few = q.objects > 0;
  return wasRun && few && !math;
}
