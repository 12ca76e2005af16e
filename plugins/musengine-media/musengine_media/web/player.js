// Playing a piece: a clock, the notes that are due, and what each part's gain is.

/**
 * @typedef {object} Part As the page's data has it, times in milliseconds.
 * @property {string} name
 * @property {number} program
 * @property {boolean} drum
 * @property {number[]} on from each onset to the next
 * @property {number[]} len
 * @property {number[]} [ring] how long notes are heard, where a pedal holds them
 * @property {number[]} pitch
 * @property {number[]} vel
 */

/**
 * @typedef {object} Piece
 * @property {string} title
 * @property {number} length milliseconds
 * @property {number} prompt milliseconds
 * @property {number[]} bars milliseconds
 * @property {Part[]} parts
 */

/** Seconds ahead for which notes are handed to the browser: timers of hidden pages are slow. */
const AHEAD = 0.3;
const AHEAD_HIDDEN = 2.5;
/** Seconds that the last notes get to die away in a sound file. */
const TAIL = 1.5;
const RATE = 44100;

/** @type {AudioContext | undefined} */
let speaker;
/** @type {Player | undefined} The one that plays: there is never more than one. */
let playing;

/**
 * The notes of a piece by their beginning.
 * @param {Piece} piece
 * @returns {Note[]}
 */
function notesOf(piece) {
  /** @type {Note[]} */
  const notes = [];
  piece.parts.forEach((part, index) => {
    let start = 0;
    part.on.forEach((gap, at) => {
      start += gap;
      notes.push({
        start: start / 1000,
        length: part.len[at] / 1000,
        heard: (part.ring ?? part.len)[at] / 1000,
        pitch: part.pitch[at],
        velocity: part.vel[at],
        part: index,
      });
    });
  });
  return notes.sort((one, other) => one.start - other.start);
}

/**
 * What the parts are heard through, so that many at once do not overload.
 * @param {BaseAudioContext} context
 */
function mixer(context) {
  const limiter = context.createDynamicsCompressor();
  limiter.threshold.value = -12;
  limiter.ratio.value = 8;
  limiter.connect(context.destination);
  return limiter;
}

class Player {
  /** @param {Piece} piece */
  constructor(piece) {
    this.piece = piece;
    this.notes = notesOf(piece);
    this.seconds = piece.length / 1000;
    this.tempo = 1;
    this.volume = 0.8;
    this.muted = piece.parts.map(() => false);
    this.solo = piece.parts.map(() => false);
    /** Called whenever something changes that is to be seen. */
    this.changed = () => {};
    this.on = false;
    this.from = 0;
    this.begun = 0;
    this.next = 0;
    this.timer = 0;
    /** @type {GainNode[]} */
    this.gains = [];
    /** @type {Set<AudioScheduledSourceNode>} */
    this.sources = new Set();
  }

  /** Seconds from the beginning of the piece. */
  get position() {
    if (!this.on || !speaker) return this.from;
    const gone = Math.max(speaker.currentTime - this.begun, 0) * this.tempo;
    return Math.min(this.from + gone, this.seconds);
  }

  async play() {
    if (this.on) return;
    playing?.pause();
    // Browsers let a page sound from what a person does, so before anything is waited for.
    speaker ??= new AudioContext();
    speaker.resume();
    playing = this;
    if (this.from >= this.seconds - 0.01) this.from = 0;
    this.on = true;
    this.begun = Infinity;
    this.changed();
    await loadInstruments(this.piece.parts);
    if (this.on && this.begun === Infinity) {
      this.start();
      this.timer = window.setInterval(() => this.tick(), 60);
    }
  }

  pause() {
    if (!this.on) return;
    this.from = this.position;
    this.on = false;
    window.clearInterval(this.timer);
    this.silence();
    playing = undefined;
    this.changed();
  }

  toggle() {
    if (this.on) this.pause();
    else this.play();
  }

  /** @param {number} seconds */
  seek(seconds) {
    this.restart(() => {
      this.from = Math.min(Math.max(seconds, 0), this.seconds);
    });
  }

  /** @param {number} tempo times the piece's own */
  setTempo(tempo) {
    this.restart(() => {
      this.from = this.position;
      this.tempo = tempo;
    });
  }

  /** @param {number} volume 0 to 1 */
  setVolume(volume) {
    this.volume = volume;
    this.mix();
  }

