// Certificates: what was certified and is held, and what a whole certificate is made of.

const SOURCE_COLOURS = { wind: "c1", sun: "c2", biomass: "c4" };

function drawCertified() {
  const rows = report.green.certified;
  const days = week.days.map((day) => day.label);
  const sources = [...new Set(rows.map((row) => row[1]))].sort();
  const traces = sources.map((source) => {
    const amounts = days.map((_, day) => sum(rows.filter((row) => row[0] === day && row[1] === source).map((row) => row[2])));
    return {
      type: "bar", name: source, x: days, y: amounts.map((amount) => amount / 1e6), marker: { color: colour(SOURCE_COLOURS[source] ?? "plain") },
      customdata: amounts.map(energyText), hovertemplate: `${source}, %{x}: %{customdata}<extra></extra>`,
    };
  });
  draw("green-certified", traces, { barmode: "stack", yaxis: axis("certified [MWh]") });
}

// A row for every holder, who holds most on top, with the number in each cell.
function drawHeld() {
  const rows = report.green.held;
  const days = week.days.map((day) => day.label);
  const holders = [...new Set(rows.map((row) => row[1]))].map((holder) => ({
    name: week.names[holder], held: days.map((_, day) => rows.find((row) => row[0] === day && row[1] === holder)?.[2] ?? 0),
  }));
  holders.sort((one, other) => one.held.at(-1) - other.held.at(-1) || other.name.localeCompare(one.name, "en", { numeric: true }));
  byId("green-held").style.minHeight = `${60 + 24 * Math.max(holders.length, 2)}px`;
  draw("green-held", [{
    type: "heatmap", x: days, y: holders.map((holder) => holder.name), z: holders.map((holder) => holder.held), showscale: false, xgap: 2, ygap: 2,
    text: holders.map((holder) => holder.held.map((count) => (count ? String(count) : ""))), texttemplate: "%{text}",
    colorscale: [[0, colour("wash")], [1, colour("c1")]], hovertemplate: "%{y}, %{x}: %{z} whole certificates<extra></extra>",
  }], { yaxis: axis("", { showgrid: false, ticks: "", dtick: 1 }), xaxis: axis("", { showgrid: false, side: "top" }), margin: { l: 90, r: 8, t: 34, b: 8 } });
}

const productionTime = () => new Intl.DateTimeFormat("en-GB", { timeZone: week.zone, day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

function lineageOf(bundle) {
  const parents = new Map();
  for (const [child, parent] of report.green.lineage) parents.set(child, [...(parents.get(child) ?? []), parent]);
  const found = [], seen = new Set();
  const walk = (at, depth) => {
    if (seen.has(at)) return;
    seen.add(at);
    found.push([at, depth]);
    const older = (parents.get(at) ?? []).sort((one, other) => report.green.bundles[one][6] - report.green.bundles[other][6]);
    for (const parent of older) walk(parent, depth + 1);
  };
  walk(bundle, 0);
  return found;
}

function drawLineage() {
  const at = chosen("green-bundle");
  if (at === "") return fill("green-lineage", element("p", "No whole certificate was made yet."));
  const time = productionTime();
  const found = lineageOf(Number(at));
  const issued = found.filter(([place]) => !report.green.lineage.some(([child]) => child === place));
  const rows = found.map(([place, depth]) => {
    const [id, owner, , unit, first, end, start, stop, status, beneficiary, said, made, ended] = report.green.bundles[place];
    const size = energyText((end - first) * unit);
    const about = [report.green.statuses[status].replace("_", " "), ended >= 0 ? `in block ${ended}` : "", beneficiary && `for ${beneficiary}`, said].filter(Boolean).join(", ");
    return [`${"\u2003".repeat(depth)}${id.slice(0, 8)}`, unit === 1 ? "granular" : "whole", size, time.formatRange(start, stop), String(made), week.names[owner], about];
  });
  const moves = report.green.moves.filter(([bundle]) => found.some(([place]) => place === bundle)).map(([bundle, height, giver, taker, amount]) => [
    report.green.bundles[bundle][0].slice(0, 8), String(height), week.names[giver], week.names[taker], amount ? moneyText(amount) : "given",
  ]);
  const parts = [
    element("p", `Goes back to ${issued.length} bundle${issued.length === 1 ? "" : "s"} of ${week.meters[report.green.bundles[at][2]]} that an issuer certified. Each line is what the one above it was made of.`),
    element("div", tableOf("Lineage, the youngest first", [["bundle", "l"], ["kind", "l"], ["size", "r"], ["produced", "l"], ["block", "r"], ["holder", "l"], ["stands", "t"]], rows), { class: "scroll", tabindex: "0" }),
  ];
  if (moves.length) parts.push(element("div", tableOf("Changed hands", [["bundle", "l"], ["block", "r"], ["from", "l"], ["to", "l"], ["paid", "r"]], moves), { class: "scroll", tabindex: "0" }));
  fill("green-lineage", ...parts);
}

drawing(["green-certified"], [], drawCertified);
drawing(["green-held"], [], drawHeld);
drawing(["green-lineage"], ["green-bundle"], drawLineage);
