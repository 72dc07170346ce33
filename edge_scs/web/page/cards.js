// The photographs of this page and how far each is: a card for each.

import { at } from "./server.js";

const make = (tag, className = "", text = "") =>
  Object.assign(document.createElement(tag), { className, textContent: text });

export function duration(seconds) {
  if (seconds < 90) return `about ${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `about ${Math.round(seconds / 60)} min` : `about ${(seconds / 3600).toFixed(1)} h`;
}

function described({ job, reading, stale }) {
  if (reading) return "reading …";
  if (!job) return "not restored yet";
  if (job.state === "waiting") return job.place ? `waiting, ${job.place} before it` : "waiting";
  if (job.state === "running") {
    const left = job.share > 0 && job.seconds !== null ? `, ${duration(job.seconds)} left` : "";
    return `${Math.round(job.share * 100)} %${left}`;
  }
  if (job.state === "failed") return job.message;
  if (job.state === "cancelled") return "cancelled";
  return stale ? "restored, with other settings than now" : `restored, ${job.width} × ${job.height}`;
}

/** on.pick, on.cancel, on.remove: what the user does with an image. */
export class Card {
  constructor(image, on) {
    this.image = image;
    this.element = make("li", "card");
    this.pick = make("button", "pick");
    this.pick.type = "button";
    this.thumb = make("img");
    this.thumb.alt = "";
    const text = make("span");
    this.facts = make("span", "facts");
    this.state = make("span", "state");
    text.append(make("span", "name", image.name), this.facts, this.state);
    this.pick.append(this.thumb, text);
    this.pick.addEventListener("click", () => on.pick(image));
    this.bar = make("progress");
    this.bar.max = 1;
    this.bar.setAttribute("aria-label", `Progress of ${image.name}`);
    this.download = make("a", "download", "Download");
    this.download.download = ""; // under the name that the server gives
    this.download.addEventListener("click", () => { image.saved = image.job.file; });
    this.download.setAttribute("aria-label", `Download the restored ${image.name}`);
    this.cancel = this.button("Cancel", () => on.cancel(image));
    this.remove = this.button("×", () => on.remove(image));
    this.remove.classList.add("remove");
    this.remove.setAttribute("aria-label", `Remove ${image.name}`);
    this.actions = make("p", "actions");
    this.actions.append(this.download, this.cancel);
    this.element.append(this.pick, this.remove, this.bar, this.actions);
  }

  button(text, act) {
    const button = make("button", "quiet", text);
    button.type = "button";
    button.setAttribute("aria-label", `${text} ${this.image.name}`);
    button.addEventListener("click", act);
    return button;
  }

  update(current) {
    const { image } = this;
    const state = image.reading ? "reading" : (image.job?.state ?? "new");
    this.element.className = `card ${state}${current ? " current" : ""}`;
    this.pick.disabled = image.reading;
    this.pick.setAttribute("aria-pressed", String(current));
    if (!image.reading && !this.thumb.src) {
      this.thumb.src = at(`images/${image.number}/view`);
      this.facts.textContent = `${image.width} × ${image.height}, ${image.bits} bits`;
    }
    const text = described(image);
    if (this.state.textContent !== text) this.state.textContent = text;
    this.bar.hidden = state !== "running" && state !== "waiting" && state !== "reading";
    if (state === "running") this.bar.value = image.job.share;
    else this.bar.removeAttribute("value");
    this.download.hidden = state !== "done";
    if (state === "done") this.download.href = at(`images/${image.number}/result`);
    this.cancel.hidden = state !== "running" && state !== "waiting";
    this.actions.hidden = this.download.hidden && this.cancel.hidden;
    this.remove.hidden = image.reading || !this.cancel.hidden;
  }
}
