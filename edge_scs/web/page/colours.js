// Colours in words, and the editor of one hint: likely colours, any other, or grey.

import { at, call } from "./server.js";

const $ = (id) => document.getElementById(id);
const HUES = ["red", "orange", "yellow", "yellow-green", "green", "blue-green", "cyan", "sky blue", "blue", "violet",
  "magenta", "rose"];

/** "#8a1c22" -> "dark red": for those who hear the page instead of seeing it. */
export function words(colour) {
  if (!/^#[0-9a-f]{6}$/i.test(colour)) return colour;
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16) / 255);
  const [high, low] = [Math.max(r, g, b), Math.min(r, g, b)];
  const light = (high + low) / 2;
  const shade = light < 0.3 ? "dark " : light > 0.7 ? "light " : "";
  if (high - low < 0.06) return `${shade}grey`;
  const turn = high === r ? (g - b) / (high - low) : high === g ? 2 + (b - r) / (high - low) : 4 + (r - g) / (high - low);
  const hue = HUES[Math.round(((turn + 6) % 6) * 2) % 12];
  if (hue === "orange" && high - low < 0.35) return light > 0.6 ? "beige" : `${shade}brown`;
  if (hue === "orange" && light < 0.4) return "brown";
  return `${shade}${high - low < 0.2 ? "greyish " : ""}${hue}`;
}

export class Editor {
  /** choose(hint, colour), drop(hint), close(): what the user does. */
  constructor(on) {
    Object.assign(this, { on, hint: null, asked: 0 });
    $("own").addEventListener("input", () => this.choose($("own").value));
    $("neutral").addEventListener("click", () => this.choose("neutral"));
    $("remove").addEventListener("click", () => this.on.drop(this.hint));
    $("close").addEventListener("click", () => this.on.close());
    $("editor").addEventListener("keydown", (event) => event.key === "Escape" && this.on.close());
  }

  /** Edit a hint of an image, or none; settings() are what likely colours depend on. */
  async open(hint, image, settings, focus) {
    this.hint = hint;
    $("editor").hidden = !hint;
    if (!hint) return;
    $("place").textContent = `at ${hint.x}, ${hint.y}`;
    if (/^#/.test(hint.colour || "")) $("own").value = hint.colour;
    $("swatches").replaceChildren();
    this.mark();
    const number = ++this.asked;
    const path = at(`images/${image.number}/colours?x=${hint.x}&y=${hint.y}`);
    const { colours } = await (await call("POST", path, settings())).json();
    if (number !== this.asked || this.hint !== hint) return;
    $("swatches").replaceChildren(...colours.map((colour) => this.swatch(colour)));
    this.mark();
    if (focus) ($("swatches").firstChild || $("own")).focus();
  }

  swatch(colour) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "swatch";
    button.dataset.colour = colour;
    button.style.background = colour;
    button.title = `${words(colour)}, ${colour}`;
    button.setAttribute("aria-label", button.title);
    button.addEventListener("click", () => this.choose(colour));
    return button;
  }

  choose(colour) {
    if (!this.hint) return;
    this.on.choose(this.hint, colour);
    this.mark();
  }

  mark() {
    for (const button of [...$("swatches").children, $("neutral")]) {
      button.setAttribute("aria-pressed", String((button.dataset.colour || "neutral") === this.hint.colour));
    }
  }
}
