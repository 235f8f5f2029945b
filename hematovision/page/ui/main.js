/**
 * The page: pictures come in, the worker looks at them, a person looks again.
 */
import { showCounts, showStrip } from "./panels/count.js";
import { Differential } from "./panels/differential.js";
import { byId, confirmLoss, download, fillTexts, tell } from "./elements.js";
import { Engine } from "./beside.js";
import { cellsCsv, countsCsv, drawField, vocZip } from "./saving/exports.js";
import { Gestures } from "./stage/gestures.js";
import { Intake, reasonOf } from "./pictures/intake.js";
import { Keys } from "./panels/keys.js";
import { Review, describe } from "./panels/review.js";
import { Session, isTouched } from "./session/session.js";
import { Sizes } from "./panels/sizes.js";
import { Storage } from "./session/storage.js";
import { nameOf, text } from "./texts.js";
import { View } from "./stage/view.js";

/** @typedef {import("./session/session.js").Cell} Cell */
/** @typedef {import("./session/session.js").Field} Field */

/** @param {string} id */
function takeText(id) {
  const element = byId(id);
  const words = element.textContent;
  element.remove(); // megabytes that the worker holds now
  return words;
}

fillTexts();
const about = JSON.parse(takeText("about-model"));
const session = new Session(about.page);
const storage = new Storage(session.model.id, (why) => tell(text("notKept", { why })));
const engine = new Engine(takeText("worker"), {
  card: about.card,
  networks: { fields: takeText("network-fields"), crops: takeText("network-crops") },
  wasm: takeText("wasm"),
});
const intake = new Intake(session, storage, engine);
/** @param {Cell} cell */
const labelOf = (cell) => cell.type ?? cell.label;
const view = new View(session, labelOf);
new Gestures(view, { added: addCell, moved: moveCell });
const review = new Review(session, view);
const sizes = new Sizes(session);
const differential = new Differential(session, {
  show(field, cell) {
    if (field !== session.now) session.show(field);
    review.choose(cell);
  },
});
const keys = new Keys({ session, view, review, differential, added: addCell, undo });

// --- what changed is shown, and kept -----------------------------------------------------------

/** The panels that are seen, of what is now. @param {string} what changed */
function showPanels(what) {
  if (what !== "choice" && !byId("sizes").hidden) sizes.redraw();
  if (!byId("differential").hidden) differential.redraw();
  if (byId("review").hidden) return;
  // The list stays as it is while one goes through it.
  if (what === "choice") review.mark();
  else review.redraw();
}

session.listeners.push((what, field) => {
  if (what === "edit" && field) storage.keep(field);
  if (what === "field") view.open();
  else view.redraw();
  if (what !== "choice") {
    showCounts(session, session.now);
    showStrip(session);
  }
  showPanels(what);
  byId("undo").disabled = !session.done.length;
  byId("redo").disabled = !session.taken.length;
  byId("add").disabled = !session.now || !!session.now.single || session.now.state !== "done";
});

/** @param {boolean} again */
function undo(again) {
  const what = session.undo(again);
  if (what !== null) tell(text(again ? "redone" : "undone", { what }));
}

addEventListener("beforeunload", (event) => {
  const atRisk = session.fields.some((field) => isTouched(field) && storage.isAtRisk(field));
  if (atRisk) event.preventDefault();
});

addEventListener("pagehide", () => {
  for (const field of session.fields) if (storage.unwritten.has(field.key)) storage.keepNow(field);
});

// --- corrections that the view makes -----------------------------------------------------------

/** @param {[number, number, number, number]} box */
async function addCell(box) {
  const field = session.now;
  if (!field || field.single) return;
  const red = session.model.labels.find((label) => label.toLowerCase() === "rbc");
  const cell = session.makeCell({ label: red ?? session.model.labels[0], box });
  session.edit(text("didAdd"), (cells) => cells.push(cell));
  session.choose(cell);
  // The crop network proposes what it is.
  const label = await intake.nameBox(field, box);
  const added = field.cells.find((one) => one.id === cell.id);
  if (!added || added.seen || !session.model.labels.includes(label)) return;
  added.label = label;
  for (const edit of session.done) {
    for (const one of edit.after) if (one.id === cell.id && !one.seen) one.label = label;
  }
  session.changed("edit", field);
  tell(text("chosen", { cell: describe(session, added) }));
}

/** @param {Cell} cell @param {[number, number, number, number]} box */
function moveCell(cell, box) {
  session.editCell(cell, text("didMove"), { box });
}

// --- pictures go -------------------------------------------------------------------------------

/** @param {Field[]} fields */
async function close(fields) {
  const edited = fields.filter(isTouched);
  const one = fields.length === 1;
  const question = text(one ? "askClose" : "askCloseAll", {
    n: edited.length,
    name: fields[0].name,
  });
  if (edited.length && !(await confirmLoss(question, text("yesClose")))) return;
  if (intake.looking && fields.includes(intake.looking.field)) intake.looking.cancel();
  await storage.forget(fields);
  for (const field of fields) session.remove(field);
}

