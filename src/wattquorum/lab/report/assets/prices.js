// Contract prices inside the band of each day.

function drawPrices() {
  const by = chosen("prices-by") === "seller" ? 1 : 2;
  const groups = new Map();
  week.contracts.forEach((contract) => {
    const { technology } = week.members[contract[by]];
    if (!groups.has(technology)) groups.set(technology, []);
    groups.get(technology).push(contract);
  });
  const largest = Math.max(1, ...week.contracts.map((contract) => contract[3]));
  const perDay = week.days.map(() => 0);
  const place = new Map();
  week.contracts.forEach((contract) => place.set(contract, perDay[contract[0]]++));
  // Contracts of a day stand side by side in the order of their acceptance.
  const x = (contract) => contract[0] + 0.84 * ((place.get(contract) + 0.5) / perDay[contract[0]] - 0.5);
  const traces = [...groups].map(([technology, own]) => ({
    type: "scatter", mode: "markers", name: technology, x: own.map(x), y: own.map((contract) => contract[4] / 1e6),
    error_y: {
      type: "data", symmetric: false, width: 0, thickness: 1.2, color: technologyColour(technology),
      array: own.map((contract) => (contract[6] - contract[4]) / 1e6),
      arrayminus: own.map((contract) => (contract[4] - contract[5]) / 1e6),
    },
    marker: {
      color: technologyColour(technology), size: own.map((contract) => 6 + 20 * Math.sqrt(contract[3] / largest)),
      opacity: 0.78, line: { width: 0.8, color: colour("card") },
    },
    customdata: own.map((contract) => [
      `${week.names[contract[1]]} to ${week.names[contract[2]]}`, priceText(contract[4]), energyText(contract[3]), contract[7],
      contract[10].slice(0, 8),
    ]),
    hovertemplate: "<b>%{customdata[0]}</b><br>%{customdata[1]}<br>%{customdata[2]}, %{customdata[3]}<br>contract %{customdata[4]}<extra></extra>",
  }));
  const bands = report.prices.bands;
  const edge = (day, column, dash) => ({
    type: "line", x0: day - 0.47, x1: day + 0.47, y0: bands[day][column] / 1e6, y1: bands[day][column] / 1e6,
    line: { color: colour("soft"), width: 1.2, dash }, layer: "below",
  });
  const shapes = bands.flatMap(([low, high], day) => [
    {
      type: "rect", x0: day - 0.47, x1: day + 0.47, y0: low / 1e6, y1: high / 1e6, line: { width: 0 },
      fillcolor: faint(colour("good"), 0.1), layer: "below",
    },
    edge(day, 0, "dot"), edge(day, 1, "dot"),
  ]);
  const span = bands.flat().concat(week.contracts.flatMap((contract) => [contract[5], contract[6]]));
  const low = Math.min(...span) / 1e6, high = Math.max(...span) / 1e6, room = 0.06 * (high - low || 0.1);
  draw("prices-chart", traces, {
    shapes, xaxis: axis("", { tickvals: week.days.map((_, day) => day), ticktext: week.days.map((day) => day.label), showgrid: false, zeroline: false, range: [-0.55, week.days.length - 0.45] }),
    yaxis: axis(`${week.currency}/kWh`, { range: [low - room, high + room] }),
  });
}

drawing(["prices-chart"], ["prices-by"], drawPrices);
