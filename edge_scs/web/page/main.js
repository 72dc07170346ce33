// The page: photographs, what is chosen for each, previews that follow, and the queue.

import { Card } from "./cards.js";
import { Editor, words } from "./colours.js";
import { command } from "./command.js";
import { at, begin, call, state, upload } from "./server.js";
import { Viewer } from "./viewer.js";

const $ = (id) => document.getElementById(id);
const [COLOURS_AFTER, DETAIL_AFTER, POLL, IDLE] = [80, 350, 500, 60_000]; // ms

const images = [];
let about = null;
let current = null;
let chosen = null; // a hint of the current image

const say = (text) => { $("said").textContent = text; };

function trouble(error) {
  if (error.name === "AbortError") return;
  const [box, text, close] = ["div", "p", "button"].map((tag) => document.createElement(tag));
  text.textContent = error.message;
  close.textContent = "×";
  close.className = "quiet";
  close.setAttribute("aria-label", "Close the message");
  close.addEventListener("click", () => box.remove());
  box.append(text, close);
  $("trouble").append(box);
  while ($("trouble").children.length > 4) $("trouble").firstChild.remove();
}

/** An event handler whose errors become messages. */
const guarded = (act) => (...given) => Promise.resolve().then(() => act(...given)).catch(trouble);

// What is chosen for an image, as the server takes it.
function settingsOf(image) {
  const hints = image.choices.keep_colour ? [] : image.hints.filter((hint) => hint.colour);
  return { ...image.choices, hints: hints.map(({ x, y, colour }) => ({ x, y, colour })) };
}
const body = (image) => JSON.stringify(settingsOf(image));

const viewer = new Viewer({
  say,
  place: guarded((x, y, focus) => {
    if (!current || !about.hints) return;
    if (current.choices.keep_colour) return say("Hints need the network's colours; untick “Keep the photograph's own”.");
    current.hints = current.hints.filter((hint) => hint.colour);
    const hint = { x, y, colour: null };
    current.hints.push(hint);
    return edit(hint, focus);
  }),
  pick: guarded((hint) => edit(hint, true)),
  move: guarded((hint, x, y) => {
    Object.assign(hint, { x, y });
    if (hint.colour) changed();
    return edit(hint);
  }),
  drop: (hint) => drop(hint),
});

const editor = new Editor({
  choose: (hint, colour) => {
    hint.colour = colour;
    say(`Hint at ${hint.x}, ${hint.y}: ${words(colour)}`);
    changed();
  },
  drop: (hint) => drop(hint),
  close: () => {
    edit(null);
    $("stage").focus({ preventScroll: true });
  },
});

async function edit(hint, focus = false) {
  if (current) current.hints = current.hints.filter((each) => each.colour || each === hint);
  chosen = hint;
  showHints();
  await editor.open(hint, current, () => body(current), focus);
}

function drop(hint) {
  current.hints = current.hints.filter((each) => each !== hint);
  guarded(edit)(null);
  changed();
  say("Hint removed");
}