/**
 * Look at the picture at hand anew, perhaps as something else or at another scale.
 * @param {number | null} [cellSize] pixels across a red cell, as a person states it
 */
async function lookAnew(cellSize = null) {
  const field = session.now;
  if (!field || field.state === "looking") return;
  const question = text("askAgain", { name: field.name });
  if (isTouched(field) && !(await confirmLoss(question, text("yesAgain")))) {
    session.changed("cells"); // back to what it was
    return;
  }
  field.kind = byId("kind").value;
  field.cellSize = cellSize;
  session.done = session.done.filter((edit) => edit.field !== field);
  session.taken = [];
  Object.assign(field, { cells: [], single: null });
  intake.lookSoon(field);
}

// --- the buttons -------------------------------------------------------------------------------

/** @param {string} id @param {() => void} act */
const on = (id, act) => byId(id).addEventListener("click", act);

on("open", () => byId("file").click());
byId("file").addEventListener("change", async () => {
  await intake.take(byId("file").files);
  byId("file").value = "";
});
on("example", async () => {
  const bytes = Uint8Array.from(atob(byId("example-picture").textContent), (c) => c.charCodeAt(0));
  await intake.take([new File([bytes], "example.jpg", { type: "image/jpeg" })]);
});
for (const type of ["dragover", "dragleave", "drop"]) {
  addEventListener(type, (/** @type {any} */ event) => {
    event.preventDefault();
    byId("stage").classList.toggle("over", type === "dragover");
    if (type === "drop") intake.take(event.dataTransfer.files);
  });
}
addEventListener("paste", (event) => intake.take(event.clipboardData?.files ?? []));
on("zoom-in", () => view.zoom(1.25));
on("zoom-out", () => view.zoom(0.8));
on("fit", () => view.fit());
on("add", () => view.setAdding(!view.adding));
on("undo", () => undo(false));
on("redo", () => undo(true));
on("cancel", () => intake.cancel());
on("again", () => lookAnew());
byId("kind").addEventListener("change", () => lookAnew());
byId("cell-size").addEventListener("change", () => {
  const input = byId("cell-size");
  if (input.checkValidity()) lookAnew(input.valueAsNumber || null);
});
on("close", () => session.now && close([session.now]));
on("close-all", () => close([...session.fields]));

/** @param {string} id @param {(field: Field) => Promise<[string, Blob]> | [string, Blob]} make */
function saves(id, make) {
  on(id, async () => {
    byId("save").open = false;
    if (!session.found.length || !session.now) {
      tell(text("nothingToSave"));
      return;
    }
    try {
      const [name, blob] = await make(session.now);
      download(name, blob);
      tell(text("saved", { name }));
    } catch (error) {
      tell(reasonOf(error));
    }
  });
}

addEventListener("click", (/** @type {any} */ event) => {
  if (!event.target.closest("#save")) byId("save").open = false;
});
byId("save").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (event.key !== "Escape") return;
  byId("save").open = false;
  byId("save").querySelector("summary").focus();
});

const csvFile = (/** @type {string} */ words) => new Blob([words], { type: "text/csv" });
saves("save-cells", () => ["cells.csv", csvFile(cellsCsv(session))]);
saves("save-counts", () => ["counts.csv", csvFile(countsCsv(session))]);
saves("save-picture", async (field) => [
  `${field.name.replace(/\.\w+$/, "")}_cells.png`,
  await drawField(session, field),
]);
saves("save-boxes", async () => ["fields.zip", await vocZip(session)]);

const tabs = [...document.querySelectorAll("[role=tab]")];
/** @param {any} chosen */
function openTab(chosen) {
  for (const tab of /** @type {any[]} */ (tabs)) {
    tab.setAttribute("aria-selected", tab === chosen);
    tab.tabIndex = tab === chosen ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
  }
  showPanels("field");
}
tabs.forEach((tab, k) => {
  tab.addEventListener("click", () => openTab(tab));
  tab.addEventListener("keydown", (/** @type {any} */ event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[/** @type {"ArrowLeft"} */ (event.key)];
    if (!step) return;
    const next = /** @type {any} */ (tabs[(k + step + tabs.length) % tabs.length]);
    openTab(next);
    next.focus();
  });
});
openTab(tabs[0]);

// --- start -------------------------------------------------------------------------------------

const { id, labels } = session.model;
byId("about").textContent = text("about", {
  model: id,
  labels: labels.map(nameOf).join(", "),
  litert: about.litert,
});
session.changed("field");
tell(text("loading"));
const ready = engine.ready.then(
  async () => {
    tell(text("ready"));
    await intake.restore();
  },
  (error) => tell(text("noModel", { why: error.message })),
);
// For tests, and for whoever wants to script the page.
Object.assign(globalThis, { hematovision: { ready, session, storage, intake, keys } });
