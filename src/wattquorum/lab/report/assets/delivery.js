// Promised and delivered: a map of everybody, and one member closely.

function drawMap() {
  const sides = [];
  week.members.forEach((member, number) => {
    for (const side of [SELL, BUY]) {
      if (report.delivery.judged.some((row) => row[1] === number && row[2] === side)) {
        sides.push({ number, side, name: member.sides.length > 1 ? `${member.name} (${side === SELL ? "sells" : "buys"})` : member.name });
      }
    }
  });
  const found = new Map(report.delivery.judged.map((row) => [`${row[0]}:${row[1]}:${row[2]}`, row]));
  const cells = sides.map(({ number, side }) => week.days.map((_, day) => found.get(`${day}:${number}:${side}`) ?? null));
  const share = (row) => (row && row[3] ? (100 * row[4]) / row[3] : null);
  byId("delivery-map").style.minHeight = `${90 + 19 * Math.max(6, sides.length)}px`;
  draw("delivery-map", [{
    type: "heatmap", x: week.days.map((day) => day.label), y: sides.map((each) => each.name),
    z: cells.map((row) => row.map(share)), zmin: 60, zmax: 100, xgap: 2, ygap: 2, hoverongaps: false,
    colorscale: [[0, colour("bad")], [0.6, faint(colour("bad"), 0.45)], [0.875, faint(colour("plain"), 0.3)], [1, colour("c1")]],
    text: cells.map((row) => row.map((cell) => (cell && cell[5] ? "✕" : ""))), texttemplate: "%{text}",
    textfont: { color: colour("ink"), size: 13 },
    customdata: cells.map((row) => row.map((cell) => (cell
      ? `promised ${energyText(cell[3])}<br>delivered ${energyText(cell[4])}<br>${percentText(cell[4], cell[3])}${cell[5] ? ", default" : ""}`
      : ""))),
    hovertemplate: "<b>%{y}</b>, %{x}<br>%{customdata}<extra></extra>",
    colorbar: { title: { text: "delivered", side: "right", font: { color: colour("soft") } }, ticksuffix: " %", thickness: 12, outlinewidth: 0, tickfont: { color: colour("soft") }, len: 0.7 },
  }], {
    xaxis: axis("", { side: "top", showgrid: false, ticks: "" }), yaxis: axis("", { autorange: "reversed", showgrid: false, ticks: "", dtick: 1 }),
    margin: { l: 100, r: 10, t: 40, b: 12 },
  });
}

const ofMember = (rows, member) => rows.filter((row) => row[1] === member);

function drawMemberDays() {
  const member = Number(chosen("delivery-member"));
  const judged = ofMember(report.delivery.judged, member), sums = ofMember(report.delivery.sums, member);
  const perDay = (rows, column) => week.days.map((_, day) => sum(rows.filter((row) => row[0] === day).map((row) => row[column])));
  const bar = (name, wh, look) => ({
    type: "bar", name, x: week.days.map((day) => day.label), y: wh.map((value) => value / 1e6), customdata: wh.map(energyText),
    hovertemplate: `${name}: %{customdata}<extra></extra>`, ...look,
  });
  const defaults = perDay(judged, 5);
  const metered = perDay(sums, 4), promised = perDay(judged, 3);
  draw("delivery-days", [
    bar("promised", promised, { marker: { color: faint(colour("plain"), 0.55) } }),
    bar("delivered of it", perDay(judged, 4), { marker: { color: memberColour(member) } }),
    bar("metered", metered, {
      type: "scatter", mode: "markers", marker: { symbol: "line-ew", size: 26, line: { width: 2, color: colour("ink") } },
    }),
  ], {
    yaxis: axis("MWh", { rangemode: "tozero" }),
    annotations: defaults.flatMap((count, day) => (count ? [{
      x: week.days[day].label, y: Math.max(metered[day], promised[day]) / 1e6, text: "✕ default", showarrow: false, yshift: 14, font: { color: colour("bad"), size: 12 },
    }] : [])),
  });
}

async function drawMemberHours() {
  const member = Number(chosen("delivery-member")), day = Number(chosen("delivery-day"));
  if (!hasDetails) {
    fill("delivery-hours", element("p", DETAILS_MISSING));
    return;
  }
  const all = await details();
  if (member !== Number(chosen("delivery-member")) || day !== Number(chosen("delivery-day"))) return;
  const stamps = week.days[day].stamps;
  const promised = stamps.map(() => 0), metered = stamps.map(() => 0);
  latestRevisions().forEach((revision, contract) => {
    const [ofDay, seller, buyer] = week.contracts[contract];
    if (ofDay !== day || (seller !== member && buyer !== member)) return;
    const [places, energies] = all.intervals[`${contract}:${revision}`] ?? [[], []];
    places.forEach((interval, i) => { promised[interval] += energies[i]; });
  });
  const seen = new Map();
  for (const [ofDay, who, side, revision] of report.bills.positions) {
    if (ofDay === day && who === member) seen.set(side, revision);
  }
  for (const [side, revision] of seen) {
    all.positions[`${day}:${member}:${side}:${revision}`][1].forEach((wh, interval) => { metered[interval] += wh; });
  }
  const area = (name, wh, shade, share) => ({
    type: "scatter", mode: "lines", name, x: stamps, y: wh.map((value) => value / 1000), stackgroup: "energy",
    line: { width: 0, shape: "hv", color: shade }, fillcolor: faint(shade, share), customdata: wh.map(energyText),
    hovertemplate: `${name}: %{customdata}<extra></extra>`,
  });
  draw("delivery-hours", [
    area("metered, promised", stamps.map((_, i) => Math.min(promised[i], metered[i])), memberColour(member), 0.75),
    area("missed", stamps.map((_, i) => Math.max(0, promised[i] - metered[i])), colour("bad"), 0.55),
    area("metered, beyond promises", stamps.map((_, i) => Math.max(0, metered[i] - promised[i])), memberColour(member), 0.22),
    {
      type: "scatter", mode: "lines", name: "promised", x: stamps, y: promised.map((wh) => wh / 1000), hoverinfo: "skip",
      line: { color: colour("ink"), width: 1.4, shape: "hv" },
    },
  ], { hovermode: "x unified", xaxis: axis("", { tickformat: "%H:%M" }), yaxis: axis("kWh in each interval", { rangemode: "tozero" }) });
  const missed = sum(promised.map((wh, i) => Math.max(0, wh - metered[i])));
  fill(
    "delivery-says",
    element("b", week.names[member]), ` on ${week.days[day].label}: promised ${energyText(sum(promised))}, metered ${energyText(sum(metered))}, `,
    `missed ${energyText(missed)} over all intervals.`,
  );
}

function latestRevisions() {
  const latest = new Map();
  for (const [contract, revision] of report.bills.settlements) latest.set(contract, revision);
  return latest;
}

drawing(["delivery-map"], [], drawMap);
drawing(["delivery-days"], ["delivery-member"], drawMemberDays);
drawing(["delivery-hours"], ["delivery-member", "delivery-day"], drawMemberHours);
