/**
 * Elements of the page. All text goes in as text: no name of a file can become HTML.
 */
import { TEXTS, text } from "./texts.js";

/** @param {string} id @returns {any} */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw Error(`no #${id} in the page`);
  return element;
}

/**
 * @param {Element} element @param {Record<string, string | number | boolean>} attributes
 * @param {(Node | string)[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * @param {string} tag @param {Record<string, string | number | boolean>} [attributes]
 * @param {(Node | string)[]} children @returns {any}
 */
export const make = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

/**
 * @param {string} tag @param {Record<string, string | number | boolean>} [attributes]
 * @param {(Node | string)[]} children @returns {any}
 */
export const draw = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** A square of a colour. @param {string} colour */
export function dot(colour) {
  const square = make("span", { class: "dot" });
  square.style.background = colour;
  return square;
}

/**
 * A row of a table; the first cell may hold elements.
 * @param {...(Node | string | number | Node[])} cells
 */
export function row(...cells) {
  const parts = cells.map((cell) =>
    make("td", {}, ...(Array.isArray(cell) ? cell : [cell instanceof Node ? cell : String(cell)])),
  );
  return make("tr", {}, ...parts);
}

/** Put the texts where the page wants them. */
export function fillTexts() {
  const texts = /** @type {Record<string, string>} */ (TEXTS);
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = texts[element.getAttribute("data-text") ?? ""];
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", texts[element.getAttribute("data-label") ?? ""]);
  }
}

/** What happens, for eyes and screen readers. @param {string} words */
export function tell(words) {
  byId("state").textContent = words;
}

/**
 * What was left out, and why: said, and written down until it is put away.
 * @param {string} words
 */
export function noteSkipped(words) {
  tell(words);
  const list = byId("skipped-list");
  list.append(make("li", {}, words));
  byId("skipped").hidden = false;
  byId("skipped-count").textContent = text("skipped", { n: list.children.length });
}

/** Put away what was noted. */
export function clearSkipped() {
  byId("skipped-list").replaceChildren();
  byId("skipped").hidden = true;
}

/**
 * Ask before something is lost.
 * @param {string} question @param {string} yes @returns {Promise<boolean>}
 */
export function confirmLoss(question, yes) {
  const dialog = byId("asking");
  byId("question").textContent = question;
  byId("yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Give a file to the person. @param {string} name @param {Blob} blob */
export function download(name, blob) {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
