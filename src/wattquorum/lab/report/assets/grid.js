// Grid: the map at a day's worst interval, losses, and voltage and loading over time.

const METERED = 0, PLANNED = 1;
const gridFlow = (day, kind) => report.grid.flows.find((flow) => flow.day === day && flow.kind === kind);
const ratioText = (ppm) => `${(ppm / 1e4).toFixed(2)} %`;
const voltText = (ppm) => `${(ppm / 1e6).toFixed(4)} p.u.`;

// One scale for all days, up to the highest loading of any; the colour of alarm is kept for what is beyond the limit.
const loadingScale = () => [[0, faint(colour("plain"), 0.6)], [0.35, colour("c1")], [1, colour("c2")]];
const loadingTop = () => Math.max(0.05e6, ...report.grid.flows.flatMap((flow) => flow.branches));
const isOverloaded = (ppm) => ppm > (report.grid.limits[2] ?? 1e6);

function mixed(share) {
  const stops = loadingScale(), at = Math.min(1, Math.max(0, share));
  const place = Math.max(1, stops.findIndex(([stop]) => at <= stop));
  const [low, from] = stops[place - 1], [high, to] = stops[place];
  return `color-mix(in srgb, ${to} ${(100 * (at - low)) / (high - low)}%, ${from})`;
}

// Plotly wants plain colours.
function plain(shade) {
  const probe = element("span", "", { style: `color: ${shade}; display: none` });
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  const parts = found.match(/[\d.]+/g).map(Number);
  const [r, g, b] = found.startsWith("color(") ? parts.slice(0, 3).map((part) => Math.round(part * 255)) : parts;
  return `rgba(${r}, ${g}, ${b}, ${parts[3] ?? 1})`;
}

function drawGridMap() {
  const day = Number(chosen("grid-day")), kind = Number(chosen("grid-kind"));
  const flow = gridFlow(day, kind), { nodes, branches } = report.grid;
  if (!flow || !nodes.length || !flow.branches.length) {
    Plotly.purge("grid-map");
    fill("grid-map", element("p", flow ? "These records do not know where the grid's nodes lie." : "This flow was not reported for this day.", { class: "lead" }));
    fill("grid-says");
    return;
  }
  if (!byId("grid-map").querySelector(".main-svg")) fill("grid-map");
  const lon = nodes.map((node) => node[0] / 1e6), lat = nodes.map((node) => node[1] / 1e6);
  const full = Math.max(...flow.branches), top = loadingTop();
  const lines = branches.map(([start, end, name], place) => ({ start, end, name, ppm: flow.branches[place] }));
  // The most loaded lie on top.
  const traces = [...lines].sort((one, other) => one.ppm - other.ppm).map(({ start, end, ppm }) => ({
    type: "scatter", mode: "lines", x: [lon[start], lon[end]], y: [lat[start], lat[end]], hoverinfo: "skip", showlegend: false,
    line: { color: isOverloaded(ppm) ? colour("bad") : plain(mixed(ppm / top)), width: 1.6 + (5 * ppm) / top },
  }));
  traces.push({
    type: "scatter", mode: "markers", showlegend: false, hovertemplate: "%{text}<extra></extra>",
    x: lines.map(({ start, end }) => (lon[start] + lon[end]) / 2), y: lines.map(({ start, end }) => (lat[start] + lat[end]) / 2),
    text: lines.map(({ name, ppm }) => `<b>${name}</b><br>loading ${ratioText(ppm)} of its rating`),
    marker: {
      size: 9, opacity: 0.001, color: lines.map(({ ppm }) => ppm / 1e4), cmin: 0, cmax: top / 1e4,
      colorscale: loadingScale().map(([stop, shade]) => [stop, plain(shade)]), showscale: true,
      colorbar: { title: { text: "loading", side: "right", font: { color: colour("soft") } }, ticksuffix: " %", thickness: 12, outlinewidth: 0, tickfont: { color: colour("soft") }, len: 0.7 },
    },
  });
  const bare = nodes.map((_, place) => place).filter((place) => !nodes[place][4].length);
  traces.push({
    type: "scatter", mode: "markers", name: "other nodes", x: bare.map((place) => lon[place]), y: bare.map((place) => lat[place]),
    text: bare.map((place) => `${nodes[place][2]}<br>${nodes[place][3]}`), hovertemplate: "%{text}<extra></extra>",
    marker: { size: 4.5, color: colour("card"), line: { width: 1, color: colour("plain") } },
  });
  const groups = new Map();
  nodes.forEach(([, , , , here], place) => {
    for (const number of here) {
      const technology = week.members[number].technology;
      if (!groups.has(technology)) groups.set(technology, []);
      groups.get(technology).push({ number, place });
    }
  });
  for (const [technology, found] of [...groups].sort(([one], [other]) => week.colours[one] - week.colours[other])) {
    traces.push({
      type: "scatter", mode: "markers", name: technology, x: found.map(({ place }) => lon[place]), y: found.map(({ place }) => lat[place]),
      text: found.map(({ number, place }) => `<b>${week.names[number]}</b><br>${nodes[place][2]}, ${nodes[place][3]}`), hovertemplate: "%{text}<extra></extra>",
      marker: { size: 12, symbol: week.members[found[0].number].sides[0] === "sell" ? "circle" : "square", color: colour(`c${week.colours[technology]}`), line: { width: 1.5, color: colour("card") } },
    });
  }
  const hidden = { showgrid: false, zeroline: false, showticklabels: false, ticks: "" };
  const middle = (Math.min(...lat) + Math.max(...lat)) / 2;
  draw("grid-map", traces, {
    hovermode: "closest", margin: { l: 8, r: 8, t: 40, b: 8 }, xaxis: { ...hidden },
    yaxis: { ...hidden, scaleanchor: "x", scaleratio: 1 / Math.cos((middle * Math.PI) / 180) },
  });
  const stamp = week.days[day].stamps[flow.worst];
  fill(
    "grid-says", `The worst quarter-hour of ${week.days[day].label} begins at ${stamp.slice(-5)}: `, element("b", `${flow.where} at ${ratioText(full)}`),
    ` of its rating. Over the day the grid lost ${energyText(flow.losses)}, ${percentText(flow.losses, flow.consumption)} of what was used.`,
  );
}

