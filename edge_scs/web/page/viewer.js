// The photograph before and after: one line between them, zoom, and hints as points that can be moved.

const $ = (id) => document.getElementById(id);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const CLICK = 5; // CSS pixels that a click may move

export class Viewer {
  /** place(x, y), pick(hint), move(hint, x, y), drop(hint): what the user does, in pixels of the photograph. */
  constructor(on) {
    Object.assign(this, { on, width: 1, height: 1, zoom: 1, x: 0.5, y: 0.5, hints: [], chosen: null, cross: null });
    this.stage = $("stage");
    this.pointers = new Map();
    new ResizeObserver(() => this.layout()).observe(this.stage);
    $("split").addEventListener("input", () => this.layout());
    $("in").addEventListener("click", () => this.scaleBy(1.5));
    $("out").addEventListener("click", () => this.scaleBy(1 / 1.5));
    $("fit").addEventListener("click", () => this.fit());
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
      this.stage.addEventListener(name, (event) => this[name](event));
    }
    this.stage.addEventListener("blur", () => { this.cross = null; this.layout(); });
    this.dragSplit();
  }

  /** Another photograph of width x height pixels. */
  open(width, height, before) {
    Object.assign(this, { width, height, cross: null });
    $("before").src = before;
    this.after("");
    this.stage.style.setProperty("--ratio", clamp(height / width, 0.4, 1.4));
    this.fit();
  }

  after(url) {
    $("after").hidden = !url;
    if (url) $("after").src = url;
  }

  show(hints, chosen) {
    Object.assign(this, { hints, chosen });
    const box = $("markers");
    const focused = box.contains(document.activeElement) ? [...box.children].indexOf(document.activeElement) : -1;
    box.replaceChildren(...hints.map((hint, index) => this.marker(hint, index)));
    if (focused >= 0 && box.children[focused]) box.children[focused].focus();
    this.layout();
  }

  fit() {
    Object.assign(this, { zoom: 1, x: 0.5, y: 0.5 });
    this.layout();
  }

  /** Zoom around a point of the stage, in CSS pixels; its middle by default. */
  scaleBy(factor, px = this.stage.clientWidth / 2, py = this.stage.clientHeight / 2) {
    const [x, y] = this.toImage(px, py);
    this.zoom = clamp(this.zoom * factor, 1, Math.max(4, 8 / this.base()));
    this.keep(x, y, px, py);
  }

  /** Pan so that the image's pixel (x, y) lies at (px, py) of the stage. */
  keep(x, y, px, py) {
    const scale = this.base() * this.zoom;
    this.x = (x + (this.stage.clientWidth / 2 - px) / scale) / this.width;
    this.y = (y + (this.stage.clientHeight / 2 - py) / scale) / this.height;
    this.layout();
  }

  base() {
    return Math.min(this.stage.clientWidth / this.width, this.stage.clientHeight / this.height) || 1;
  }

  layout() {
    const { clientWidth: w, clientHeight: h } = this.stage;
    const scale = this.base() * this.zoom;
    const [wide, high] = [this.width * scale, this.height * scale];
    const margin = (size, full) => (full <= size ? 0.5 : clamp(0.5, size / 2 / full, 1 - size / 2 / full));
    this.x = wide <= w ? margin(w, wide) : clamp(this.x, w / 2 / wide, 1 - w / 2 / wide);
    this.y = high <= h ? margin(h, high) : clamp(this.y, h / 2 / high, 1 - h / 2 / high);
    this.left = w / 2 - this.x * wide;
    this.top = h / 2 - this.y * high;
    this.scale = scale;
    const world = $("world").style;
    world.width = `${wide}px`;
    world.height = `${high}px`;
    world.transform = `translate(${this.left}px, ${this.top}px)`;
    const at = ($("split").value / 100) * w;
    $("line").style.left = `${at}px`;
    $("after").style.clipPath = `inset(0 0 0 ${clamp(((at - this.left) / wide) * 100, 0, 100)}%)`;
    $("factor").value = `${Math.round(this.zoom * 100)} %`;
    this.stage.classList.toggle("zoomed", this.zoom > 1);
    [...$("markers").children].forEach((marker, index) => this.put(marker, this.hints[index]));
    $("cross").hidden = !this.cross;
    if (this.cross) this.put($("cross"), this.cross);
  }

  put(element, { x, y }) {
    const [px, py] = [this.left + (x + 0.5) * this.scale, this.top + (y + 0.5) * this.scale];
    element.style.left = `${px}px`;
    element.style.top = `${py}px`;
    element.style.visibility =
      px < 0 || py < 0 || px > this.stage.clientWidth || py > this.stage.clientHeight ? "hidden" : "";
  }

  /** A point of the stage -> pixels of the photograph, decimals included. */
  toImage(px, py) {
    return [(px - this.left) / this.scale, (py - this.top) / this.scale];
  }

  inside(event) {
    const box = this.stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** The pixel under a point of the stage, or null beside the photograph. */
  pixel(px, py) {
    const [x, y] = this.toImage(px, py).map(Math.floor);
    return x >= 0 && y >= 0 && x < this.width && y < this.height ? [x, y] : null;
  }

  wheel(event) {
    event.preventDefault();
    this.scaleBy(Math.exp(-clamp(event.deltaY, -100, 100) / 300), ...this.inside(event));
  }

  pointerdown(event) {
    if (event.button || event.target.closest("#line, .marker")) return;
    this.pointers.set(event.pointerId, this.inside(event));
    this.stage.setPointerCapture(event.pointerId);
    this.start = { at: this.inside(event), moved: this.pointers.size > 1 };
  }

  pointermove(event) {
    if (!this.pointers.has(event.pointerId)) return;
    const [before, now] = [this.pointers.get(event.pointerId), this.inside(event)];
    if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
      this.scaleBy(distance(now, other) / distance(before, other), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else if (Math.hypot(now[0] - this.start.at[0], now[1] - this.start.at[1]) > CLICK || this.start.moved) {
      this.start.moved = true;
      this.stage.classList.add("panning");
      this.keep(...this.toImage(...before), ...now);
    } else return;
    this.pointers.set(event.pointerId, now);
  }

  pointerup(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    this.stage.classList.remove("panning");
    const pixel = this.pixel(...this.inside(event));
    if (!this.start.moved && pixel) this.on.place(...pixel);
  }

  pointercancel(event) {
    this.pointers.delete(event.pointerId);
    this.stage.classList.remove("panning");
  }

  key(event) {
    if (event.target !== this.stage || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = Math.max(1, Math.round(Math.min(this.width, this.height) / (event.shiftKey ? 10 : 50)));
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.key in moves) {
      const from = this.cross || { x: Math.floor(this.width * this.x), y: Math.floor(this.height * this.y) };
      this.cross = this.moved(from, moves[event.key]);
      if (this.zoom > 1) this.keep(this.cross.x, this.cross.y, this.stage.clientWidth / 2, this.stage.clientHeight / 2);
      this.on.say(`Pixel ${this.cross.x}, ${this.cross.y}`);
      this.layout();
    } else if (event.key === "Enter" && this.cross) this.on.place(this.cross.x, this.cross.y, true);
    else if (event.key === "+" || event.key === "=") this.scaleBy(1.5);
    else if (event.key === "-") this.scaleBy(1 / 1.5);
    else if (event.key === "0") this.fit();
    else return;
    event.preventDefault();
  }

  moved({ x, y }, [right, down]) {
    return { x: clamp(x + right, 0, this.width - 1), y: clamp(y + down, 0, this.height - 1) };
  }

  marker(hint, index) {
    const marker = document.createElement("button");
    marker.type = "button";
    marker.className = `marker${hint === this.chosen ? " current" : ""}${hint.colour ? "" : " empty"}`;
    if (hint.colour) marker.style.background = hint.colour === "neutral" ? "#8a8a8a" : hint.colour;
    marker.setAttribute("aria-label", `Hint ${index + 1} at ${hint.x}, ${hint.y}: ${hint.colour || "no colour yet"}`);
    let drag = null;
    marker.addEventListener("pointerdown", (event) => {
      marker.setPointerCapture(event.pointerId);
      drag = { from: this.inside(event), moved: false };
    });
    marker.addEventListener("pointermove", (event) => {
      if (!drag) return;
      const now = this.inside(event);
      drag.moved ||= Math.hypot(now[0] - drag.from[0], now[1] - drag.from[1]) > CLICK;
      const pixel = this.pixel(...now);
      if (drag.moved && pixel) {
        [hint.x, hint.y] = pixel;
        this.put(marker, hint);
      }
    });
    marker.addEventListener("pointerup", () => {
      if (drag?.moved) this.on.move(hint, hint.x, hint.y);
      drag = null;
    });
    marker.addEventListener("click", () => this.on.pick(hint));
    marker.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 10 : 1;
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      if (event.key in moves) {
        const to = this.moved(hint, moves[event.key]);
        this.on.move(hint, to.x, to.y);
      } else if (event.key === "Delete" || event.key === "Backspace") this.on.drop(hint);
      else return;
      event.preventDefault();
    });
    return marker;
  }

  dragSplit() {
    const line = $("line");
    let held = false;
    const follow = (event) => {
      if (!held) return;
      $("split").value = (this.inside(event)[0] / this.stage.clientWidth) * 100;
      this.layout();
    };
    line.addEventListener("pointerdown", (event) => {
      held = true;
      line.setPointerCapture(event.pointerId);
    });
    line.addEventListener("pointermove", follow);
    for (const name of ["pointerup", "pointercancel"]) line.addEventListener(name, () => { held = false; });
  }
}
