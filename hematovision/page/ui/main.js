/**
 * The page: pictures come in, the worker looks at them, a person looks again.
 */
import { isRbc } from "../engine/cells.js";
import { Engine } from "./beside.js";
import { byId, clearSkipped, confirmLoss, fillTexts, tell } from "./elements.js";
import { showCounts } from "./panels/count.js";
import { Differential } from "./panels/differential.js";
import { Keys } from "./panels/keys.js";
import { Review, describe } from "./panels/review.js";
import { SamplePanel } from "./panels/sample.js";
import { Sizes } from "./panels/sizes.js";
import { Strip } from "./panels/strip.js";
import { startTabs } from "./panels/tabs.js";
import { Intake } from "./pictures/intake.js";
import { startSources } from "./pictures/sources.js";
import { startSaving } from "./saving/menu.js";
import { fillReport, printReport } from "./saving/report.js";
import { Session, isTouched } from "./session/session.js";
import { Storage } from "./session/storage.js";
import { findTwice } from "./session/twice.js";
import { Types } from "./session/types.js";
import { Gestures } from "./stage/gestures.js";
import { Live } from "./stage/live.js";
import { View } from "./stage/view.js";
import { nameOf, text } from "./texts.js";
import { closeWaysOut } from "./ways_out.js";

/** @typedef {import("./session/session.js").Cell} Cell */
/** @typedef {import("./session/session.js").Field} Field */

/** @param {string} id */
function takeText(id) {
  const element = byId(id);
  const words = element.textContent;
  element.remove(); // megabytes that the worker holds now
  return words;
}

closeWaysOut();
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
const types = new Types(session.model.types);
const samplePanel = new SamplePanel(session, keepSettings);
const differential = new Differential(session, types, {
  kept: keepSettings,
  show(field, cell) {
    if (field !== session.now) session.show(field);
    review.choose(cell);
  },
});
const atCamera = new Live(session, engine, {
  take: (file) => intake.take([file]),
  isBusy: () => intake.running,
  kept: keepSettings,
});
const keys = new Keys({
  session,
  view,
  review,
  differential,
  added: addCell,
  undo,
  live: atCamera,
});
const strip = new Strip(session, (field) => {
  atCamera.stop();
  session.show(field);
});
const folder = startSources(intake);

// --- what changed is shown, and kept -----------------------------------------------------------

/** The panels that are seen, of what is now. @param {string} what changed */
function showPanels(what) {
  if (what !== "choice" && !byId("sizes").hidden) sizes.redraw();
  if (!byId("differential").hidden) differential.redraw();
  if (!byId("sample").hidden) samplePanel.redraw();
  if (byId("review").hidden) return;
  // The list stays as it is while one goes through it.
  if (what === "choice") review.mark();
  else review.redraw();
}

session.listeners.push((what, field) => {
  if (what !== "choice") session.again = findTwice(session);
  if ((what === "edit" || what === "checked") && field) storage.keep(field);
  if (what === "field") {
    view.setAdding(false);
    view.open();
  } else view.redraw();
  if (what !== "choice") {
    showCounts(session, session.now);
    strip.redraw();
  }
  if (what === "choice" && session.chosen) atCamera.stop();
  showPanels(what);
  byId("undo").disabled = !session.done.length;
  byId("redo").disabled = !session.taken.length;
  byId("add").disabled = !session.now || !!session.now.single || session.now.state !== "done";
});

/** What a person entered outlives a reload. */
function keepSettings() {
  storage.keepSetting("sample", samplePanel.sample);
  storage.keepSetting("types", types.own);
  storage.keepSetting("key", atCamera.key);
  storage.keepSetting("border", session.border);
}

async function restoreSettings() {
  samplePanel.restore(await storage.loadSetting("sample"));
  types.restore(await storage.loadSetting("types"));
  const rule = await storage.loadSetting("border");
  if (["half", "whole"].includes(rule)) session.setBorder(rule);
  byId("border").value = session.border;
  atCamera.restoreKey(await storage.loadSetting("key"));
}

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
  view.setAdding(false);
  const red = session.model.labels.find(isRbc);
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

on("zoom-in", () => view.zoom(1.25));
on("zoom-out", () => view.zoom(0.8));
on("fit", () => view.fit());
on("add", () => view.setAdding(!view.adding));
on("undo", () => undo(false));
on("redo", () => undo(true));
byId("border").addEventListener("change", () => {
  session.setBorder(byId("border").value);
  keepSettings();
});
on("cancel", () => intake.cancel());
on("again", () => lookAnew());
byId("kind").addEventListener("change", () => lookAnew());
byId("cell-size").addEventListener("change", () => {
  const input = byId("cell-size");
  if (input.checkValidity()) lookAnew(input.valueAsNumber || null);
});
on("close", () => session.now && close([session.now]));
on("skipped-clear", clearSkipped);
on("delete-all", async () => {
  if (!(await confirmLoss(text("askDeleteAll"), text("yesDelete")))) return;
  intake.cancel();
  for (const field of [...session.fields]) session.remove(field);
  await storage.forgetAll();
  samplePanel.restore(null);
  for (const type of types.own) types.remove(type.name);
  clearSkipped();
  session.changed("field");
  tell(text("deleted"));
});
on("pause", () => {
  intake.setPaused(!intake.isPaused);
  byId("pause").setAttribute("aria-pressed", String(intake.isPaused));
  tell(text(intake.isPaused ? "paused" : "goneOn"));
});
for (const button of ["print", "print-differential"]) {
  on(button, () => {
    fillReport(session, types, samplePanel.sample, session.model.id);
    if (session.found.length) printReport();
    else tell(text("nothingToSave"));
  });
}
addEventListener("beforeprint", () =>
  fillReport(session, types, samplePanel.sample, session.model.id),
);
on("close-all", () => close([...session.fields]));

startSaving(session, types);
startTabs(() => showPanels("field"));

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
    await restoreSettings();
    await intake.restore();
  },
  (error) => tell(text("noModel", { why: error.message })),
);
// For tests, and for whoever wants to script the page.
Object.assign(globalThis, {
  hematovision: { ready, session, storage, intake, keys, live: atCamera, folder },
});
