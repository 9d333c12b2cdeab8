"use strict";
// Reads out what is below the pointer. Everything that it says stands in the page without it as well, or in the drawing.
(() => {
  const { first_ms, samples } = JSON.parse(document.getElementById("samples").textContent);
  const grouped = (number) => Math.round(number).toLocaleString("en-US");
  const bytes = (kib) => {
    let unit = 0;
    for (; kib >= 1024 && unit < 4; unit += 1) kib /= 1024;
    return kib.toFixed(kib < 100 && unit > 0 ? 1 : 0) + " " + ["KiB", "MiB", "GiB", "TiB", "PiB"][unit];
  };
  const words = {
    rate: (s) => grouped(s[2]) + " epochs a second, " + grouped(s[3]) + " batches done",
    memory: (s) => bytes(s[4]) + " anonymous of " + bytes(s[6]) + ", " + bytes(s[5]) + " of files",
    written: (s) => bytes(s[7]) + ", " + grouped(s[3]) + " batches done",
  };
  for (const plot of document.querySelectorAll(".plot")) {
    const output = plot.closest("figure").querySelector("output");
    const cursor = document.createElement("div");
    cursor.className = "cursor";
    const summary = output.textContent;
    const leave = () => { cursor.remove(); output.textContent = summary; };
    const show = (event) => {
      const box = plot.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * 1000;
      let nearest = samples[0];
      for (const sample of samples) if (Math.abs(sample[0] - x) < Math.abs(nearest[0] - x)) nearest = sample;
      cursor.style.left = nearest[0] / 10 + "%";
      plot.append(cursor);
      const time = new Date(first_ms + 100 * nearest[1]).toISOString().slice(0, 19).replace("T", " ") + " UTC";
      output.textContent = time + ": " + words[plot.dataset.chart](nearest);
    };
    plot.addEventListener("pointermove", show);
    plot.addEventListener("pointerdown", show);
    plot.addEventListener("pointerleave", leave);
  }
  const map = document.querySelector(".map");
  const output = map.querySelector("output");
  const hint = "Point at a cell to see its batches.";
  const show = (event) => {
    const cell = event.target.closest(".map > svg rect");
    output.textContent = cell ? cell.textContent : hint;
  };
  map.addEventListener("pointermove", show);
  map.addEventListener("pointerdown", show);
  map.addEventListener("pointerleave", () => { output.textContent = hint; });
  output.textContent = hint;
})();
