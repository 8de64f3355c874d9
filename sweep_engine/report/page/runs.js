// What a dot or a cell says of its runs.
const DIRECTORY = "DIR";
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
const short = (value) =>
  typeof value === "number" || (value !== "" && isFinite(value)) ? `${Number(Number(value).toPrecision(4))}` : value;

const describeSetting = (id) => {
  const [source, at] = settings[id];
  return [source, ...Object.entries(at).map(([path, value]) => `${path.split(".").pop()} = ${short(value)}`)];
};

const describeRun = ({ run, setting, outcomes }, i) => [
  `run ${run[i]}`,
  ...describeSetting(setting[i]),
  ...Object.entries(outcomes).map(([name, values]) => `${name} ${short(values[i])}`),
];

// The commonest settings of a cell; `entries` are places in the lists of its trace.
const describeCell = ({ count, setting }, entries) => {
  const total = entries.reduce((sum, k) => sum + count[k], 0);
  const first = [...entries].sort((a, b) => count[b] - count[a]).slice(0, 3);
  const lines = first.map((k) => `${count[k].toLocaleString("en")}: ${describeSetting(setting[k]).join(", ")}`);
  if (entries.length > 3) lines.push(`and ${entries.length - 3} more settings`);
  return [`${total.toLocaleString("en")} runs`, ...lines];
};

const lookUp = (plot, { curveNumber, pointNumber }) => {
  const { meta } = plot.data[curveNumber] ?? {};
  if (!meta?.run) return null;
  if (!meta.cells) return { id: meta.run[pointNumber], lines: describeRun(meta, pointNumber) };
  const entries = meta.cells[pointNumber[0]][pointNumber[1]];
  return entries.length ? { id: meta.run[entries[0]], lines: describeCell(meta, entries) } : null;
};

const readOut = (plot, point) => {
  const found = lookUp(plot, point);
  if (!found) return;
  const command = document.createElement("code");
  command.textContent = `sweep-engine show ${DIRECTORY} ${found.id}`;
  const which = plot.data[point.curveNumber].meta.cells ? "One of them: " : "";
  plot.closest("figure").querySelector(".readout").replaceChildren(`${found.lines.join(" · ")}. ${which}`, command);
};

const places = (plot) => plot.data.flatMap(({ meta }, curveNumber) => {
  if (!meta?.run) return [];
  if (!meta.cells) return meta.run.map((_, pointNumber) => ({ curveNumber, pointNumber }));
  return meta.cells.flatMap((line, row) => line.flatMap((entries, column) =>
    entries.length ? [{ curveNumber, pointNumber: [row, column] }] : []));
});

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 100, PageUp: -100 };

// Let clicks and the keyboard reach the runs of a plot.
const openRuns = (plot) => {
  if (plot.tabIndex === 0 || !plot.data.some((trace) => trace.meta?.run)) return;
  plot.tabIndex = 0;
  plot.setAttribute("role", "application");
  plot.ariaLabel += ". Arrow keys go from one run to the next";
  const readout = plot.closest("figure").querySelector(".readout");
  readout.hidden = false;
  readout.textContent ||= `Click a dot, or focus a panel and use the arrow keys: the run, and the command that shows all of it. ${DIRECTORY} is the folder of this page.`;
  plot.on("plotly_click", ({ points }) => readOut(plot, points[0]));
  let at = -1;
  plot.addEventListener("keydown", (event) => {
    const all = places(plot);
    if (!(event.key in STEPS) || !all.length) return;
    event.preventDefault();
    at = Math.min(Math.max(at + STEPS[event.key], 0), all.length - 1);
    Plotly.Fx.hover(plot, [all[at]]);
    readOut(plot, all[at]);
  });
};
