// What stands on the right side: colours at once, detail when nothing has changed for a moment, or the finished file.

import { body, isStale } from "./choices.js";
import { at, call } from "./server.js";

const $ = (id) => document.getElementById(id);
const [COLOURS_AFTER, DETAIL_AFTER] = [80, 350]; // ms

export class Previews {
  /** guarded: wraps a function so that its errors become messages. */
  constructor(viewer, guarded) {
    Object.assign(this, { viewer, guarded, timers: [], asked: null });
  }

  /** Nothing that has been requested is shown any more. */
  stop() {
    this.timers.forEach(clearTimeout);
    this.asked?.abort();
  }

  /** The finished file, if it was made with the settings of now; else a preview. */
  async show(image) {
    this.stop();
    const { signal } = this.asked = new AbortController();
    image.stale = isStale(image);
    if (image.job?.state !== "done" || image.stale) return this.follow(image, signal);
    this.busy("result …");
    const answer = await call("GET", at(`images/${image.number}/result/view`), undefined, { signal });
    return this.present(image, answer, "Result", signal);
  }

  follow(image, signal) {
    const fetched = async (kind, label) => {
      const path = at(`images/${image.number}/preview?kind=${kind}`);
      const answer = await call("POST", path, body(image), { signal });
      if (answer.status !== 204) await this.present(image, answer, label, signal);
    };
    const detail = async () => {
      try {
        await fetched("detail", "Preview");
      } finally {
        if (!signal.aborted) $("what").classList.remove("busy");
      }
    };
    this.busy("colours …");
    this.timers = [
      setTimeout(this.guarded(() => fetched("colours", "detail follows …")), COLOURS_AFTER),
      setTimeout(this.guarded(detail), DETAIL_AFTER),
    ];
  }

  busy(text) {
    $("what").textContent = text;
    $("what").classList.add("busy");
  }

  /** Show an answer once it is decoded, so that nothing flickers. */
  async present(image, answer, label, signal) {
    const url = URL.createObjectURL(await answer.blob());
    const probe = new Image();
    probe.src = url;
    await probe.decode();
    if (signal.aborted) {
      URL.revokeObjectURL(url);
      return;
    }
    const old = $("after").src;
    this.viewer.after(url);
    if (old.startsWith("blob:")) URL.revokeObjectURL(old);
    $("what").textContent = label;
    $("what").classList.toggle("busy", label.endsWith("…"));
    this.caption(image, label);
  }

  caption(image, label = "") {
    const size = label === "Result" ? "The finished result." : image.shown_width === image.width ? "" :
      `Preview of a smaller copy, ${image.shown_width} pixels wide: its colours are close to the result's, its detail `
      + "is not.";
    $("caption").textContent = [size, ...image.notes.map((note) => `${note}.`)].join(" ");
  }
}