function showHints() {
  const hints = current.choices.keep_colour ? [] : current.hints;
  viewer.show(hints, chosen);
  $("no-hints").hidden = hints.length > 0;
  $("save").hidden = $("clear").hidden = !hints.some((hint) => hint.colour);
  $("list").replaceChildren(...hints.map((hint) => {
    const [row, button, dot, remove] = ["li", "button", "i", "button"].map((tag) => document.createElement(tag));
    button.type = remove.type = "button";
    button.className = "quiet edit";
    dot.style.background = hint.colour === "neutral" ? "#8a8a8a" : hint.colour || "transparent";
    button.append(dot, `${hint.colour ? words(hint.colour) : "no colour yet"} at ${hint.x}, ${hint.y}`);
    button.addEventListener("click", guarded(() => edit(hint, true)));
    remove.className = "quiet";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Remove the hint at ${hint.x}, ${hint.y}`);
    remove.addEventListener("click", () => drop(hint));
    row.append(button, remove);
    return row;
  }));
}

// Previews: colours at once, detail when nothing has changed for a moment.
let timers = [];
let asked = null;

function follow() {
  timers.forEach(clearTimeout);
  asked?.abort();
  const [image, control] = [current, new AbortController()];
  asked = control;
  const show = async (kind, label) => {
    const path = at(`images/${image.number}/preview?kind=${kind}`);
    const answer = await call("POST", path, body(image), { signal: control.signal });
    if (answer.status === 204 || control.signal.aborted) return;
    await present(URL.createObjectURL(await answer.blob()), label, control.signal);
  };
  busy("colours …");
  timers = [
    setTimeout(guarded(() => show("colours", "detail follows …")), COLOURS_AFTER),
    setTimeout(guarded(async () => {
      try {
        await show("detail", "Preview");
      } finally {
        if (!control.signal.aborted) $("what").classList.remove("busy");
      }
    }), DETAIL_AFTER),
  ];
}

function busy(text) {
  $("what").textContent = text;
  $("what").classList.add("busy");
}

/** Show an image on the right side once it is decoded, so that nothing flickers. */
async function present(url, label, signal) {
  const probe = new Image();
  probe.src = url;
  await probe.decode();
  if (signal.aborted) return URL.revokeObjectURL(url);
  const old = $("after").src;
  viewer.after(url);
  if (old.startsWith("blob:")) URL.revokeObjectURL(old);
  $("what").textContent = label;
  $("what").classList.toggle("busy", label.endsWith("…"));
  $("caption").textContent = caption(current, label);
}

function caption(image, label) {
  const whole = image.shown_width === image.width;
  const size = label === "Result" ? "The finished result." : whole ? "" :
    `Preview of a smaller copy, ${image.shown_width} pixels wide: its colours are the result's, its detail is not.`;
  return [size, ...image.notes.map((note) => `${note}.`)].join(" ");
}

/** The finished file, if it was made with the settings of now; else a preview. */
async function showBest() {
  const image = current;
  image.stale = image.job?.state === "done" && JSON.stringify(image.job.settings) !== body(image);
  if (image.job?.state !== "done" || image.stale) return follow();
  timers.forEach(clearTimeout);
  asked?.abort();
  asked = new AbortController();
  const { signal } = asked;
  busy("result …");
  const answer = await call("GET", at(`images/${image.number}/result/view`), undefined, { signal });
  await present(URL.createObjectURL(await answer.blob()), "Result", signal);
}

function changed() {
  fill();
  showHints();
  guarded(showBest)();
  cards();
}

// The controls, from what is chosen and back.
function fill() {
  const { choices } = current;
  $("scale").value = about.scales ? about.scales.indexOf(choices.scale) : choices.scale;
  $("scale-value").value = `× ${choices.scale}`;
  const [wide, high] = [current.width, current.height].map((side) => Math.max(1, Math.round(side * choices.scale)));
  $("size").textContent = `${current.width} × ${current.height} becomes ${wide} × ${high}.`;
  $("restoration").value = choices.restoration ?? 0;
  $("restoration-value").value = (choices.restoration ?? 0).toFixed(2);
  $("vividness").value = choices.vividness;
  $("vividness-value").value = choices.vividness.toFixed(2);
  $("vividness").disabled = $("reference").disabled = choices.keep_colour;
  $("keep").checked = choices.keep_colour;
  $("format").value = choices.format ?? "";
  $("reference").textContent = choices.reference === null ? "Choose an image" : current.referenceName;
  $("no-reference").hidden = choices.reference === null;
  $("same").hidden = images.length < 2;
  $("all").parentElement.hidden = images.length < 2;
  $("command").textContent = command(current, settingsOf(current), about);
}

function choose(key, value) {
  current.choices[key] = value;
  if (key === "keep_colour" && value) {
    Object.assign(current.choices, { reference: null, vividness: 1 });
    guarded(edit)(null);
  }
  changed();
}

function cards() {
  for (const image of images) image.card.update(image === current);
}

function open(image) {
  if (current === image) return;
  current = image;
  chosen = null;
  viewer.open(image.width, image.height, at(`images/${image.number}/view`));
  $("before").alt = `${image.name} before`;
  $("after").alt = `${image.name} after`;
  guarded(edit)(null);
  $("caption").textContent = caption(image, "");
  changed();
}

function arrange() {
  const any = images.length > 0;
  $("welcome").hidden = any;
  $("work").hidden = $("add").hidden = !any;
  $("viewer").hidden = $("controls").hidden = !current;
}

async function add(files) {
  await ready; // what the network can do
  const coming = [...files].map((file) => {
    const image = { name: file.name, reading: true, hints: [], job: null, notes: [] };
    image.choices = { ...(current?.choices ?? fresh()), reference: current?.choices.reference ?? null };
    image.referenceName = current?.referenceName;
    image.card = new Card(image, { pick: open, cancel: guarded(cancel), remove: guarded(remove) });
    images.push(image);
    $("cards").append(image.card.element);
    return [image, file];
  });
  arrange();
  cards();
  for (const [image, file] of coming) {
    try {
      Object.assign(image, await upload("images", file), { reading: false });
    } catch (error) {
      forget(image);
      trouble(error);
      continue;
    }
    if (!current) open(image);
    else fill();
    arrange();
    viewer.layout();
    cards();
  }
}

const fresh = () => ({
  scale: about.scale, vividness: 1, restoration: about.restoration, keep_colour: false, reference: null, format: null,
});

function forget(image) {
  images.splice(images.indexOf(image), 1);
  image.card.element.remove();
  if (current === image) {
    timers.forEach(clearTimeout);
    asked?.abort();
    current = null;
    const next = images.find((each) => !each.reading);
    if (next) open(next);
  } else if (current) fill();
  arrange();
}

async function remove(image) {
  await call("DELETE", at(`images/${image.number}`));
  forget(image);
  ($("cards").querySelector(".pick") || $("choose")).focus();
}

async function cancel(image) {
  image.job = await (await call("DELETE", at(`images/${image.number}/job`))).json();
  cards();
}

async function restore(image) {
  image.job = await (await call("POST", at(`images/${image.number}/job`), body(image))).json();
  image.stale = false;
  cards();
  poll();
}

let polling = 0;
async function poll() {
  clearTimeout(polling);
  const active = () => images.some(({ job }) => job?.state === "waiting" || job?.state === "running");
  try {
    const known = await state();
    for (const image of images) {
      const [before, now] = [image.job?.state, known[image.number] ?? null];
      if (image.reading) continue;
      image.job = now;
      if (now && before !== now.state && (now.state === "done" || now.state === "failed")) {
        say(`${image.name}: ${now.state === "done" ? "restored" : now.message}`);
        if (now.state === "failed") trouble(new Error(`${image.name}: ${now.message}`));
        for (const note of now.notes) if (!image.notes.includes(note)) image.notes.push(note);
        if (image === current) guarded(showBest)();
      }
    }
    cards();
    document.title = active() ? "Restoring … Edge-SCS" : "Edge-SCS: restore photographs";
  } catch (error) {
    if (active() || error.status === 410) trouble(error);
    if (error.status === 410) return;
  }
  polling = setTimeout(poll, active() ? POLL : IDLE);
}

// Everything that can be pressed.
function wire() {
  $("choose").addEventListener("click", () => $("files").click());
  $("add").addEventListener("click", () => $("files").click());
  $("files").addEventListener("change", guarded(async () => {
    const files = [...$("files").files];
    $("files").value = "";
    await add(files);
  }));
  let depth = 0;
  const over = (event, by) => {
    event.preventDefault();
    depth = Math.max(0, depth + by);
    $("over").hidden = !depth || ![...(event.dataTransfer?.types ?? [])].includes("Files");
  };
  addEventListener("dragenter", (event) => over(event, 1));
  addEventListener("dragleave", (event) => over(event, -1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", guarded(async (event) => {
    over(event, -depth);
    if (event.dataTransfer.files.length) await add(event.dataTransfer.files);
  }));
  $("scale").addEventListener("input", () => {
    const value = Number($("scale").value);
    choose("scale", about.scales ? about.scales[value] : value);
  });
  for (const key of ["restoration", "vividness"]) {
    $(key).addEventListener("input", () => choose(key, Number($(key).value)));
  }
  $("keep").addEventListener("change", () => choose("keep_colour", $("keep").checked));
  $("format").addEventListener("change", () => choose("format", $("format").value || null));
  $("reference").addEventListener("click", () => $("reference-file").click());
  $("no-reference").addEventListener("click", () => choose("reference", null));
  $("reference-file").addEventListener("change", guarded(async () => {
    const [file] = $("reference-file").files;
    $("reference-file").value = "";
    if (!file) return;
    const image = current;
    const { number, name } = await upload("references", file);
    Object.assign(image, { referenceName: name });
    image.choices.reference = number;
    if (image === current) changed();
  }));
  $("load").addEventListener("click", () => $("hints-file").click());
  $("hints-file").addEventListener("change", guarded(async () => {
    const [file] = $("hints-file").files;
    $("hints-file").value = "";
    if (file) await loadHints(file);
  }));
  $("save").addEventListener("click", () => {
    const text = `${JSON.stringify(settingsOf(current).hints, null, 2)}\n`;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = `${current.name}.hints.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
  $("clear").addEventListener("click", () => {
    current.hints = [];
    guarded(edit)(null);
    changed();
  });
  $("same").addEventListener("click", () => {
    for (const image of images) {
      image.choices = { ...current.choices };
      image.referenceName = current.referenceName;
      image.stale = image.job?.state === "done" && JSON.stringify(image.job.settings) !== body(image);
    }
    cards();
    say("All photographs have these settings now; hints are each one's own.");
  });
  $("restore").addEventListener("click", guarded(() => restore(current)));
  $("all").addEventListener("click", guarded(async () => {
    const left = images.filter(({ reading, job, stale }) =>
      !reading && (stale || !["waiting", "running", "done"].includes(job?.state)));
    for (const image of left) await restore(image);
  }));
}

async function loadHints(file) {
  let rows;
  try {
    rows = JSON.parse(await file.text());
  } catch {
    throw new Error(`${file.name}: not valid JSON`);
  }
  const good = ({ x, y, colour } = {}) => x >= 0 && x < current.width && y >= 0 && y < current.height
    && typeof colour === "string";
  if (!Array.isArray(rows) || !rows.every((row) => row && good(row))) {
    throw new Error(`${file.name}: must be a list of {"x": 120, "y": 80, "colour": "#8a1c22"}, all inside the image`);
  }
  current.hints = rows.map(({ x, y, colour }) => ({ x, y, colour }));
  guarded(edit)(null);
  changed();
}

async function start() {
  about = await begin();
  const kinds = about.suffixes.join(", ");
  $("files").accept = $("reference-file").accept = kinds;
  $("limits").textContent = `PNG, JPEG, WebP, TIFF, BMP and GIF, 8 or 16 bits, up to ${about.max_megabytes} MB and 150 `
    + `megapixels. Nothing is sent anywhere or kept: closing this page removes everything. Network: ${about.model}.`;
  const range = about.scales ? [0, about.scales.length - 1, 1] : [about.smallest, about.largest, 0.1];
  [$("scale").min, $("scale").max, $("scale").step] = range;
  $("vividness").max = about.max_vividness;
  $("restoration").parentElement.hidden = $("restoration-help").hidden = about.restoration === null;
  $("reference-row").hidden = !about.reference;
  $("hints").hidden = $("keys").hidden = !about.hints;
  arrange();
  poll();
}

wire(); // before the server has answered: a photograph may come first
const ready = start();
guarded(() => ready)();
