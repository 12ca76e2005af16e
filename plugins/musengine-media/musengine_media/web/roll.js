// The piano-roll: drawn on a canvas of the width that is seen, within a box that scrolls.

const COLOURS = 8;
const BLACK_KEYS = [1, 3, 6, 8, 10];
/** Pixels: of the names of the octaves, of the numbers of the bars, of a drum's row. */
const NAMES = 34;
const RULER = 18;
const DRUM_ROW = 8;
const LANE_GAP = 6;
/** Pixels a canvas is high beside the drums, and a row of it at least and at most. */
const HEIGHT = 230;
const ROWS = [3, 9];
/** Pixels to a second at first: longer pieces are wider than the box. */
const LEAST_SCALE = 14;

/** Minutes and seconds as `1:05`. @param {number} seconds */
function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

class Roll {
  /**
   * @param {HTMLElement} box
   * @param {Player} player
   */
  constructor(box, player) {
    this.box = box;
    this.player = player;
    this.piece = player.piece;
    this.zoom = 1;
    this.width = box.clientWidth;
    /** @type {Record<string, string>} By the names that the style has, with those of the parts. */
    this.colours = {};
    const pitched = player.notes.filter((note) => !this.piece.parts[note.part].drum);
    this.low = pitched.length ? pitched.reduce((low, note) => Math.min(low, note.pitch), 127) - 2 : 48;
    this.high = pitched.length ? pitched.reduce((high, note) => Math.max(high, note.pitch), 0) + 2 : 72;
    while (this.high - this.low < 23) {
      this.low--;
      this.high++;
    }
    const drums = player.notes.filter((note) => this.piece.parts[note.part].drum);
    this.drums = [...new Set(drums.map((note) => note.pitch))].sort((one, other) => one - other);
    const rows = this.high - this.low + 1;
    this.row = Math.max(ROWS[0], Math.min(ROWS[1], HEIGHT / rows));
    this.lane = RULER + rows * this.row + (this.drums.length ? LANE_GAP : 0);
    this.height = Math.ceil(this.lane + this.drums.length * DRUM_ROW);
    this.longest = player.notes.reduce((longest, note) => Math.max(longest, note.length), 0);
    this.canvas = document.createElement("canvas");
    this.spacer = document.createElement("div");
    this.spacer.append(this.canvas);
    box.append(this.spacer);
    box.classList.add("live");
    box.addEventListener("scroll", () => this.draw(), { passive: true });
    box.addEventListener("click", (event) => {
      const left = event.clientX - box.getBoundingClientRect().left;
      player.seek(this.secondsAt(left + box.scrollLeft));
    });
    box.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.begin();
    new ResizeObserver(() => this.resize()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.resize());
  }

  /** Pixels to a second. */
  get scale() {
    return ((this.width - NAMES - 4) / Math.max(this.player.seconds, 0.001)) * this.zoom;
  }

  /** @param {number} x pixels from the left end of what scrolls */
  secondsAt(x) {
    return (x - NAMES) / this.scale;
  }

  resize() {
    this.width = this.box.clientWidth;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    const style = getComputedStyle(document.documentElement);
    const parts = Array.from({ length: COLOURS }, (_, index) => `part-${index}`);
    for (const name of ["paper", "ink", "soft", "line", "row", "prompt", "cursor", ...parts]) {
      this.colours[name] = style.getPropertyValue(`--${name}`).trim();
    }
    this.stretch();
    this.draw();
  }

  /** Show as much at first as can be told apart. */
  begin() {
    const scale = (this.box.clientWidth - NAMES) / Math.max(this.player.seconds, 0.001);
    this.zoom = Math.max(1, LEAST_SCALE / scale);
  }

  stretch() {
    this.spacer.style.width = `${Math.ceil(NAMES + this.player.seconds * this.scale + 4)}px`;
  }

  /**
   * Show more or less at once, what is at a place staying there.
   * @param {number} factor
   * @param {number} [x] pixels from the left of what is seen
   */
  zoomBy(factor, x = this.width / 2) {
    const kept = this.secondsAt(this.box.scrollLeft + x);
    this.zoom = Math.max(1, Math.min(this.zoom * factor, Math.max(1, this.player.seconds)));
    this.stretch();
    this.box.scrollLeft = kept * this.scale + NAMES - x;
    this.draw();
  }

