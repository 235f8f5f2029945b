/**
 * Where pictures come from: opened, dropped, pasted, the example, a folder that is watched.
 */
import { byId, tell } from "../elements.js";
import { text } from "../texts.js";
import { WatchedFolder } from "./folder.js";

/** @typedef {import("./intake.js").Intake} Intake */

/** @param {Intake} intake */
function startOpening(intake) {
  byId("open").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", async () => {
    await intake.take(byId("file").files);
    byId("file").value = "";
  });
  byId("example").addEventListener("click", async () => {
    const packed = atob(byId("example-picture").textContent);
    const bytes = Uint8Array.from(packed, (c) => c.charCodeAt(0));
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
}

/** @param {Intake} intake */
function startWatching(intake) {
  const button = byId("watch");
  const show = () => {
    button.setAttribute("aria-pressed", String(!!folder.folder));
    button.textContent = text(folder.folder ? "unwatch" : "watch");
  };
  const folder = new WatchedFolder(
    (file) => intake.take([file]),
    (why) => {
      show();
      tell(why);
    },
  );
  button.hidden = !WatchedFolder.isKnown;
  button.addEventListener("click", async () => {
    if (folder.folder) {
      folder.stop();
      tell(text("unwatched"));
    } else {
      await folder.start();
      if (folder.folder) tell(text("watching", { name: folder.folder.name }));
    }
    show();
  });
  return folder;
}

/** @param {Intake} intake @returns {WatchedFolder} */
export function startSources(intake) {
  startOpening(intake);
  return startWatching(intake);
}
