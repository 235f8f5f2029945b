/**
 * What the counter sounds like: a click a cell, a chord at the end.
 */

/** @type {AudioContext | null} */
let audio = null;

/** @param {boolean} full */
export function ring(full) {
  if (typeof AudioContext === "undefined") return;
  audio ??= new AudioContext();
  const { currentTime, destination } = audio;
  for (const [n, pitch] of (full ? [523, 659, 784] : [880]).entries()) {
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    const start = currentTime + 0.12 * n;
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0.15, start);
    volume.gain.exponentialRampToValueAtTime(0.001, start + (full ? 0.4 : 0.07));
    tone.connect(volume).connect(destination);
    tone.start(start);
    tone.stop(start + 0.5);
  }
}