  fit() {
    this.zoomBy(0);
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.clientX - this.box.getBoundingClientRect().left);
  }

  /** Bring the cursor into sight where it has left it. */
  follow() {
    const x = NAMES + this.player.position * this.scale - this.box.scrollLeft;
    if (x < NAMES || x > this.width * 0.92) this.box.scrollLeft += x - this.width * 0.15;
  }

  draw() {
    const pen = this.canvas.getContext("2d");
    if (!pen) return;
    const ratio = window.devicePixelRatio || 1;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = this.colours.paper;
    pen.fillRect(0, 0, this.width, this.height);
    const left = this.box.scrollLeft - NAMES;
    const first = Math.max(left / this.scale, 0);
    const last = (left + this.width) / this.scale;
    const x = (/** @type {number} */ seconds) => seconds * this.scale - left;
    this.drawGround(pen, x);
    this.drawBars(pen, x, first, last);
    this.drawNotes(pen, x, first, last);
    this.drawNames(pen);
    const cursor = x(this.player.position);
    pen.fillStyle = this.colours.cursor;
    if (cursor >= NAMES - 2) pen.fillRect(cursor - 1, 0, 2, this.height);
  }

  /** @param {CanvasRenderingContext2D} pen @param {(seconds: number) => number} x */
  drawGround(pen, x) {
    pen.fillStyle = this.colours.row;
    for (let pitch = this.low; pitch <= this.high; pitch++) {
      if (BLACK_KEYS.includes(pitch % 12)) pen.fillRect(0, this.top(pitch), this.width, this.row);
    }
    if (this.piece.prompt) {
      pen.fillStyle = this.colours.prompt;
      pen.globalAlpha = 0.65;
      pen.fillRect(x(0), RULER, x(this.piece.prompt / 1000) - x(0), this.height);
      pen.globalAlpha = 1;
    }
    pen.fillStyle = this.colours.line;
    for (let pitch = Math.ceil(this.low / 12) * 12; pitch <= this.high; pitch += 12) {
      pen.fillRect(0, this.top(pitch) + this.row, this.width, 0.5);
    }
    if (this.drums.length) pen.fillRect(0, this.lane - LANE_GAP / 2, this.width, 1);
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {(seconds: number) => number} x
   * @param {number} first
   * @param {number} last
   */
  drawBars(pen, x, first, last) {
    const bars = this.piece.bars;
    const width = (this.player.seconds * this.scale) / Math.max(bars.length, 1);
    const every = Math.max(1, 2 ** Math.ceil(Math.log2(34 / width)));
    bars.forEach((time, index) => {
      const seconds = time / 1000;
      if (seconds < first - 1 || seconds > last || (width < 5 && index % every)) return;
      pen.fillStyle = this.colours.line;
      pen.fillRect(x(seconds), RULER, 1, this.height);
      if (index % every) return;
      pen.fillStyle = this.colours.soft;
      pen.fillText(String(index + 1), x(seconds) + 3, RULER - 6);
    });
    if (this.piece.prompt) {
      pen.fillStyle = this.colours.ink;
      pen.fillText("prompt", x(0) + 4, RULER + 12);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {(seconds: number) => number} x
   * @param {number} first
   * @param {number} last
   */
  drawNotes(pen, x, first, last) {
    const { notes, position, on } = this.player;
    for (let at = this.indexAt(first - this.longest); at < notes.length; at++) {
      const note = notes[at];
      if (note.start > last) break;
      const end = note.start + note.length;
      if (end < first) continue;
      const drum = this.piece.parts[note.part].drum;
      const left = x(note.start);
      const width = Math.max(note.length * this.scale - 0.6, drum ? 3 : 1.2);
      const top = drum ? this.lane + this.drums.indexOf(note.pitch) * DRUM_ROW : this.top(note.pitch);
      const high = (drum ? DRUM_ROW : this.row) - 0.8;
      pen.globalAlpha = this.player.heard(note.part) ? 1 : 0.25;
      pen.fillStyle = this.colours[`part-${note.part % COLOURS}`];
      pen.fillRect(left, top, drum ? Math.min(width, 6) : width, high);
      if (on && note.start <= position && position < end) {
        pen.strokeStyle = this.colours.ink;
        pen.lineWidth = 1.5;
        pen.strokeRect(left, top, drum ? Math.min(width, 6) : width, high);
      }
    }
    pen.globalAlpha = 1;
  }

  /** @param {CanvasRenderingContext2D} pen */
  drawNames(pen) {
    pen.fillStyle = this.colours.paper;
    pen.fillRect(0, 0, NAMES - 2, this.height);
    pen.fillStyle = this.colours.soft;
    for (let pitch = Math.ceil(this.low / 12) * 12; pitch <= this.high; pitch += 12) {
      pen.fillText(`C${pitch / 12 - 1}`, 6, this.top(pitch) + this.row);
    }
    if (this.drums.length) pen.fillText("drum", 3, this.lane + DRUM_ROW);
    pen.fillText("bar", 6, RULER - 6);
  }

  /** @param {number} pitch */
  top(pitch) {
    return RULER + (this.high - pitch) * this.row;
  }

  /**
   * The first note that begins at a time or later.
   * @param {number} seconds
   */
  indexAt(seconds) {
    const notes = this.player.notes;
    let low = 0;
    let high = notes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (notes[middle].start < seconds) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
