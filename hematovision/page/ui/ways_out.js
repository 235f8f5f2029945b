/**
 * The ways out that no Content-Security-Policy closes: WebRTC, here and in any window that the page
 * could make and that would have constructors of its own.
 */

// What holds a window, and what makes one without a name that createElement sees.
const FRAMES = ["IFrame", "Frame", "FrameSet", "Object", "Embed", "FencedFrame", "Portal"];
const MAKERS = ["XSLTProcessor", "documentPictureInPicture"];
const WEBRTC = ["RTCPeerConnection", "webkitRTCPeerConnection"];

/** For good. @param {any} owner @param {string} name @param {any} value */
const fix = (owner, name, value) =>
  Object.defineProperty(owner, name, { value, writable: false, configurable: false });

/** Take WebRTC from this window, and frames and other windows with it. */
export function closeWaysOut() {
  for (const name of [...WEBRTC, ...MAKERS]) Reflect.deleteProperty(globalThis, name);
  const frames = FRAMES.map((name) => Reflect.get(globalThis, `HTML${name}Element`)).filter(Boolean);
  for (const name of ["createElement", "createElementNS"]) {
    const create = Reflect.get(Document.prototype, name);
    fix(Document.prototype, name, function (/** @type {any[]} */ ...args) {
      const made = Reflect.apply(create, this, args);
      if (frames.some((frame) => made instanceof frame)) throw Error("the page makes no frames");
      return made;
    });
  }
  fix(CustomElementRegistry.prototype, "define", undefined); // one could be a frame
  for (const owner of [globalThis, Document.prototype]) fix(owner, "open", undefined);
}
