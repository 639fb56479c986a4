// Three measures for each technology and strategy: side by side, or one above the other where the page is narrow.

function drawStrategies() {
  const { groups } = report.strategies;
  const names = groups.map(([technology, strategy]) => (strategy ? `${technology}, ${strategy}` : technology));
  const shades = groups.map(([technology]) => technologyColour(technology));
  const narrow = byId("strategy-chart").clientWidth < 640;
  const bar = (values, texts, number) => ({
    type: "bar", orientation: "h", y: names, x: values, text: texts, textposition: "outside", textfont: { size: 11.5, color: colour("soft") }, customdata: texts,
    marker: { color: shades }, xaxis: `x${number || ""}`, yaxis: narrow ? `y${number || ""}` : "y", hovertemplate: "%{y}: %{customdata}<extra></extra>", cliponaxis: false,
  });
  // Room for the numbers beside the bars.
  const room = (values) => [Math.min(0, ...values) * 1.9, (Math.max(0, ...values) || 1) * 1.65];
  const share = (part, whole) => (whole ? (100 * part) / whole : 0);
  byId("strategy-chart").style.minHeight = `${(120 + 28 * Math.max(3, groups.length)) * (narrow ? 3 : 1)}px`;
  const across = narrow ? [[0, 1], [0, 1], [0, 1]] : [[0, 0.3], [0.36, 0.63], [0.69, 1]];
  const down = [[0.74, 1], [0.39, 0.65], [0.04, 0.3]];
  const side = (number) => axis("", { autorange: "reversed", dtick: 1, ...(narrow ? { domain: down[number], anchor: `x${number ? number + 1 : ""}` } : {}) });
  const below = (number) => (narrow ? { anchor: `y${number ? number + 1 : ""}` } : {});
  const rates = groups.map((group) => share(group[3], group[2])), traded = groups.map((group) => share(group[4], group[5]));
  const gains = groups.map((group) => group[6] / 1e6);
  draw("strategy-chart", [
    bar(rates, groups.map((group) => (narrow ? percentText(group[3], group[2]) : `${percentText(group[3], group[2])} (${group[3]} of ${group[2]})`)), 0),
    bar(traded, groups.map((group) => percentText(group[4], group[5])), 2),
    bar(gains, groups.map((group) => roundText(group[6])), 3),
  ], {
    showlegend: false, yaxis: side(0), ...(narrow ? { yaxis2: side(1), yaxis3: side(2) } : {}), margin: { l: 150, r: 30, t: 20, b: 50 },
    xaxis: axis("days in default", { domain: across[0], ...below(0), ticksuffix: " %", range: room(rates) }),
    xaxis2: axis(`of metered energy${narrow ? "<br>" : " "}traded`, { domain: across[1], ...below(1), ticksuffix: " %", range: room(traded) }),
    xaxis3: axis(`gain over the grid${narrow ? "<br>" : " "}alone [${week.currency}]`, { domain: across[2], ...below(2), range: room(gains) }),
  });
}

drawing(["strategy-chart"], [], drawStrategies);
