// Standing: weights by component after a day, and voting power by tolerance.

const COMPONENTS = ["credit", "volume", "participation", "certificates", "carbon", "line"];

// Above charts of many rows: over the whole width, in the order of the marks.
const rowLegend = () => ({ orientation: "h", traceorder: "normal", xref: "container", x: 0, yref: "container", y: 1, yanchor: "top", font: { color: colour("soft"), size: 12 } });

// What a component adds to the weight: its points times its coefficient.
function drawWeights() {
  const day = Number(chosen("standing-day"));
  const rows = report.standing.weights.filter((row) => row[0] === day).sort((one, other) => one[9] - other[9]);
  const label = ([, member, side]) => `${week.names[member]}${week.members[member].sides?.length > 1 ? (side === SELL ? " sells" : " buys") : ""}`;
  const traces = COMPONENTS.map((name, place) => {
    const parts = rows.map((row) => row[3 + place] * report.standing.coefficients[day][row[2]][place] / 1e6);
    return {
      type: "bar", orientation: "h", name, y: rows.map(label), x: parts.map((part) => part / 1e6), marker: { color: colour(`c${place + 1}`) },
      customdata: rows.map((row) => `${label(row)}: ${pointsText(row[3 + place])} points of ${name} times ${decimal(report.standing.coefficients[day][row[2]][place], 6, 2)}; weight ${pointsText(row[9])}`),
      hovertemplate: "%{customdata}<extra></extra>",
    };
  });
  draw("standing-weights", traces, { barmode: "stack", xaxis: axis("weight [points]"), yaxis: axis("", { automargin: true, dtick: 1, tickfont: { size: 11, color: colour("soft") } }), margin: { l: 90, r: 8, t: 8, b: 44 }, legend: rowLegend() });
}

// One member's weight over the days; of a prosumer both sides, each with its own bar.
function drawStandingInTime() {
  const member = Number(chosen("standing-member"));
  const rows = report.standing.weights.filter((row) => row[1] === member);
  const label = (row) => `${week.days[row[0]].label}${week.members[member].sides.length > 1 ? (row[2] === SELL ? ", sells" : ", buys") : ""}`;
  const traces = COMPONENTS.map((name, place) => ({
    type: "bar", name, x: rows.map(label), marker: { color: colour(`c${place + 1}`) },
    y: rows.map((row) => row[3 + place] * report.standing.coefficients[row[0]][row[2]][place] / 1e12),
    customdata: rows.map((row) => `${label(row)}: ${pointsText(row[3 + place])} points of ${name}; weight ${pointsText(row[9])}`),
    hovertemplate: "%{customdata}<extra></extra>",
  }));
  draw("standing-time", traces, { barmode: "stack", yaxis: axis("weight [points]"), xaxis: axis("", { showgrid: false }) });
}

// A row for every owner's vote: its power where nobody may be lost, at the default and at the highest tolerance.
function drawPower() {
  const rows = [...report.standing.power].reverse(), names = rows.map((row) => week.names[row[0]]);
  const highest = rows.length ? rows[0].length - 3 : 0, { tolerance } = report.standing;
  const share = (at) => rows.map((row) => (row[2 + at] * 100) / sum(rows.map((each) => each[2 + at])));
  const marks = [[0, "circle-open", "c1", "tolerance 0", 11], [tolerance, "circle", "c1", `${tolerance}, the default`, 6], [highest, "diamond", "c3", `${highest}, the highest`, 8]]
    .filter(([at], place) => place === 0 || (place === 1 ? at > 0 : at > tolerance));
  const ways = { type: "scatter", mode: "lines", x: [], y: [], line: { width: 1.5, color: colour("line") }, hoverinfo: "skip", showlegend: false };
  const [from, to] = [share(0), share(highest)];
  names.forEach((name, place) => { ways.x.push(from[place], to[place], null); ways.y.push(name, name, null); });
  const traces = marks.map(([at, symbol, shade, name, size]) => ({
    type: "scatter", mode: "markers", name, x: share(at), y: names, marker: { symbol, size, color: colour(shade), line: { width: 1.6, color: colour(shade) } },
    customdata: rows.map((row) => pointsText(row[1])), hovertemplate: `%{y}, weight %{customdata}: %{x:.2f} % at tolerance ${at}<extra></extra>`,
  }));
  const even = { type: "line", yref: "paper", y0: 0, y1: 1, x0: 100 / rows.length, x1: 100 / rows.length, line: { width: 1, dash: "dot", color: colour("plain") } };
  const says = { xref: "x", x: 100 / rows.length, y: rows.length, xanchor: "right", xshift: -4, text: "equal votes", showarrow: false, font: { size: 12, color: colour("soft") } };
  draw("standing-power", [ways, ...traces], {
    xaxis: axis("voting power [%]", { rangemode: "tozero" }), yaxis: axis("", { dtick: 1, automargin: true, range: [-0.7, rows.length + 0.5], tickfont: { size: 11, color: colour("soft") } }), margin: { l: 90, r: 8, t: 8, b: 44 }, legend: rowLegend(),
    shapes: rows.length ? [even] : [], annotations: rows.length ? [says] : [],
  });
}

drawing(["standing-weights"], ["standing-day"], drawWeights);
drawing(["standing-time"], ["standing-member"], drawStandingInTime);
drawing(["standing-power"], [], drawPower);
