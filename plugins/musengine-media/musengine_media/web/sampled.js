// The sampled voice: every note is the nearest of those that the page has of its instrument.

/**
 * @typedef {object} Sampled A note within an instrument's sound, times in seconds.
 * @property {number} pitch
 * @property {number} at
 * @property {number} length
 * @property {[number, number]} [loop] what is repeated while the note is held
 */

/**
 * @typedef {object} Instrument
 * @property {AudioBuffer} buffer
 * @property {Sampled[]} notes
 * @property {number} gain
 * @property {number} shift seconds by which the decoder has moved the sound
 */

/** Of a note struck as hard as those that were recorded, and how loud the page has it. */
const STRUCK = 100;
const BOOST = 1.5;
const SAMPLED_RELEASE = 0.18;

/** @type {Map<string, Instrument>} */
const instruments = new Map();
/** @type {Map<string, Promise<void>>} */
const decoding = new Map();

/** @param {{program: number, drum: boolean}} part */
function instrumentName(part) {
  return part.drum ? "drums" : String(part.program);
}

/**
 * Make ready what some parts are played with.
 * @param {{program: number, drum: boolean}[]} parts
 */
async function loadInstruments(parts) {
  const names = [...new Set(parts.map(instrumentName))];
  await Promise.all(
    names.map((name) => {
      if (!decoding.has(name)) decoding.set(name, decode(name));
      return decoding.get(name);
    }),
  );
}

/** @param {string} name */
async function decode(name) {
  const told = (data.sounds ?? {})[name];
  if (!told?.mp3) return;
  const bytes = Uint8Array.from(atob(told.mp3), (letter) => letter.charCodeAt(0));
  const context = new OfflineAudioContext(1, 1, RATE);
  try {
    const buffer = await context.decodeAudioData(bytes.buffer);
    const begins = firstSound(buffer.getChannelData(0)) / buffer.sampleRate;
    instruments.set(name, { ...told, buffer, shift: begins - told.first });
  } catch {
    // A browser that does not know the format plays with the synthetic voice.
  }
}

/**
 * The first sample that is not next to silence, as a share of the loudest.
 * @param {Float32Array} samples
 */
function firstSound(samples) {
  let loudest = 0;
  for (const sample of samples) loudest = Math.max(loudest, Math.abs(sample));
  return samples.findIndex((sample) => Math.abs(sample) > 0.1 * loudest);
}

/**
 * Let a note of an instrument sound.
 * @param {BaseAudioContext} context
 * @param {AudioNode} target
 * @param {Instrument} instrument
 * @param {boolean} drum
 * @param {Note} note
 * @param {number} when
 * @param {number} length
 * @returns {AudioScheduledSourceNode[]}
 */
function playSampled(context, target, instrument, drum, note, when, length) {
  const gain = context.createGain();
  gain.gain.setValueAtTime(BOOST * instrument.gain * (note.velocity / STRUCK) ** 1.5, when);
  gain.connect(target);
  const nearest = instrument.notes.reduce((best, each) =>
    Math.abs(each.pitch - note.pitch) < Math.abs(best.pitch - note.pitch) ? each : best,
  );
  const source = context.createBufferSource();
  source.buffer = instrument.buffer;
  source.connect(gain);
  if (!drum) source.playbackRate.value = 2 ** ((note.pitch - nearest.pitch) / 12);
  const start = Math.max(nearest.at + instrument.shift, 0);
  if (nearest.loop) {
    source.loop = true;
    source.loopStart = nearest.loop[0] + instrument.shift;
    source.loopEnd = nearest.loop[1] + instrument.shift;
    source.start(when, start);
  } else {
    source.start(when, start, nearest.length);
  }
  if (!drum) {
    gain.gain.setTargetAtTime(0, when + length, SAMPLED_RELEASE / 3);
    source.stop(when + length + SAMPLED_RELEASE * 2);
  }
  return [source];
}
