/**
 * A camera as the page sees it: its newest frame, the sharpest of the last ones, and in words why
 * there is none.
 */
import { text } from "../texts.js";
import { judge } from "./focus.js";

/** @typedef {import("./focus.js").Judgement} Judgement */
/** @typedef {Judgement & {bitmap: ImageBitmap}} Frame */

const BETWEEN = 120; // milliseconds between frames that are kept
const KEPT = 6; // frames, of which the sharpest is taken: some three quarters of a second
const KEPT_LARGE = 3; // of those with MOST pixels and more, since each takes 4 bytes a pixel
const MOST = 4_000_000;
const JUDGED = 384; // pixels of the middle, across, by which focus is judged
const FROZEN = 3000; // milliseconds without a new frame

/** What went wrong, by the name of the browser's exception. @type {Record<string, any>} */
const WHY = {
  NotFoundError: "cameraNone",
  OverconstrainedError: "cameraNone",
  DevicesNotFoundError: "cameraNone",
  NotAllowedError: "cameraRefused",
  SecurityError: "cameraRefused",
  NotReadableError: "cameraBusy",
  AbortError: "cameraBusy",
};

export class Camera {
  /** @param {any} video @param {(why: string) => void} lost told where it ends by itself */
  constructor(video, lost) {
    this.video = video;
    this.lost = lost;
    /** @type {MediaStream | null} */
    this.stream = null;
    /** @type {Frame[]} the newest last */
    this.frames = [];
    this.seen = 0; // when the last frame came
    const canvas = Object.assign(document.createElement("canvas"), {
      width: JUDGED,
      height: JUDGED,
    });
    this.context = /** @type {CanvasRenderingContext2D} */ (
      canvas.getContext("2d", { willReadFrequently: true })
    );
  }

  get isOn() {
    return this.stream !== null;
  }

  get isFrozen() {
    return this.isOn && !document.hidden && performance.now() - this.seen > FROZEN;
  }

  /** Start a camera, the best there is where none is named; an Error in words where none starts. */
  async start(deviceId = "") {
    this.stop();
    if (!navigator.mediaDevices?.getUserMedia) throw Error(text("cameraUnknown"));
    const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "environment" };
    const video = { ...which, width: { ideal: 3840 }, height: { ideal: 2160 } };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    } catch (error) {
      const { name, message } = /** @type {DOMException} */ (error);
      throw Error(text(WHY[name] ?? "cameraFailed", { why: message || name }));
    }
    this.stream = stream;
    stream.getVideoTracks()[0].addEventListener("ended", () => {
      if (this.stream !== stream) return;
      this.stop();
      this.lost(text("cameraLost"));
    });
    this.video.srcObject = stream;
    this.seen = performance.now();
    await this.video.play();
    this.keepFrames(stream);
  }

  stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
    for (const { bitmap } of this.frames.splice(0)) bitmap.close();
  }

  /** @returns {Promise<{id: string, name: string}[]>} the cameras that can be chosen */
  async list() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices
      .filter(({ kind }) => kind === "videoinput")
      .map(({ deviceId, label }, k) => ({ id: deviceId, name: label || `${k + 1}` }));
  }

  /** @returns {string} of the camera that runs */
  get deviceId() {
    return this.stream?.getVideoTracks()[0].getSettings().deviceId ?? "";
  }

  /** Keep the last frames, as they come. @param {MediaStream} stream */
  async keepFrames(stream) {
    while (this.stream === stream) {
      const started = performance.now();
      await this.nextFrame();
      if (this.stream !== stream) return;
      if (this.video.videoWidth && !document.hidden) await this.keepFrame(stream);
      const rest = BETWEEN - (performance.now() - started);
      if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
    }
  }

  /** Until the camera gives a frame; a while at most, so that a stop is seen. */
  nextFrame() {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, 500);
      this.video.requestVideoFrameCallback?.(() => {
        this.seen = performance.now();
        clearTimeout(timer);
        resolve(null);
      });
    });
  }

  /** @param {MediaStream} stream */
  async keepFrame(stream) {
    const bitmap = await createImageBitmap(this.video);
    if (this.stream !== stream) {
      bitmap.close();
      return;
    }
    this.frames.push({ bitmap, ...this.judge(bitmap) });
    const most = bitmap.width * bitmap.height > MOST ? KEPT_LARGE : KEPT;
    while (this.frames.length > most) this.frames.shift()?.bitmap.close();
  }

  /** @param {ImageBitmap} bitmap */
  judge(bitmap) {
    const across = Math.min(JUDGED, bitmap.width, bitmap.height);
    const [x, y] = [(bitmap.width - across) >> 1, (bitmap.height - across) >> 1];
    this.context.drawImage(bitmap, x, y, across, across, 0, 0, across, across);
    return judge(this.context.getImageData(0, 0, across, across).data, across);
  }

  /** @returns {Frame | undefined} */
  get newest() {
    return this.frames[this.frames.length - 1];
  }

  /** The sharpest of the last frames, whole, as PNG. @returns {Promise<Blob>} */
  async take() {
    if (!this.frames.length) throw Error(text("cameraEmpty"));
    const [{ bitmap }] = [...this.frames].sort((a, b) => b.sharpness - a.sharpness);
    const { width, height } = bitmap;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    if (!blob) throw Error(text("pngTooLarge"));
    return blob;
  }
}
