// What is dropped on the page or pasted into it: photos, or a CSV of classes.
import { byId } from "./dom.js";

const isCsv = (file) => file.type === "text/csv" || file.name.toLowerCase().endsWith(".csv");

export function acceptDrops(addPhotos, importClasses) {
  const cover = byId("drop-here");
  const take = (files) => {
    files.filter(isCsv).forEach(importClasses);
    addPhotos(files.filter((file) => !isCsv(file)));
  };
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    cover.classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) cover.classList.remove("over");
  });
  addEventListener("drop", (event) => {
    cover.classList.remove("over");
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
  addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (!files.length) return;
    event.preventDefault();
    take(files);
  });
}
