// What it takes to play a piece: buttons and sliders, and keys on the roll.

/**
 * An element with text and attributes; text is never taken for markup.
 * @param {string} name
 * @param {string} text
 * @param {Record<string, string>} attributes
 */
function make(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/**
 * @param {string} text
 * @param {string} label
 * @param {() => void} action
 */
function button(text, label, action) {
  const made = make("button", text, { type: "button", "aria-label": label });
  made.addEventListener("click", action);
  return made;
}

/**
 * @param {string} text
 * @param {{min: number, max: number, step: number, value: number}} range
 * @param {(value: number) => void} action
 */
function slider(text, range, action) {
  const label = make("label", text);
  const input = /** @type {HTMLInputElement} */ (make("input", "", { type: "range" }));
  input.min = String(range.min);
  input.max = String(range.max);
  input.step = String(range.step);
  input.value = String(range.value);
  input.addEventListener("input", () => action(Number(input.value)));
  label.append(input);
  return { label, input };
}

/**
 * Let the browser save something as a file.
 * @param {Blob} blob
 * @param {string} name
 */
function offer(blob, name) {
  const url = URL.createObjectURL(blob);
  make("a", "", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

class PieceView {
  /**
   * @param {HTMLElement} article
   * @param {Piece} piece
   */
  constructor(article, piece) {
    this.piece = piece;
    this.player = new Player(piece);
    this.shown = 0;
    this.frame = 0;
    this.box = /** @type {HTMLElement} */ (article.querySelector(".roll"));
    this.controls = /** @type {HTMLElement} */ (article.querySelector(".controls"));
    this.play = button("Play", "", () => this.player.toggle());
    this.time = make("span", "", { class: "clock" });
    const range = { min: 0, max: Math.max(this.player.seconds, 0.1), step: 0.01, value: 0 };
    this.seek = slider("", range, (value) => this.player.seek(value));
    this.addControls();
    this.switches = this.addParts();
    this.addSave(/** @type {HTMLElement} */ (article.querySelector(".files")));
    this.roll = new Roll(this.box, this.player);
    this.makeReachable();
    this.player.changed = () => this.update();
    this.update();
  }

  addControls() {
    const { player, piece } = this;
    const title = piece.title;
    this.play.classList.add("play");
    this.seek.label.classList.add("seek");
    this.seek.input.setAttribute("aria-label", `Position in ${title}`);
    const tempo = slider("Tempo 100 %", { min: 25, max: 200, step: 5, value: 100 }, (value) => {
      /** @type {Text} */ (tempo.label.firstChild).data = `Tempo ${value} %`;
      player.setTempo(value / 100);
    });
    const volume = slider("Volume", { min: 0, max: 100, step: 5, value: 80 }, (value) => {
      player.setVolume(value / 100);
    });
    this.controls.append(
      ...[this.play, this.time, this.seek.label, tempo.label, volume.label],
      button("−", `Zoom out of ${title}`, () => this.roll.zoomBy(1 / 1.5)),
      button("+", `Zoom into ${title}`, () => this.roll.zoomBy(1.5)),
      button("Fit", `Show all of ${title}`, () => this.roll.fit()),
    );
  }

  addParts() {
    const list = make("ul", "", { class: "parts" });
    const switches = this.piece.parts.map((part, index) => {
      const item = make("li");
      const mute = button("Mute", `Mute ${part.name}`, () => this.player.toggleMute(index));
      const solo = button("Solo", `Solo ${part.name}`, () => this.player.toggleSolo(index));
      const swatch = make("span", "", { class: `swatch part-${index % COLOURS}` });
      item.append(swatch, make("span", part.name), mute, solo);
      list.append(item);
      return { mute, solo };
    });
    this.controls.after(list);
    return switches;
  }

  /** @param {HTMLElement} files */
  addSave(files) {
    const save = button("Save as sound", `Save ${this.piece.title} as a sound file`, async () => {
      save.setAttribute("disabled", "");
      offer(waveFile(await this.player.render()), `${this.piece.title}.wav`);
      save.removeAttribute("disabled");
    });
    files.append(save);
  }

  makeReachable() {
    const attributes = {
      tabindex: "0",
      role: "slider",
      "aria-label": `Piano-roll of ${this.piece.title}`,
      "aria-valuemin": "0",
      "aria-valuemax": this.player.seconds.toFixed(1),
    };
    for (const [key, value] of Object.entries(attributes)) this.box.setAttribute(key, value);
    this.box.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const { player, roll } = this;
    /** @type {Record<string, () => void>} */
    const actions = {
      " ": () => player.toggle(),
      Enter: () => player.toggle(),
      ArrowLeft: () => player.seek(this.barFrom(-1)),
      ArrowRight: () => player.seek(this.barFrom(1)),
      PageUp: () => player.seek(this.barFrom(-4)),
      PageDown: () => player.seek(this.barFrom(4)),
      Home: () => player.seek(0),
      End: () => player.seek(player.seconds),
      "+": () => roll.zoomBy(1.5),
      "-": () => roll.zoomBy(1 / 1.5),
      0: () => roll.fit(),
    };
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  }

  /** The bar that is played, from 0. */
  get bar() {
    // A little ahead, so that the beginning of a bar is in it despite rounding.
    const now = this.player.position * 1000 + 20;
    const after = this.piece.bars.findIndex((time) => time > now);
    return (after < 0 ? this.piece.bars.length : after) - 1;
  }

  /** Where a bar begins, counted from the present one. @param {number} bars */
  barFrom(bars) {
    const start = this.piece.bars[Math.max(this.bar, 0)] ?? 0;
    const within = this.player.position * 1000 - start;
    // Back from amid a bar goes to its own beginning first.
    const wanted = this.bar + bars + (bars < 0 && within > 300 ? 1 : 0);
    return (this.piece.bars[Math.max(wanted, 0)] ?? this.piece.length) / 1000;
  }

  update() {
    const { player } = this;
    const text = `${clock(player.position)} of ${clock(player.seconds)}`;
    this.play.textContent = player.on ? "Pause" : "Play";
    this.play.setAttribute("aria-label", `${player.on ? "Pause" : "Play"} ${this.piece.title}`);
    this.switches.forEach(({ mute, solo }, part) => {
      mute.setAttribute("aria-pressed", String(player.muted[part]));
      solo.setAttribute("aria-pressed", String(player.solo[part]));
    });
    this.time.textContent = text;
    this.seek.input.value = String(player.position);
    this.seek.input.setAttribute("aria-valuetext", text);
    this.box.setAttribute("aria-valuenow", player.position.toFixed(1));
    this.box.setAttribute("aria-valuetext", `${text}, bar ${this.bar + 1}`);
    if (player.position !== this.shown) this.roll.follow();
    this.shown = player.position;
    this.roll.draw();
    cancelAnimationFrame(this.frame);
    if (player.on) this.frame = requestAnimationFrame(() => this.update());
  }
}
