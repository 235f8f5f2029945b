/**
 * One page of report, to be printed or saved as PDF by the browser: counts, differential, the
 * fields' thumbnails, what was corrected, and the model's seal.
 */
import { byId, make, row } from "../elements.js";
import { shareWords, trustWords } from "../panels/differential.js";
import { totalLines } from "../panels/sample.js";
import { totalsOf } from "../session/measures.js";
import { changes, count } from "../session/session.js";
import { tallyUp } from "../session/tally.js";
import { nameOf, text } from "../texts.js";

/** @typedef {import("../session/session.js").Session} Session */
/** @typedef {import("../session/sample.js").Sample} Sample */
/** @typedef {import("../session/types.js").Types} Types */

const MOST_THUMBNAILS = 24; // as many as an A4 holds under the tables

/**
 * @param {string[]} head @param {(string | number)[][]} rows
 */
function table(head, rows) {
  const line = make("tr", {}, ...head.map((words) => make("th", { scope: "col" }, words)));
  const body = make("tbody", {}, ...rows.map((cells) => row(...cells)));
  return make("table", {}, make("thead", {}, line), body);
}

/** @param {Session} session */
function thumbnails(session) {
  const shown = session.found.slice(0, MOST_THUMBNAILS).map((field) => {
    const counts = session.model.labels
      .map((label) => `${count(field, label)} ${label}`)
      .join(", ");
    const { all } = changes(field);
    const hand = all ? text("reportHand", { n: all }) : "";
    const caption = make("figcaption", {}, field.name, make("br"), counts + hand);
    return make("figure", {}, make("img", { src: field.url, alt: "" }), caption);
  });
  const rest = session.found.length - shown.length;
  return [...shown, ...(rest ? [make("p", {}, text("reportMore", { n: rest }))] : [])];
}

/**
 * Fill #report, which only print shows.
 * @param {Session} session @param {Types} types @param {Sample} sample @param {string} seal
 */
export function fillReport(session, types, sample, seal) {
  const tally = tallyUp(session, types);
  const { labels } = session.model;
  const rows = tally.rows
    .filter(({ confirmed, proposed }) => confirmed || proposed)
    .map((one) => [nameOf(one.name), one.confirmed, ...shareWords(one), one.proposed]);
  if (tally.untyped) rows.push([text("untyped"), 0, "", "", tally.untyped]);
  rows.push([text("total"), tally.confirmed, "", "", tally.proposed + tally.untyped]);
  const head = [
    text("type"),
    text("number"),
    text("percent"),
    text("interval"),
    text("proposedHead"),
  ];
  const who = [
    [text("sampleName"), sample.name],
    [text("sampleDate"), sample.date],
    [text("sampleWho"), sample.who],
    [text("sampleNote"), sample.note],
  ].filter(([, value]) => value);
  byId("report").replaceChildren(
    make("h1", {}, text("reportTitle")),
    table([], who),
    make(
      "div",
      { class: "columns" },
      table([text("reportCounts"), ""], totalLines(totalsOf(session), labels)),
      make(
        "div",
        {},
        table(head, rows),
        make("p", {}, trustWords(tally, session.model.types.length > 0)),
      ),
    ),
    make("div", { class: "thumbnails" }, ...thumbnails(session)),
    make(
      "p",
      {},
      text("reportModel", { seal }),
      " ",
      make("strong", {}, text("notMedical")),
      ` ${text("notMedicalMore")}`,
    ),
  );
}

/** Wait for the thumbnails, then print. */
export async function printReport() {
  const pictures = [...byId("report").querySelectorAll("img")];
  await Promise.all(pictures.map((picture) => picture.decode().catch(() => {})));
  window.print();
}
