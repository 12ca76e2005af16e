// The synthetic voice: oscillators and noise for the sixteen families of General MIDI and drums.

/**
 * @typedef {object} Note A note of a piece, times in seconds.
 * @property {number} start
 * @property {number} length
 * @property {number} heard how long it sounds, which a pedal makes longer
 * @property {number} pitch
 * @property {number} velocity
 * @property {number} part
 */

/**
 * @typedef {object} Timbre
 * @property {number[]} partials how strong each is, the fundamental first
 * @property {number} attack seconds
 * @property {number} decay seconds in which a struck note falls to a third; 0 for a held one
 * @property {number} release seconds
 */

/** @type {Timbre[]} Of programs 0 to 7, 8 to 15 and so on. */
const TIMBRES = [
  { partials: [1, 0.5, 0.25, 0.16, 0.1, 0.06], attack: 0.004, decay: 0.9, release: 0.12 },
  { partials: [1, 0.1, 0.35, 0.05, 0.15], attack: 0.002, decay: 0.5, release: 0.3 },
  { partials: [1, 0.7, 0.35, 0.5, 0.1, 0.2, 0.05, 0.25], attack: 0.02, decay: 0, release: 0.09 },
  { partials: [1, 0.6, 0.4, 0.25, 0.15, 0.1], attack: 0.003, decay: 0.6, release: 0.1 },
  { partials: [1, 0.55, 0.2, 0.1], attack: 0.006, decay: 0.8, release: 0.08 },
  { partials: [1, 0.6, 0.45, 0.3, 0.25, 0.18, 0.12], attack: 0.07, decay: 0, release: 0.16 },
  { partials: [1, 0.5, 0.35, 0.2, 0.12], attack: 0.09, decay: 0, release: 0.25 },
  { partials: [1, 0.8, 0.65, 0.45, 0.3, 0.2, 0.1], attack: 0.03, decay: 0, release: 0.1 },
  { partials: [1, 0.15, 0.6, 0.12, 0.35, 0.1, 0.2], attack: 0.03, decay: 0, release: 0.08 },
  { partials: [1, 0.2, 0.08, 0.03], attack: 0.05, decay: 0, release: 0.1 },
  { partials: [1, 0.5, 0.33, 0.25, 0.2, 0.16, 0.14], attack: 0.01, decay: 0, release: 0.08 },
  { partials: [1, 0.4, 0.2, 0.1], attack: 0.2, decay: 0, release: 0.5 },
  { partials: [1, 0.3, 0.1, 0.25], attack: 0.1, decay: 0, release: 0.4 },
  { partials: [1, 0.45, 0.5, 0.2, 0.25], attack: 0.004, decay: 0.5, release: 0.1 },
  { partials: [1, 0.1, 0.05, 0.2], attack: 0.002, decay: 0.25, release: 0.15 },
  { partials: [1, 0.3, 0.2], attack: 0.05, decay: 0, release: 0.3 },
];

/**
 * @typedef {object} Drum
 * @property {number} noise how loud the noise is
 * @property {number} cut where the noise is strongest, in hertz
 * @property {number} tone hertz at which a tone begins, 0 for none
 * @property {number} fall seconds in which it falls to a third
 */

/** @type {[number[], Drum][]} The drums of General MIDI by their pitches. */
const DRUMS = [
  [[35, 36], { noise: 0.15, cut: 400, tone: 130, fall: 0.09 }],
  [[37, 39, 40, 38], { noise: 0.7, cut: 2200, tone: 190, fall: 0.07 }],
  [[42, 44, 54, 69, 70, 82], { noise: 0.5, cut: 9000, tone: 0, fall: 0.025 }],
  [[46], { noise: 0.5, cut: 8500, tone: 0, fall: 0.16 }],
  [[49, 52, 55, 57], { noise: 0.6, cut: 6500, tone: 0, fall: 0.5 }],
  [[51, 53, 59], { noise: 0.35, cut: 7500, tone: 0, fall: 0.25 }],
  [[41, 43], { noise: 0.1, cut: 500, tone: 110, fall: 0.16 }],
  [[45, 47], { noise: 0.1, cut: 600, tone: 160, fall: 0.14 }],
  [[48, 50], { noise: 0.1, cut: 700, tone: 220, fall: 0.12 }],
];
/** @type {Drum} */
const OTHER_DRUM = { noise: 0.25, cut: 3000, tone: 420, fall: 0.06 };
const STRENGTH = 0.22;
/** What an exponential fall to nothing ends at. */
const NOTHING = 1e-4;

