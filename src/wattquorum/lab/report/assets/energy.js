// Energy flows as a Sankey whose sums close, and the quarter-hours of all days.

const flowRows = () => {
  const day = chosen("energy-day");
  return report.energy.flows.filter((row) => day === "" || row[0] === Number(day));
};

function drawFlows() {
  const byMember = chosen("energy-group") === "member";
  const rows = flowRows();
  const flows = new Flows();
  const market = flows.node("market", "traded on contracts", colour("good"));
  const grid = flows.node("grid", "grid", colour("plain"));
  for (const [, member, side, , traded, onContracts, beyond] of rows) {
    const { name, technology } = week.members[member];
    const own = flows.node(`${side}:${byMember ? name : technology}`, byMember ? name : technology, technologyColour(technology));
    const toGrid = onContracts + beyond;
    if (side === SELL) { flows.add(own, market, traded); flows.add(own, grid, toGrid); }
    else { flows.add(market, own, traded); flows.add(grid, own, toGrid); }
  }
  const total = (side, columns) => sum(rows.filter((row) => row[2] === side).map((row) => sum(columns.map((i) => row[i]))));
  const injected = total(SELL, [3]), withdrawn = total(BUY, [3]);
  const sold = total(SELL, [4]), bought = total(BUY, [4]);
  const toGrid = total(SELL, [5, 6]), fromGrid = total(BUY, [5, 6]);
  if (toGrid > fromGrid) flows.add(grid, flows.node("beyond", "taken in by the grid operator", colour("plain")), toGrid - fromGrid);
  if (fromGrid > toGrid) flows.add(flows.node("beyond", "supplied by the grid operator", colour("plain")), grid, fromGrid - toGrid);

  byId("energy-flow").style.minHeight = byMember ? "760px" : "500px";
  flows.draw("energy-flow", {
    middle: [market, grid], pad: byMember ? 7 : 16, textOf: energyText, labelOf: (node) => `${node.label}  ${(node.amount / 1e6).toFixed(1)} MWh`,
    empty: "Nothing was metered.",
  });

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
