// Draws the plots in the colours of the ground, with what the filter leaves of them.
const plots = read("plots");
const darkOf = read("dark");
const darkGround = matchMedia("(prefers-color-scheme: dark)");
const isPrinting = () => document.documentElement.classList.contains("printing");
const touch = matchMedia("(pointer: coarse)").matches;
const hidden = new Map();  // plot -> names switched off in its legend
for (const plot of document.querySelectorAll(".plot")) hidden.set(plot, new Set());
const config = { responsive: true, displayModeBar: false };

// A copy in the colours of the ground; plotly changes what it is given.
const themed = (value, isDark = darkGround.matches && !isPrinting()) => {
  if (typeof value === "string") {
    return value.replace(/^rgba\((\d+,\d+,\d+),/, (whole, rgb) =>
      `rgba(${(isDark && darkOf[rgb]) || rgb},`);
  }
  if (Array.isArray(value)) return value.map((item) => themed(item, isDark));
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, themed(item, isDark)]));
};

const numbers = (array) => array.bdata === undefined
  ? array
  : new Float64Array(Uint8Array.from(atob(array.bdata), (byte) => byte.charCodeAt(0)).buffer);

const keep = (trace, kept) => {
  const take = (array) => { const all = numbers(array); return kept.map((i) => all[i]); };
  const copy = { ...trace, x: take(trace.x), y: take(trace.y) };
  if (Array.isArray(trace.text)) copy.text = take(trace.text);
  return [copy, take];
};

const ofRuns = (trace) => {
  const { run, setting, outcomes } = trace.meta;
  const [copy, take] = keep(trace, [...run.keys()].filter((i) => settingPasses(setting[i])));
  const told = Object.entries(outcomes).map(([name, values]) => [name, take(values)]);
  const meta = { run: take(run), setting: take(setting), outcomes: Object.fromEntries(told) };
  return { ...copy, meta, text: meta.run.map((_, i) => describeRun(meta, i).map(escaped).join("<br>")) };
};

// Add up the counts of the settings that pass: counts, and so no estimate.
const ofCells = (trace) => {
  const { row, column, count, setting, log } = trace.meta;
  const [width, height] = [trace.x, trace.y].map((edges) => numbers(edges).length - 1);
  const cells = Array.from({ length: height }, () => Array.from({ length: width }, () => []));
  row.forEach((_, k) => { if (settingPasses(setting[k])) cells[row[k]][column[k]].push(k); });
  const each = (tell) => cells.map((line) => line.map((entries) => (entries.length ? tell(entries) : null)));
  const z = each((entries) => {
    const total = entries.reduce((sum, k) => sum + count[k], 0);
    return log ? Math.log10(total) : total;
  });
  const text = each((entries) => describeCell(trace.meta, entries).map(escaped).join("<br>"));
  return { ...trace, z, text, meta: { ...trace.meta, cells } };
};

const alongAxis = (trace, { path, values, x }) => {
  const nearest = (at) => x.reduce((best, place, i) => (Math.abs(place - at) < Math.abs(x[best] - at) ? i : best), 0);
  const all = numbers(trace.x);
  const shown = (i) => isNaN(all[i]) || chosen.get(path).has(values[nearest(all[i])]);
  return keep(trace, [...all.keys()].filter(shown))[0];
};

const filtered = (trace, { along }) => {
  if (trace.meta?.cells || trace.meta?.row) return ofCells(trace);
  if (trace.meta?.run) return ofRuns(trace);
  return along && isFiltered(along.path) && trace.type === "scatter" ? alongAxis(trace, along) : trace;
};

// What is pooled over a filtered axis gives way to its parts, where the page has them.
const tracesOf = (panel) => {
  const isDivided = panel.details.length && panel.place.over.some(isFiltered);
  const parts = panel.details.filter((detail) => passes(detail.at));
  const traces = isDivided ? parts.flatMap((part) => part.data) : panel.data;
  return traces.map((trace) => filtered(trace, panel));
};

const draw = (plot) => {
  if (plot.closest("[hidden]")) return;
  const panel = plots[plot.dataset.figure][plot.dataset.panel];
  const traces = tracesOf(panel);
  const data = traces.map(({ meta, ...look }) => (meta ? { ...themed(look), meta } : themed(look)));
  const layout = themed(panel.layout);
  const shown = (item) => !hidden.get(plot).has(item.name);
  if (isPrinting()) {
    const font = { ...layout.font, size: 10 };
    Object.assign(layout, { width: plot.clientWidth, height: plot.clientHeight, font });
  }
  if (touch) layout.dragmode = false;  // a finger scrolls the page
  const shapes = layout.shapes.filter(shown);
  Plotly.react(plot, data.filter(shown), { ...layout, shapes }, config);
  drawLegend(plot, [...data, ...layout.shapes].filter((item) => item.showlegend));
  openRuns(plot);
};

const drawLegend = (plot, items) => {
  const legend = plot.previousElementSibling;
  const names = hidden.get(plot);
  while (legend.children.length > items.length) legend.lastChild.remove();
  items.forEach((item, index) => {
    const button = legend.children[index] ?? legend.appendChild(document.createElement("button"));
    const key = document.createElement("span");
    key.className = "key " + (item.mode === "markers" ? "dot" : item.type === "bar" || item.fill ? "area" : "");
    key.style.setProperty("--colour", item.marker?.color ?? item.fillcolor ?? item.line.color);
    key.style.setProperty("--dash", { dash: "dashed", dot: "dotted" }[item.line?.dash] ?? "solid");
    button.replaceChildren(key, item.name);
    button.type = "button";
    button.setAttribute("aria-pressed", !names.has(item.name));
    button.onclick = () => {
      if (!names.delete(item.name)) names.add(item.name);
      draw(plot);
    };
  });
};

const drawAll = () => hidden.forEach((names, plot) => draw(plot));
