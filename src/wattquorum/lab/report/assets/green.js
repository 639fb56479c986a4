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

function drawHeld() {
  const rows = report.green.held;
  const holders = [...new Set(rows.map((row) => row[1]))].sort((one, other) => one - other);
  const days = week.days.map((day) => day.label);
  const traces = holders.map((holder) => {
    const held = days.map((_, day) => rows.find((row) => row[0] === day && row[1] === holder)?.[2] ?? null);
    return {
      type: "scatter", mode: "lines+markers", name: week.names[holder], x: days, y: held, line: { width: 1.8, color: holder < week.members.length ? memberColour(holder) : colour("plain") },
      showlegend: false, hovertemplate: `${week.names[holder]}, %{x}: %{y} whole certificates<extra></extra>`,
    };
  });
  draw("green-held", traces, { yaxis: axis("whole certificates held", { rangemode: "tozero" }), xaxis: axis("day that was closed", { showgrid: false }), hovermode: "closest" });
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
    const [id, owner, meter, unit, first, end, start, stop, status, beneficiary, said, made, ended] = report.green.bundles[place];
    const size = energyText((end - first) * unit);
    const about = [report.green.statuses[status].replace("_", " "), ended >= 0 ? `in block ${ended}` : "", beneficiary && `for ${beneficiary}`, said].filter(Boolean).join(", ");
    return [`${"\u2003".repeat(depth)}${id.slice(0, 8)}`, unit === 1 ? "granular" : "whole", size, week.meters[meter], `${time.format(start)} to ${time.format(stop)}`, String(made), week.names[owner], about];
  });
  const moves = report.green.moves.filter(([bundle]) => found.some(([place]) => place === bundle)).map(([bundle, height, giver, taker, amount]) => [
    report.green.bundles[bundle][0].slice(0, 8), String(height), week.names[giver], week.names[taker], amount ? moneyText(amount) : "given",
  ]);
  const parts = [
    element("p", `Goes back to ${issued.length} bundle${issued.length === 1 ? "" : "s"} that an issuer certified. Each line is what the one above it was made of.`),
    element("div", tableOf("Lineage, the youngest first", [["bundle", "l"], ["kind", "l"], ["size", "r"], ["device", "l"], ["produced", "l"], ["block", "r"], ["holder", "l"], ["stands", "l"]], rows), { class: "scroll", tabindex: "0" }),
  ];
  if (moves.length) parts.push(element("div", tableOf("Changed hands", [["bundle", "l"], ["block", "r"], ["from", "l"], ["to", "l"], ["paid", "r"]], moves), { class: "scroll", tabindex: "0" }));
  fill("green-lineage", ...parts);
}

drawing(["green-certified"], [], drawCertified);
drawing(["green-held"], [], drawHeld);
drawing(["green-lineage"], ["green-bundle"], drawLineage);
