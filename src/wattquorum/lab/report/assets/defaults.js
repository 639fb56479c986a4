// Penalties: from those who fell short, as compensation or fine, to those who were paid.

// Payers of less than a hundredth of everything share one bar, or their names would cover each other.
function smallPayers(rows) {
  const paid = new Map();
  for (const [, payer, , amount] of rows) paid.set(payer, (paid.get(payer) ?? 0) + amount);
  const total = sum([...paid.values()]);
  const small = [...paid].filter(([, amount]) => amount * 100 < total).map(([payer]) => payer);
  return new Set(small.length > 1 ? small : []);
}

function drawDefaults() {
  const day = chosen("default-day");
  const own = (rows) => rows.filter((row) => day === "" || row[0] === Number(day));
  const compensation = own(report.defaults.flows.compensation), shares = own(report.defaults.flows.shares);
  const nodes = [], index = new Map(), links = new Map();
  const node = (key, label, shade) => {
    if (!index.has(key)) { index.set(key, nodes.length); nodes.push({ label, shade, amount: 0 }); }
    return index.get(key);
  };
  const shadeOf = (who) => (who < week.members.length ? memberColour(who) : colour("plain"));
  const kinds = [["compensation", compensation, colour("c1")], ["fines", shares, colour("c3")]];
  const small = smallPayers([...compensation, ...shares]);
  const payerNode = (who) => (small.has(who)
    ? node("small", `${small.size} others`, colour("plain"))
    : node(`payer ${who}`, week.names[who], shadeOf(who)));
  for (const [kind, rows, shade] of kinds) {
    const net = new Map();
    for (const [, payer, receiver, amount] of rows) net.set(`${payer}:${receiver}`, (net.get(`${payer}:${receiver}`) ?? 0) + amount);
    for (const [key, amount] of net) {
      if (amount <= 0) continue;
      const [payer, receiver] = key.split(":").map(Number);
      const middle = node(kind, kind, shade);
      for (const [from, to] of [[payerNode(payer), middle], [middle, node(`receiver ${receiver}`, week.names[receiver], shadeOf(receiver))]]) {
        links.set(`${from}:${to}`, (links.get(`${from}:${to}`) ?? 0) + amount);
      }
    }
  }
  const flows = [...links].map(([key, amount]) => ({ from: Number(key.split(":")[0]), to: Number(key.split(":")[1]), amount }));
  for (const flow of flows) nodes[flow.from].amount += flow.amount;
  for (const flow of flows) if (!flows.some((other) => other.from === flow.to)) nodes[flow.to].amount += flow.amount;
  byId("default-flow").style.minHeight = `${Math.max(160, Math.min(780, 18 * nodes.length))}px`;
  draw("default-flow", [{
    type: "sankey", arrangement: "snap", textfont: { color: colour("ink"), size: 12 },
    node: {
      label: nodes.map((each) => each.label), color: nodes.map((each) => each.shade), pad: 6, thickness: 14, line: { width: 0 },
      customdata: nodes.map((each) => `${each.label}: ${moneyText(each.amount)}`), hovertemplate: "%{customdata}<extra></extra>",
    },
    link: {
      source: flows.map((each) => each.from), target: flows.map((each) => each.to), value: flows.map((each) => each.amount),
      color: flows.map((each) => faint(nodes[nodes[each.to].label === "fines" || nodes[each.to].label === "compensation" ? each.to : each.from].shade, 0.32)),
      customdata: flows.map((each) => `${nodes[each.from].label} to ${nodes[each.to].label}: ${moneyText(each.amount)}`),
      hovertemplate: "%{customdata}<extra></extra>",
    },
  }], {
    margin: { l: 8, r: 8, t: 12, b: 12 },
    annotations: flows.length ? [] : [{ text: "nobody owed a penalty", showarrow: false, font: { color: colour("soft"), size: 14 } }],
    xaxis: { visible: false }, yaxis: { visible: false },
  });
  const total = (rows) => sum(rows.map((row) => row[3]));
  fill(
    "default-closing", "Compensation ", element("b", moneyText(total(compensation))), " made partners whole; fines of ",
    element("b", moneyText(total(shares))), ` went out in shares to ${new Set(shares.filter((row) => row[3] > 0).map((row) => row[2])).size} accounts. `,
    "In the picture, shares that a correction took back are set off, and payers of less than one percent share a bar.",
  );
}

drawing(["default-flow"], ["default-day"], drawDefaults);
