// Text of figures, as planner/text/units.py writes them, and the making of elements. Nothing here reads markup.

const VERDICTS = { fits: "Fits", tight: "Fits tightly", does_not_fit: "Does not fit", unsupported: "Cannot run" };
const PROVENANCES = {
  measured: "on a GPU, by this project or by you",
  rehearsed: "torch's own bytes on an imaginary GPU, or a law fitted to them",
  published: "from a cited publication, or fitted to one",
  simulated: "traced, without a GPU",
  derived: "the size of an array that is known",
  assumed: "an allowance that nothing measured supports yet",
};
const SVG = "http://www.w3.org/2000/svg";

function fixed(value, digits) {
  // Ties that a double holds exactly go to the even digit, as in Python; the rest JavaScript rounds alike.
  const scaled = value * 10 ** digits;
  if (Math.abs(scaled % 1) === 0.5 && Number.isInteger(value * 4))
    return (roundEven(scaled) / 10 ** digits).toFixed(digits);
  return value.toFixed(digits);
}

function formatSize(bytes) {
  const megabytes = roundEven(Math.abs(bytes) / 1e6),
    gigabytes = Math.abs(bytes) / 1e9;
  if (gigabytes >= 1000) return `${grouped(roundEven(bytes / 1e9))} GB`;
  if (megabytes >= 10000) return `${fixed(bytes / 1e9, 1)} GB`;
  if (megabytes >= 1) return `${roundEven(bytes / 1e6)} MB`;
  return `${roundEven(bytes / 1e3)} kB`;
}

const grouped = (count) => count.toLocaleString("en-US");
const counted = (count, noun) => `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
const signed = (bytes) =>
  Math.abs(bytes) < 500 ? "0" : bytes < 0 ? `−${formatSize(-bytes)}` : `+${formatSize(bytes)}`;
const formatResolution = (size) => `${size[0]}×${size[1]}`;
const isSquare = (size) => size[0] === size[1];
const nameOf = (runtime) => (runtime === "own" ? "this runtime" : runtime);
const spoken = (word) => word.replaceAll("_", " ");
const describe = (one) =>
  `${spoken(one.variant)} ${one.version} at ${formatResolution(one.resolution)}, ${spoken(one.precision)}`;

function ways(one, task) {
  const found = [];
  if (task === "video" && one.bounded_memory_bank)
    found.push(one.offload_state ? "memory bank on the host" : "bounded memory bank");
  if (task === "automask") found.push(counted(one.object_batch, "point") + " per pass");
  else if (one.object_batch > 1) found.push(`${grouped(one.object_batch)} objects per pass`);
  if (one.attention !== "auto") found.push(`${one.attention} attention`);
  return found;
}

function described(request) {
  const words = [{ video: "Video", image: "Image", automask: "All masks of a picture" }[request.task]];
  if (request.task !== "automask") words.push(counted(request.objects, "object"));
  if (request.task === "video")
    words.push(
      request.frames === "unlimited" || request.frames === null
        ? "a clip without end"
        : counted(request.frames, "frame"),
    );
  words.push(`pictures of ${formatResolution(request.frame_size)}${request.frame_size_assumed ? " (assumed)" : ""}`);
  return words.join(", ");
}

// A size as an option value that parses back to the same bytes.
function exactSize(bytes) {
  if (bytes >= 1e9 && bytes % 1e7 === 0) return `${Number((bytes / 1e9).toFixed(2))}GB`;
  for (const [unit, factor] of [
    ["GiB", 2 ** 30],
    ["MB", 1e6],
    ["MiB", 2 ** 20],
    ["kB", 1e3],
  ]) {
    if (bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return `${Math.floor(bytes / 1e9)}.${String(bytes % 1e9).padStart(9, "0")}GB`;
}

const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\"'\"'")}'`);

function put(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false)
      node.append(child instanceof Node ? child : String(child));
  }
  return node;
}

// Replaces what is in a node, by the same rules.
function fill(node, ...children) {
  node.replaceChildren();
  return put(node, {}, children);
}

const el = (name, attributes, ...children) => put(document.createElement(name), attributes, children);
const shape = (name, attributes, ...children) => put(document.createElementNS(SVG, name), attributes, children);

// A figure that a program can read: its bytes, and where they stand in the plan's JSON.
function size(bytes, of) {
  if (bytes === null || bytes === undefined) return el("span", { class: "quiet" }, "not known");
  return el("data", { value: bytes, "data-of": of }, formatSize(bytes));
}

const figure = (value, of, text) => el("data", { value, "data-of": of }, text === undefined ? String(value) : text);

// What is wider than its box is reached, and scrolled, with the keyboard; what is not is no stop on the way.
const wide = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const scrolls = target.scrollWidth > target.clientWidth + 1;
    for (const [name, value] of [
      ["tabindex", 0],
      ["role", "region"],
      ["aria-label", target.dataset.caption],
    ]) {
      if (scrolls) target.setAttribute(name, value);
      else target.removeAttribute(name);
    }
  }
});

function scrolling(node) {
  wide.observe(node);
  return node;
}

function table(caption, heads, rows, right = []) {
  const cell = (value, at, name) =>
    el(name, { class: right.includes(at) ? "right" : null, scope: name === "th" ? "row" : null }, value);
  return scrolling(
    el(
      "div",
      { class: "scroll", "data-caption": caption },
      el(
        "table",
        { class: heads.length > 4 ? "wide" : null },
        el("caption", {}, caption),
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            heads.map((head, at) => el("th", { scope: "col", class: right.includes(at) ? "right" : null }, head)),
          ),
        ),
        el(
          "tbody",
          {},
          rows.map((row) =>
            el(
              "tr",
              {},
              row.map((value, at) => cell(value, at, at ? "td" : "th")),
            ),
          ),
        ),
      ),
    ),
  );
}

function section(id, title, ...children) {
  return el("section", { id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, title), ...children);
}

function command(text, label) {
  const said = el("span", { class: "said", role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code);
      said.textContent = "selected: copy it with the keyboard";
    }
  };
  const code = el("code", {}, text);
  return el(
    "div",
    { class: "command" },
    el("pre", {}, code),
    el("button", { type: "button", onclick: copy, "aria-label": `Copy: ${label || "the command"}` }, "Copy"),
    said,
  );
}
