// Energy flows as a Sankey whose sums close, and the quarter-hours of all days.

const flowRows = () => {
  const day = chosen("energy-day");
  return report.energy.flows.filter((row) => day === "" || row[0] === Number(day));
};

function drawFlows() {
  const byMember = chosen("energy-group") === "member";
  const rows = flowRows();
  const nodes = [], index = new Map();
  const node = (key, label, shade) => {
    if (!index.has(key)) { index.set(key, nodes.length); nodes.push({ label, shade, wh: 0 }); }
    return index.get(key);
  };
  const market = node("market", "traded on contracts", colour("good"));
  const grid = node("grid", "grid", colour("plain"));
  const links = new Map();
  const flow = (from, to, wh) => {
    if (wh > 0) links.set(`${from}:${to}`, (links.get(`${from}:${to}`) ?? 0) + wh);
  };
  for (const [, member, side, , traded, onContracts, beyond] of rows) {
    const { name, technology } = week.members[member];
    const own = node(`${side}:${byMember ? name : technology}`, byMember ? name : technology, technologyColour(technology));
    const toGrid = onContracts + beyond;
    if (side === SELL) { flow(own, market, traded); flow(own, grid, toGrid); }
    else { flow(market, own, traded); flow(grid, own, toGrid); }
  }
  const total = (side, columns) => sum(rows.filter((row) => row[2] === side).map((row) => sum(columns.map((i) => row[i]))));
  const injected = total(SELL, [3]), withdrawn = total(BUY, [3]);
  const sold = total(SELL, [4]), bought = total(BUY, [4]);
  const toGrid = total(SELL, [5, 6]), fromGrid = total(BUY, [5, 6]);
  if (toGrid > fromGrid) flow(grid, node("beyond", "taken in by the grid operator", colour("plain")), toGrid - fromGrid);
  if (fromGrid > toGrid) flow(node("beyond", "supplied by the grid operator", colour("plain")), grid, fromGrid - toGrid);

  const flows = [...links].map(([key, wh]) => ({ from: Number(key.split(":")[0]), to: Number(key.split(":")[1]), wh }));
  for (const each of flows) nodes[each.from].wh += each.wh;
  for (const each of flows) if (!flows.some((other) => other.from === each.to)) nodes[each.to].wh += each.wh;
  byId("energy-flow").style.minHeight = byMember ? "760px" : "500px";
  draw("energy-flow", [{
    type: "sankey", arrangement: "snap", valueformat: ",", valuesuffix: " Wh", orientation: "h",
    textfont: { color: colour("ink"), size: 12.5 },
    node: {
      label: nodes.map((each) => `${each.label}  ${(each.wh / 1e6).toFixed(1)} MWh`), color: nodes.map((each) => each.shade),
      customdata: nodes.map((each) => `${each.label}: ${energyText(each.wh)}`), hovertemplate: "%{customdata}<extra></extra>",
      pad: byMember ? 7 : 16, thickness: 15, line: { width: 0 },
    },
    link: {
      source: flows.map((each) => each.from), target: flows.map((each) => each.to), value: flows.map((each) => each.wh),
      color: flows.map((each) => faint(nodes[each.from === market || each.from === grid ? each.to : each.from].shade, 0.34)),
      customdata: flows.map((each) => `${nodes[each.from].label} to ${nodes[each.to].label}: ${energyText(each.wh)}`),
      hovertemplate: "%{customdata}<extra></extra>",
    },
  }], { margin: { l: 8, r: 8, t: 12, b: 12 } });

  const closes = (gap) => (gap === 0 ? "closes exactly" : `IS OPEN by ${energyText(gap)}`);
  const strong = (text) => element("b", text);
  fill(
    "energy-closing",
    "Injected ", strong(energyText(injected)), ` = ${energyText(sold)} traded + ${energyText(toGrid)} to the grid: `,
    strong(closes(injected - sold - toGrid)), ". Withdrawn ", strong(energyText(withdrawn)),
    ` = ${energyText(bought)} traded + ${energyText(fromGrid)} from the grid: `,
    strong(closes(withdrawn - bought - fromGrid)), `. Sold and bought on contracts: ${closes(sold - bought)}. `,
    toGrid >= fromGrid
      ? `The grid took in ${energyText(toGrid - fromGrid)} more than it supplied.`
      : `The grid supplied ${energyText(fromGrid - toGrid)} more than it took in.`,
  );
}

function drawTime() {
  const x = week.days.flatMap((day) => day.stamps);
  const line = (name, key, shade, more) => {
    const wh = report.energy.time.flatMap((day) => day[key]);
    return {
      type: "scatter", mode: "lines", name, x, y: wh.map((value) => value / 1000),
      line: { color: shade, width: 1.6, shape: "hv" }, customdata: wh.map(energyText),
      hovertemplate: `${name}: %{customdata}<extra></extra>`, ...more,
    };
  };
  draw("energy-time", [
    line("traded", "traded", colour("good"), { fill: "tozeroy", fillcolor: faint(colour("good"), 0.25) }),
    line("injected", "injected", colour("c1"), {}),
    line("withdrawn", "withdrawn", colour("c6"), { line: { color: colour("c6"), width: 1.6, shape: "hv", dash: "dot" } }),
  ], { hovermode: "x unified", xaxis: axis("", { tickformat: "%a %-d %b" }), yaxis: axis("kWh in each interval", { rangemode: "tozero" }) });
}

drawing(["energy-flow"], ["energy-day", "energy-group"], drawFlows);
drawing(["energy-time"], [], drawTime);
