// The same settings on another runtime, as its guides have it; null with a reason where it cannot do that.
function runElsewhere(runtime, settings, request, card) {
  const { pins, task } = request,
    square = isSquare(settings.resolution);
  const lacks = (precision) => card && card.lacks[precision];
  const first = (...precisions) => precisions.find((one) => !lacks(one)) || precisions[0];
  const recipe = {
    stock: ["autocast_bfloat16", "autocast_float16"],
    transformers: ["bfloat16", "float16"],
    ultralytics: ["float32"],
  }[runtime.split(" ")[0]];
  const [name, way] = runtime.split(" "),
    free = name === "transformers" || !square ? NATIVE : settings.resolution;
  const run = {
    ...runOf(settings, request),
    runtime: name,
    streaming: way === "streaming",
    offloadState: false,
    bounded: name === "ultralytics",
    resolution: pins.resolution ? settings.resolution : free,
    precision: pins.precision ? settings.precision : first(...recipe),
    attention: pins.attention || "auto",
  };
  run.objectBatch =
    task === "automask" ? 64 : name === "ultralytics" || (name === "stock" && task === "image") ? settings.objects : 1;
  const other = name !== "stock";
  if (lacks(run.precision)) return { reason: lacks(run.precision) };
  if (name !== "transformers" && run.resolution[0] !== run.resolution[1])
    return { reason: "it runs square resolutions only" };
  if (name === "transformers" && formatResolution(run.resolution) !== formatResolution(NATIVE))
    return { reason: "it runs at 1024×1024 only" };
  if (name === "transformers" && task === "automask")
    return { reason: "automatic masks are a pipeline of its own there" };
  if (name === "ultralytics" && run.precision === "bfloat16") return { reason: "it cannot run in bfloat16" };
  if (other && run.attention !== "auto") return { reason: "it has no choice of attention" };
  return { run };
}

// The most frames with which `fits` still holds; 0 where not even one does, null where any number does.
function longestClip(fits) {
  if (!fits(1)) return 0;
  let low = 1,
    high = 2;
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
