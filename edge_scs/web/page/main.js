// The page: photographs, what is chosen for each, previews that follow, and the queue.

import { Card } from "./cards.js";
import { body, fresh, isStale, readHints, saveHints, settingsOf } from "./choices.js";
import { Editor, words } from "./colours.js";
import { command } from "./command.js";
import { showList } from "./list.js";
import { Previews } from "./previews.js";
import { at, begin, call, state, upload } from "./server.js";
import { Viewer } from "./viewer.js";

const $ = (id) => document.getElementById(id);
const [POLL, IDLE] = [500, 60_000]; // ms

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

const previews = new Previews(viewer, guarded);

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
  showList(hints, { pick: guarded((hint) => edit(hint, true)), drop });
}

function changed() {
  fill();
  showHints();
  guarded(() => previews.show(current))();
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
  previews.caption(image);
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
    image.choices = { ...(current?.choices ?? fresh(about)), reference: current?.choices.reference ?? null };
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

function forget(image) {
  images.splice(images.indexOf(image), 1);
  image.card.element.remove();
  if (current === image) {
    previews.stop();
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
  Object.assign(image, { stale: false, saved: null });
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
        if (image === current) guarded(() => previews.show(image))();
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

/** Whether leaving the page would lose a file that nobody has downloaded, or one that is being made. */
const unsaved = () => images.some(({ job, saved }) =>
  ["waiting", "running"].includes(job?.state) || (job?.state === "done" && saved !== job.file));

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
  addEventListener("beforeunload", (event) => unsaved() && event.preventDefault());
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
    if (!file) return;
    current.hints = await readHints(file, current);
    guarded(edit)(null);
    changed();
  }));
  $("save").addEventListener("click", () => saveHints(current));
  $("clear").addEventListener("click", () => {
    current.hints = [];
    guarded(edit)(null);
    changed();
  });
  $("same").addEventListener("click", () => {
    for (const image of images) {
      image.choices = { ...current.choices };
      image.referenceName = current.referenceName;
      image.stale = isStale(image);
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