function drawGridLosses() {
  const bars = (kind, name, look) => {
    const flows = week.days.map((_, day) => gridFlow(day, kind));
    return {
      type: "bar", name, x: week.days.map((day) => day.label), y: flows.map((flow) => (flow ? flow.losses / 1000 : null)), marker: look,
      customdata: flows.map((flow) => (flow ? `${energyText(flow.losses)}, ${percentText(flow.losses, flow.consumption)} of use` : "")),
      hovertemplate: `${name}: %{customdata}<extra></extra>`,
    };
  };
  draw("grid-losses", [
    bars(PLANNED, "planned", { color: faint(colour("plain"), 0.55) }), bars(METERED, "metered", { color: colour("c1") }),
  ], { yaxis: axis("kWh lost", { rangemode: "tozero" }), bargroupgap: 0.08 });
}

function gridSeries(kind, name) {
  const points = report.grid.flows.filter((flow) => flow.kind === kind).sort((one, other) => one.day - other.day);
  return { x: points.flatMap((flow) => week.days[flow.day].stamps), y: points.flatMap((flow) => flow[name]) };
}

const gridLimit = (value, text) => (value === undefined ? null : {
  shape: { type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value, line: { color: colour("bad"), width: 1.2, dash: "dash" } },
  annotation: { xref: "paper", x: 1, xanchor: "right", y: value, yanchor: "bottom", text, showarrow: false, font: { color: colour("bad"), size: 11.5 } },
});

function drawOverTime(id, series, limits, title, text) {
  const shown = limits.filter((limit) => limit !== null);
  draw(id, series.map(({ kind, name, label, shade, dash }) => {
    const { x, y } = gridSeries(kind, name);
    return {
      type: "scatter", mode: "lines", name: label, x, y: y.map((ppm) => ppm / (id === "grid-loading" ? 1e4 : 1e6)), line: { color: shade, width: 1.5, dash, shape: "hv" },
      customdata: y.map(text), hovertemplate: `${label}: %{customdata}<extra></extra>`,
    };
  }), {
    hovermode: "x unified", yaxis: axis(title), shapes: shown.map((limit) => limit.shape), annotations: shown.map((limit) => limit.annotation),
  });
}

function drawGridVoltages() {
  const [low, high] = report.grid.limits;
  drawOverTime("grid-voltages", [
    { kind: METERED, name: "high", label: "highest, metered", shade: colour("c3") },
    { kind: METERED, name: "low", label: "lowest, metered", shade: colour("c1") },
    { kind: PLANNED, name: "high", label: "highest, planned", shade: faint(colour("c3"), 0.55), dash: "dot" },
    { kind: PLANNED, name: "low", label: "lowest, planned", shade: faint(colour("c1"), 0.55), dash: "dot" },
  ], [
    low === undefined ? null : gridLimit(low / 1e6, `lowest allowed ${voltText(low)}`),
    high === undefined ? null : gridLimit(high / 1e6, `highest allowed ${voltText(high)}`),
  ], "of the rated voltage", voltText);
}

function drawGridLoading() {
  drawOverTime("grid-loading", [
    { kind: METERED, name: "loading", label: "metered", shade: colour("c1") },
    { kind: PLANNED, name: "loading", label: "planned", shade: faint(colour("plain"), 0.9), dash: "dot" },
  ], [], "% of the rating", ratioText);
}

if (report.grid) {
  drawing(["grid-map"], ["grid-day", "grid-kind"], drawGridMap);
  drawing(["grid-losses"], [], drawGridLosses);
  drawing(["grid-voltages"], [], drawGridVoltages);
  drawing(["grid-loading"], [], drawGridLoading);
}