/** @type {WeakMap<BaseAudioContext, Map<number, PeriodicWave>>} */
const waves = new WeakMap();
/** @type {WeakMap<BaseAudioContext, AudioBuffer>} */
const noises = new WeakMap();

/**
 * The wave of a family of instruments.
 * @param {BaseAudioContext} context
 * @param {number} family
 */
function waveOf(context, family) {
  const known = waves.get(context) ?? new Map();
  waves.set(context, known);
  if (!known.has(family)) {
    const partials = TIMBRES[family].partials;
    const sine = new Float32Array([0, ...partials]);
    known.set(family, context.createPeriodicWave(new Float32Array(sine.length), sine));
  }
  return /** @type {PeriodicWave} */ (known.get(family));
}

/**
 * A second of noise, always the same.
 * @param {BaseAudioContext} context
 */
function noiseOf(context) {
  let noise = noises.get(context);
  if (!noise) {
    noise = context.createBuffer(1, context.sampleRate, context.sampleRate);
    const samples = noise.getChannelData(0);
    let state = 1;
    for (let index = 0; index < samples.length; index++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      samples[index] = state / 2 ** 31 - 1;
    }
    noises.set(context, noise);
  }
  return noise;
}

/**
 * Let a note sound.
 * @param {BaseAudioContext} context
 * @param {AudioNode} target
 * @param {{program: number, drum: boolean}} part
 * @param {Note} note
 * @param {number} when seconds on the context's clock
 * @param {number} length seconds
 * @returns {AudioScheduledSourceNode[]} what sounds
 */
function sound(context, target, part, note, when, length) {
  const instrument = instruments.get(instrumentName(part));
  if (instrument) {
    return playSampled(context, target, instrument, part.drum, note, when, length);
  }
  const gain = context.createGain();
  gain.connect(target);
  const level = STRENGTH * (note.velocity / 127) ** 1.4;
  return part.drum
    ? strike(context, gain, note.pitch, when, level)
    : hold(context, gain, part.program >> 3, note.pitch, when, length, level);
}

/**
 * @param {BaseAudioContext} context
 * @param {GainNode} gain
 * @param {number} family
 * @param {number} pitch
 * @param {number} when
 * @param {number} length
 * @param {number} level
 */
function hold(context, gain, family, pitch, when, length, level) {
  const timbre = TIMBRES[family];
  const oscillator = context.createOscillator();
  oscillator.setPeriodicWave(waveOf(context, family));
  oscillator.frequency.value = 440 * 2 ** ((pitch - 69) / 12);
  oscillator.connect(gain);
  const attack = Math.min(timbre.attack, length / 2);
  const end = when + length;
  gain.gain.setValueAtTime(0, when);
  gain.gain.linearRampToValueAtTime(level, when + attack);
  if (timbre.decay) {
    // High strings die away sooner than low ones.
    gain.gain.setTargetAtTime(0, when + attack, timbre.decay * 2 ** ((60 - pitch) / 24));
  }
  gain.gain.setTargetAtTime(0, end, timbre.release / 3);
  oscillator.start(when);
  oscillator.stop(end + timbre.release * 2);
  return [oscillator];
}

/**
 * @param {BaseAudioContext} context
 * @param {GainNode} gain
 * @param {number} pitch
 * @param {number} when
 * @param {number} level
 */
function strike(context, gain, pitch, when, level) {
  const found = DRUMS.find(([pitches]) => pitches.includes(pitch));
  const drum = found ? found[1] : OTHER_DRUM;
  const end = when + drum.fall * 6;
  gain.gain.setValueAtTime(level * 2, when);
  gain.gain.setTargetAtTime(0, when, drum.fall);
  const noise = context.createBufferSource();
  noise.buffer = noiseOf(context);
  noise.loop = true;
  const filter = context.createBiquadFilter();
  filter.type = "bandpass";
  filter.frequency.value = drum.cut;
  filter.Q.value = 0.6;
  const share = context.createGain();
  share.gain.value = drum.noise;
  noise.connect(filter).connect(share).connect(gain);
  noise.start(when);
  noise.stop(end);
  if (!drum.tone) return [noise];
  const tone = context.createOscillator();
  tone.frequency.setValueAtTime(drum.tone, when);
  tone.frequency.exponentialRampToValueAtTime(drum.tone * 0.45 + NOTHING, when + drum.fall * 2);
  tone.connect(gain);
  tone.start(when);
  tone.stop(end);
  return [noise, tone];
}
