// Standing: weights by component after a day, and voting power by tolerance.

const COMPONENTS = ["credit", "volume", "participation", "certificates", "carbon", "line"];

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
  draw("standing-weights", traces, { barmode: "stack", xaxis: axis("weight [points]"), yaxis: axis("", { automargin: true, dtick: 1 }), margin: { l: 110 } });
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

function drawPower() {
  const rows = report.standing.power;
  const tolerances = rows.length ? rows[0].slice(2).map((_, tolerance) => tolerance) : [];
  const traces = rows.map((row) => ({
    type: "scatter", mode: "lines", name: week.names[row[0]], x: tolerances, y: row.slice(2).map((power, at) => (power * 100) / sum(rows.map((each) => each[2 + at]))),
    line: { shape: "hvh", width: 1.6, color: memberColour(row[0]) }, showlegend: false,
    hovertemplate: `${week.names[row[0]]}, weight ${pointsText(row[1])}: %{y:.2f} % at tolerance %{x}<extra></extra>`,
  }));
  draw("standing-power", traces, { xaxis: axis("tolerance: voters that may be lost", { dtick: 1 }), yaxis: axis("voting power [%]", { rangemode: "tozero" }), hovermode: "closest" });
}

drawing(["standing-weights"], ["standing-day"], drawWeights);
drawing(["standing-time"], ["standing-member"], drawStandingInTime);
drawing(["standing-power"], [], drawPower);
