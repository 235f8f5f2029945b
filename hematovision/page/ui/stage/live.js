/**
 * The camera's picture with what is found in it, as fast as the machine can; a key takes the field.
 */
import { byId, draw, make, tell } from "../elements.js";
import { Camera } from "../pictures/camera.js";
import { readPixels } from "../pictures/files.js";
import { Focus } from "../pictures/focus.js";
import { nameOf, text } from "../texts.js";

/** @typedef {import("../beside.js").Engine} Engine */
/** @typedef {import("../session/session.js").Session} Session */
/** @typedef {import("../../engine/cells.js").Box} Box */

const LONGEST_SIDE = 1280; // pixels to which a frame is brought to be followed; taken whole
const SMALL_FRAME = 480; // pixels across below which small cells can't be told

/**
 * `take`: what to do with a field that was taken; `isBusy`: whether the worker has fields to count,
 * which come first; `kept`: what to do where another key was named.
 * @typedef {{take: (file: File) => Promise<void>, isBusy: () => boolean, kept: () => void}} Hands
 */

export class Live {
  /** @param {Session} session @param {Engine} engine @param {Hands} hands */
  constructor(session, engine, hands) {
    this.session = session;
    this.engine = engine;
    this.hands = hands;
    this.camera = new Camera(byId("video"), (why) => this.lose(why));
    this.focus = new Focus();
    this.key = " ";
    this.isNaming = false; // waiting for the key to be named
    this.isTaking = false;
    this.taken = 0;
    /** @type {number | null} pixels across a red cell of a frame, as seen in the one before */
    this.cellPx = null;
    byId("camera-on").addEventListener("click", () => this.start());
    byId("camera-off").addEventListener("click", () => this.stop());
    byId("take").addEventListener("click", () => this.take());
    byId("name-key").addEventListener("click", () => {
      this.isNaming = true;
      tell(text("pressKey"));
    });
    byId("device").addEventListener("change", () => this.start(byId("device").value));
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.listDevices());
    this.showKey();
  }

  get isOn() {
    return this.camera.isOn;
  }

  async start(deviceId = "") {
    try {
      await this.camera.start(deviceId);
    } catch (error) {
      this.stop();
      tell(/** @type {Error} */ (error).message);
      return;
    }
    this.cellPx = null;
    this.focus = new Focus();
    byId("camera").hidden = false;
    byId("stage").hidden = true;
    byId("live").replaceChildren();
    await this.listDevices();
    const { videoWidth: width, videoHeight: height } = byId("video");
    const few = Math.min(width, height) < SMALL_FRAME ? ` ${text("cameraSmall")}` : "";
    tell(text("cameraOn", { width, height }) + few);
    this.follow();
  }

  stop() {
    this.camera.stop();
    byId("camera").hidden = true;
    byId("stage").hidden = false;
  }

  /** The camera ended by itself. @param {string} why */
  lose(why) {
    this.stop();
    tell(why);
  }

  async listDevices() {
    if (!this.isOn) return;
    const devices = await this.camera.list();
    const options = devices.map(({ id, name }) => make("option", { value: id }, name));
    byId("device").replaceChildren(...options);
    byId("device").value = this.camera.deviceId;
  }

  /** Look at the newest frame, again and again: never at one that has waited. */
  async follow() {
    const { stream } = this.camera;
    let wasFrozen = false;
    while (stream && this.camera.stream === stream) {
      const frame = this.camera.newest;
      if (this.camera.isFrozen !== wasFrozen) {
        wasFrozen = !wasFrozen;
        tell(text(wasFrozen ? "cameraFrozen" : "cameraBack"));
      }
      if (frame) this.showState(frame);
      if (frame && !document.hidden && !this.hands.isBusy()) await this.look(frame.bitmap);
      else await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** @param {ImageBitmap} bitmap */
  async look(bitmap) {
    const shrink = Math.max(1, Math.max(bitmap.width, bitmap.height) / LONGEST_SIDE);
    const [width, height] = [bitmap.width, bitmap.height].map((n) => Math.round(n / shrink));
    try {
      const small = await createImageBitmap(bitmap, { resizeWidth: width, resizeHeight: height });
      const image = readPixels(small);
      small.close();
      const answer = await this.engine.ask("glance", image, { cellPx: this.cellPx }).answer;
      this.cellPx = answer.seen;
      if (this.isOn) this.draw(answer.cells, width, height);
    } catch (error) {
      // A frame that was closed meanwhile, or an answer that failed: the next one is looked at.
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  /** @param {{label: string, box: Box}[]} cells @param {number} width @param {number} height */
  draw(cells, width, height) {
    const { labels, colours } = this.session.model;
    byId("live").setAttribute("viewBox", `0 0 ${width} ${height}`);
    const boxes = cells.map(({ label, box: [x, y, x1, y1] }) =>
      draw("rect", { class: "box", stroke: colours[label], x, y, width: x1 - x, height: y1 - y }),
    );
    byId("live").replaceChildren(...boxes);
    const counts = labels.map((label) => {
      const n = cells.filter((cell) => cell.label === label).length;
      return `${n} ${nameOf(label)}`;
    });
    byId("live-counts").textContent = counts.join(", ");
  }

  /** @param {import("../pictures/camera.js").Frame} frame */
  showState({ sharpness, light }) {
    const { part, isSharp } = this.focus.compare(sharpness);
    byId("focus").value = part;
    byId("focus-said").textContent = text(isSharp ? "inFocus" : "outOfFocus");
    byId("light-said").textContent = text(
      light === "dark" ? "tooDark" : light === "bright" ? "tooBright" : "lightRight",
    );
    byId("light-said").classList.toggle("mark", light !== "right");
    byId("focus-said").classList.toggle("mark", !isSharp);
  }

  /** The sharpest of the last frames joins the fields. */
  async take() {
    if (!this.isOn || this.isTaking) return;
    this.isTaking = true;
    try {
      const blob = await this.camera.take();
      this.taken += 1;
      const stamp = new Date().toISOString().slice(0, 19).replace("T", " ").replaceAll(":", ".");
      const name = `camera ${stamp} ${this.taken}.png`;
      await this.hands.take(new File([blob], name, { type: "image/png" }));
    } catch (error) {
      tell(/** @type {Error} */ (error).message);
    }
    this.isTaking = false;
  }

  /**
   * What a key means to the camera.
   * @param {KeyboardEvent} event @returns {boolean} whether it meant something
   */
  press(event) {
    if (!this.isOn) return false;
    if (this.isNaming) {
      this.isNaming = false;
      if (event.key !== "Escape") this.key = event.key;
      this.showKey();
      tell(text("keyNamed", { key: byId("take-key").textContent }));
      this.hands.kept();
      return true;
    }
    if (event.key === "Escape") this.stop();
    else if (event.key.toLowerCase() !== this.key.toLowerCase()) return false;
    else if (!event.repeat) this.take();
    return true;
  }

  /** @param {unknown} key */
  restoreKey(key) {
    if (typeof key === "string" && key) this.key = key.slice(0, 30);
    this.showKey();
  }

  showKey() {
    byId("take-key").textContent = this.key === " " ? text("space") : this.key;
  }
}
