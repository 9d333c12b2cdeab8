"use strict";
// Draws the report: three charts over the time worked, and the map of batches. Lines are SVG that is stretched to the width
// of the page; everything with letters in it is HTML beside them, so that it stays readable.
(() => {
  const report = JSON.parse(document.getElementById("report").textContent);
  const WIDTH = 1000;
  const HEIGHT = 100;
  const TICKS_MAX = 5;

  const fill = (made, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const { namespaceURI } = document.querySelector("svg");
  const svg = (name, attributes, ...children) => fill(document.createElementNS(namespaceURI, name), attributes, children);
  const html = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

  // Words.
  const grouped = (number) => Math.round(number).toLocaleString("en-US");
  const counted = (number, one, many) => grouped(number) + " " + (number === 1 ? one : many);
  const rounded = (number, digits) => number.toLocaleString("en-US", { maximumFractionDigits: digits });
  const perSecond = (rate) => (rate < 10 ? rounded(rate, 1) : grouped(rate));
  const bytes = (count) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    const unit = Math.min(Math.floor(Math.log2(Math.max(count, 1)) / 10), units.length - 1);
    const value = count / 2 ** (10 * unit);
    return rounded(value, value < 10 ? 2 : value < 100 ? 1 : 0) + " " + units[unit];
  };
  const duration = (ms) => {
    const seconds = Math.floor(ms / 1000);
    const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86400)];
    const two = (number) => String(number).padStart(2, "0");
    if (days > 0) return grouped(days) + " d " + two(hours % 24) + " h";
    if (hours > 0) return hours + " h " + two(minutes % 60) + " min";
    if (minutes > 0) return minutes + " min " + two(seconds % 60) + " s";
    return seconds < 10 ? rounded(ms / 1000, 1) + " s" : seconds + " s";
  };
  // A date of JavaScript ends 100 million days after 1970.
  const moment = (ms) => new Date(Math.min(ms, 864e13)).toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC");

  // Time: the samples of one run after the other, with what lies between runs left out. A clock that was set back stands still.
  const segments = [];
  for (const sample of report.samples) {
    if (segments.at(-1)?.run !== sample.run) segments.push({ run: sample.run, samples: [], lengthMs: 0 });
    const segment = segments.at(-1);
    segment.samples.push(sample);
    segment.lengthMs = Math.max(segment.lengthMs, sample.unix_ms - segment.samples[0].unix_ms);
  }
  const breaks = Math.max(segments.length - 1, 0);
  const breakWidth = Math.min(14, 200 / Math.max(breaks, 1));
  const workedMs = Math.max(segments.reduce((sum, segment) => sum + segment.lengthMs, 0), 1);
  const widthOf = (ms) => (ms / workedMs) * (WIDTH - breaks * breakWidth);
  segments.reduce((beforeMs, segment, at) => {
    segment.beforeMs = beforeMs;
    segment.x = at * breakWidth + widthOf(beforeMs);
    return beforeMs + segment.lengthMs;
  }, 0);
  const xOf = (segment, unixMs) =>
    segment.x + widthOf(Math.min(Math.max(unixMs - segment.samples[0].unix_ms, 0), segment.lengthMs));

  const timeTicks = () => {
    const units = [
      ["s", 1e3, [0.1, 0.2, 0.5, 1, 2, 5, 10, 20]],
      ["min", 60e3, [0.5, 1, 2, 5, 10, 20]],
      ["h", 3600e3, [0.5, 1, 2, 3, 6, 12]],
      ["d", 86400e3, [1, 2, 5, 10, 50, Math.ceil(workedMs / TICKS_MAX / 86400e3)]],
    ];
    const steps = units.flatMap(([name, ms, multiples]) => multiples.map((multiple) => ({ name, ms, step: multiple * ms })));
    const { name, ms, step } = steps.find((unit) => workedMs / unit.step <= TICKS_MAX) ?? steps.at(-1);
    return Array.from({ length: Math.floor(workedMs / step) + 1 }, (_, at) => {
      const breaksBefore = segments.filter((segment, place) => place > 0 && segment.beforeMs < at * step).length;
      return { x: breaksBefore * breakWidth + widthOf(at * step), name: rounded((at * step) / ms, 1) + " " + name };
    });
  };

  // Quantities: from 0 up, in steps that are round in this base.
  const scaleOf = (most, base, multiples) => {
    const magnitude = base ** Math.floor(Math.log(Math.max(most, 1) / TICKS_MAX) / Math.log(base));
    const steps = multiples.map((multiple) => Math.max(multiple * magnitude, 1));
    const step = steps.find((each) => most / each <= TICKS_MAX) ?? steps.at(-1);
    const ticks = Math.max(Math.ceil(most / step), 1);
    return { top: ticks * step, ticks: Array.from({ length: ticks + 1 }, (_, at) => at * step) };
  };
  const decimal = (most) => scaleOf(most, 10, [1, 2, 5, 10, 20]);
  const binary = (most) => scaleOf(most, 2, [1, 2, 4]);

  // Pauses, each with the runs around it. The table of runs can have several runs in one entry.
  const runOf = (number) => report.runs.findLast((run) => run.number <= number);
  const pauses = segments.slice(1).map((segment, at) => ({
    x: segment.x - breakWidth,
    before: runOf(segments[at].run),
    after: runOf(segment.run),
  })).filter(({ before, after }) => before && after && before !== after);
  const NUMBERED_MAX = 10;
  const isNumbered = pauses.length <= NUMBERED_MAX;

  const drawnPauses = () => {
    if (!isNumbered) {
      const d = pauses.map(({ x }) => `M${x.toFixed(1)} 0h${breakWidth.toFixed(1)}v${HEIGHT}h-${breakWidth.toFixed(1)}z`);
      return [svg("path", { class: "pause", d: d.join("") })];
    }
    return pauses.map(({ x, before, after }) => {
      const away = duration(Math.max(after.started_unix_ms - before.seen_unix_ms, 0));
      const title = svg("title", {}, `${away} between runs; the one before: ${before.end}`);
      const place = { x: x.toFixed(1), y: 0, width: breakWidth.toFixed(1), height: HEIGHT };
      return svg("rect", { class: "pause", ...place }, title);
    });
  };

  // A rate is taken over a part of the time that is not too short: commits come in groups.
  const RATE_PARTS = 150;
  const rateOf = new Map();
  const rates = (segment) => {
    const steps = [];
    let from = 0;
    segment.samples.forEach((sample, at) => {
      const first = segment.samples[from];
      const elapsedMs = sample.unix_ms - first.unix_ms;
      const isLast = at === segment.samples.length - 1;
      if (elapsedMs <= 0 || (elapsedMs < workedMs / RATE_PARTS && !isLast)) return;
      const rate = (Math.max(sample.run_epochs - first.run_epochs, 0) * 1000) / elapsedMs;
      steps.push([first.unix_ms, rate], [sample.unix_ms, rate]);
      segment.samples.slice(from, at + 1).forEach((within) => rateOf.has(within) || rateOf.set(within, rate));
      from = at;
    });
    return steps;
  };
  const series = (field) => (segment) => segment.samples.map((sample) => [sample.unix_ms, sample[field]]);
  const most = (lines) => lines.flatMap(({ runs }) => runs.flat()).reduce((most, [, quantity]) => Math.max(most, quantity), 0);
  const mostOf = (field) => report.samples.reduce((most, sample) => Math.max(most, sample[field]), 0);
  const lineOf = (name, kind, points) => ({ name, kind, runs: segments.map(points) });

  const chart = ({ id, title, note, summary, lines, scale, tick, says }) => {
    const yOf = (quantity) => HEIGHT * (1 - Math.min(Math.max(quantity / scale.top, 0), 1));
    const path = (points, segment) => points
      .map(([unixMs, quantity], at) => `${at ? "L" : "M"}${xOf(segment, unixMs).toFixed(1)} ${yOf(quantity).toFixed(1)}`)
      .join("");
    const drawing = svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": title },
      ...scale.ticks.map((quantity) => svg("path", { class: "grid", d: `M0 ${yOf(quantity).toFixed(1)}H${WIDTH}` })),
      ...drawnPauses(),
      ...lines.map(({ kind, runs }) => {
        const d = runs.map((points, at) => path(points, segments[at])).join("");
        return svg("path", { class: "line " + kind, d });
      }),
    );
    const numbers = pauses.slice(0, isNumbered ? NUMBERED_MAX : 0).map(({ x, before }) =>
      html("b", { class: "number", style: `left:${(x + breakWidth / 2) / 10}%` }, grouped(before.number + before.runs)));
    const plot = html("div", { class: "plot" }, drawing, ...numbers);
    const output = html("output", { class: "at" }, summary);
    readOut(plot, output, summary, says);
    const legend = lines.map(({ name, kind }) => html("li", {}, html("i", { class: kind }), name));
    const quantities = scale.ticks.map((quantity) => html("span", { style: `top:${yOf(quantity)}%` }, tick(quantity)));
    const times = timeTicks().map(({ x, name }) =>
      html("span", { style: `left:${x / 10}%`, class: x > 0.94 * WIDTH ? "end" : "" }, name));
    return html("figure", { class: "chart", id },
      html("figcaption", {}, html("h2", {}, title), html("p", {}, note)),
      ...(lines.length > 1 ? [html("ul", { class: "legend" }, ...legend)] : []),
      html("div", { class: "frame" },
        html("div", { class: "y", "aria-hidden": true }, ...quantities), plot,
        html("div", { class: "x", "aria-hidden": true }, ...times)),
      output);
  };

  // Says what is below the pointer.
  const places = segments.flatMap((segment) => segment.samples.map((sample) => ({ sample, x: xOf(segment, sample.unix_ms) })));
  function readOut(plot, output, summary, says) {
    const cursor = html("div", { class: "cursor" });
    const show = (event) => {
      const box = plot.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * WIDTH;
      const nearer = (best, place) => (Math.abs(place.x - x) < Math.abs(best.x - x) ? place : best);
      const nearest = places.reduce(nearer);
      cursor.style.left = nearest.x / 10 + "%";
      plot.append(cursor);
      output.textContent = `${moment(nearest.sample.unix_ms)}: ${says(nearest.sample)}`;
    };
    for (const event of ["pointermove", "pointerdown"]) plot.addEventListener(event, show);
    plot.addEventListener("pointerleave", () => {
      cursor.remove();
      output.textContent = summary;
    });
  }

  const charts = () => {
    const done = (sample) => counted(sample.batches_done, "batch", "batches");
    const rate = [lineOf("epochs a second", "rate", rates)];
    const memory = [
      lineOf("planned for anonymous memory", "planned", series("planned_bytes")),
      lineOf("anonymous", "anonymous", series("anonymous_bytes")),
      lineOf("pages of files", "file", series("file_bytes")),
    ];
    const written = [lineOf("bytes", "written", series("written_bytes"))];
    // A budget that is far above everything else would flatten it.
    const budget = mostOf("budget_bytes");
    if (budget > 0 && budget <= 4 * most(memory)) memory.unshift(lineOf("budget", "budget", series("budget_bytes")));
    const last = report.samples.at(-1);
    const leftOut = breaks ? ". Time between runs is left out, and shaded" : "";
    const ofRunBefore = breaks && isNumbered ? "; the number is that of the run before" : "";
    return [
      chart({
        id: "rate",
        title: "Rate",
        note: `Epochs a second, over the time in which batches were made${leftOut}${ofRunBefore}.`,
        summary: `${perSecond(report.epochs_per_second ?? 0)} on average, ${perSecond(most(rate))} at most.`,
        lines: rate, scale: decimal(most(rate)), tick: perSecond,
        says: (sample) => `${perSecond(rateOf.get(sample) ?? 0)} epochs a second, ${done(sample)} done`,
      }),
      html("div", { class: "pair" },
        chart({
          id: "memory",
          title: "Memory",
          note: "What was resident at each commit. Clean pages of files are the kernel's to drop, and do not count towards a budget.",
          summary: `At most ${bytes(mostOf("anonymous_bytes"))} anonymous and ${bytes(mostOf("file_bytes"))} of files` +
            (budget > 0 ? `, of a budget of ${bytes(budget)}.` : "."),
          lines: memory, scale: binary(most(memory)), tick: bytes,
          says: (sample) => `${bytes(sample.anonymous_bytes)} anonymous, ${bytes(sample.file_bytes)} of files`,
        }),
        chart({
          id: "written",
          title: "Written to RocksDB",
          note: "Bytes of all commits before each moment: checksums, progress, and this history.",
          summary: `${bytes(last.written_bytes)} for ${done(last)}.`,
          lines: written, scale: binary(most(written)), tick: bytes,
          says: (sample) => `${bytes(sample.written_bytes)}, ${done(sample)} done`,
        })),
    ];
  };

  // The map: cells row by row, coloured by the worst in them. Neighbours that hold the same are one rectangle.
  const WORST_FIRST = ["damaged", "in_progress", "not_done", "repaired", "redone", "done"];
  const map = () => {
    const figure = document.getElementById("map");
    const cellCount = report.cells.reduce((sum, { cells }) => sum + cells, 0);
    const columns = Math.max(Math.min(cellCount, cellCount > 512 ? 64 : 32), 1);
    const rows = Math.ceil(cellCount / columns);
    const nameOf = (state) => figure.querySelector(`[data-state=${state}] span`).textContent;
    const rectangle = (entry, first, cells) => {
      const firstBatch = report.first_batch + first * report.cell_batches;
      const lastBatch = report.first_batch + Math.min((first + cells) * report.cell_batches, report.batches) - 1;
      const states = WORST_FIRST.filter((state) => entry[state] > 0);
      const counts = states.map((state) => `${grouped((entry[state] / entry.cells) * cells)} ${nameOf(state)}`);
      const batches = firstBatch === lastBatch ? `batch ${grouped(firstBatch)}`
        : `batches ${grouped(firstBatch)} to ${grouped(lastBatch)}`;
      const look = states[0] === "not_done" && states.length > 1 ? "partly" : states[0];
      const place = { x: first % columns, y: Math.floor(first / columns), width: cells, height: 1 };
      return svg("rect", { class: "s-" + look, ...place }, svg("title", {}, `${batches}: ${counts.join(", ")}`));
    };
    const rectangles = [];
    let first = 0;
    for (const entry of report.cells) {
      for (let left = entry.cells; left > 0;) {
        const inRow = Math.min(left, columns - (first % columns));
        rectangles.push(rectangle(entry, first, inRow));
        [first, left] = [first + inRow, left - inRow];
      }
    }
    const lines = [
      ...Array.from({ length: columns - 1 }, (_, at) => `M${at + 1} 0V${rows}`),
      ...Array.from({ length: Math.max(rows - 1, 0) }, (_, at) => `M0 ${at + 1}H${columns}`),
    ];
    for (const entry of figure.querySelectorAll("[data-state]")) {
      const sign = svg("rect", { class: "s-" + entry.dataset.state, width: 1, height: 1 });
      entry.prepend(svg("svg", { viewBox: "0 0 1 1", "aria-hidden": true }, sign));
    }
    const ofCells = report.cell_batches === 1 ? "Each cell is one batch"
      : `Each cell stands for ${grouped(report.cell_batches)} batches and shows the worst of them; one that is done in part is half filled`;
    const range = `${grouped(report.first_batch)} to ${grouped(report.first_batch + report.batches - 1)}`;
    figure.querySelector("figcaption").append(html("p", {}, `Batches ${range}, row by row. ${ofCells}.`));
    const hint = "Point at a cell to see its batches.";
    const output = html("output", { class: "at" }, hint);
    const drawing = svg(
      "svg",
      { class: "cells", viewBox: `0 0 ${columns} ${rows}`, style: `max-width:${18 * columns}px`, role: "img", "aria-label": "Map of batches" },
      ...rectangles, svg("path", { d: lines.join("") }),
    );
    const show = (event) => (output.textContent = event.target.closest(".cells rect")?.textContent ?? hint);
    for (const event of ["pointermove", "pointerdown"]) drawing.addEventListener(event, show);
    drawing.addEventListener("pointerleave", () => (output.textContent = hint));
    figure.append(drawing, output);
  };

  if (report.samples.length > 0) document.getElementById("map").before(...charts());
  map();
  document.getElementById("undrawn").remove();
})();