  /** @param {number} part */
  toggleMute(part) {
    this.muted[part] = !this.muted[part];
    this.mix();
    this.changed();
  }

  /** @param {number} part */
  toggleSolo(part) {
    this.solo[part] = !this.solo[part];
    this.mix();
    this.changed();
  }

  /**
   * Whether a part is heard.
   * @param {number} part
   */
  heard(part) {
    return this.solo.some(Boolean) ? this.solo[part] : !this.muted[part];
  }

  /** @param {() => void} change */
  restart(change) {
    change();
    if (this.on && this.begun !== Infinity) {
      this.silence();
      this.start();
    }
    this.changed();
  }

  start() {
    const context = /** @type {AudioContext} */ (speaker);
    const out = mixer(context);
    this.gains = this.piece.parts.map((_, part) => {
      const gain = context.createGain();
      gain.gain.value = this.level(part);
      gain.connect(out);
      return gain;
    });
    this.begun = context.currentTime + 0.05;
    // Notes that sound already at this place begin anew.
    this.next = this.notes.findIndex((note) => note.start + note.heard > this.from + 0.05);
    if (this.next < 0) this.next = this.notes.length;
    this.tick();
  }

  tick() {
    const context = /** @type {AudioContext} */ (speaker);
    const ahead = document.hidden ? AHEAD_HIDDEN : AHEAD;
    const until = this.from + (context.currentTime - this.begun + ahead) * this.tempo;
    for (; this.next < this.notes.length && this.notes[this.next].start < until; this.next++) {
      const note = this.notes[this.next];
      const start = Math.max(note.start, this.from);
      const length = (note.start + note.heard - start) / this.tempo;
      if (length < 0.01) continue;
      const when = this.begun + (start - this.from) / this.tempo;
      const part = this.piece.parts[note.part];
      for (const source of sound(context, this.gains[note.part], part, note, when, length)) {
        this.sources.add(source);
        source.onended = () => this.sources.delete(source);
      }
    }
    if (this.position >= this.seconds) this.pause();
  }

  silence() {
    const context = /** @type {AudioContext} */ (speaker);
    for (const gain of this.gains) gain.gain.setTargetAtTime(0, context.currentTime, 0.015);
    for (const source of this.sources) source.stop(context.currentTime + 0.1);
    this.sources.clear();
  }

  mix() {
    this.gains.forEach((gain, part) => {
      gain.gain.setTargetAtTime(this.level(part), gain.context.currentTime, 0.02);
    });
  }

  /** @param {number} part */
  level(part) {
    return this.heard(part) ? this.volume ** 2 : 0;
  }

  /**
   * The sound of the whole piece, with the parts that are heard, at its tempo.
   * @returns {Promise<AudioBuffer>}
   */
  async render() {
    await loadInstruments(this.piece.parts);
    const samples = Math.ceil((this.seconds / this.tempo + TAIL) * RATE);
    const context = new OfflineAudioContext(2, samples, RATE);
    const out = mixer(context);
    for (const note of this.notes) {
      if (!this.heard(note.part)) continue;
      const part = this.piece.parts[note.part];
      sound(context, out, part, note, note.start / this.tempo, note.heard / this.tempo);
    }
    return context.startRendering();
  }
}

/**
 * A sound file of 16-bit samples.
 * @param {AudioBuffer} buffer
 */
function waveFile(buffer) {
  const channels = buffer.numberOfChannels;
  const bytes = buffer.length * channels * 2;
  const view = new DataView(new ArrayBuffer(44 + bytes));
  const words = [0x52494646, 0x57415645, 0x666d7420, 0x64617461];
  [0, 8, 12, 36].forEach((place, index) => view.setUint32(place, words[index]));
  view.setUint32(4, 36 + bytes, true);
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, buffer.sampleRate, true);
  view.setUint32(28, buffer.sampleRate * channels * 2, true);
  view.setUint16(32, channels * 2, true);
  view.setUint16(34, 16, true);
  view.setUint32(40, bytes, true);
  for (let channel = 0; channel < channels; channel++) {
    const samples = buffer.getChannelData(channel);
    for (let index = 0; index < samples.length; index++) {
      const value = Math.max(-1, Math.min(1, samples[index]));
      view.setInt16(44 + (index * channels + channel) * 2, Math.round(value * 32767), true);
    }
  }
  return new Blob([view], { type: "audio/wav" });
}
