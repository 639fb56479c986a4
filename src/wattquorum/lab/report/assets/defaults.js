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
  const flows = new Flows();
  const shadeOf = (who) => (who < week.members.length ? memberColour(who) : colour("plain"));
  const kinds = [["compensation", compensation, colour("c1")], ["fines", shares, colour("c3")]];
  const middles = [];
  const small = smallPayers([...compensation, ...shares]);
  const payerNode = (who) => (small.has(who)
    ? flows.node("small", `${small.size} others`, colour("plain"))
    : flows.node(`payer ${who}`, week.names[who], shadeOf(who)));
  for (const [kind, rows, shade] of kinds) {
    const net = new Map();
    for (const [, payer, receiver, amount] of rows) net.set(`${payer}:${receiver}`, (net.get(`${payer}:${receiver}`) ?? 0) + amount);
    for (const [key, amount] of net) {
      if (amount <= 0) continue;
      const [payer, receiver] = key.split(":").map(Number);
      const middle = flows.node(kind, kind, shade);
      middles.push(middle);
      flows.add(payerNode(payer), middle, amount);
      flows.add(middle, flows.node(`receiver ${receiver}`, week.names[receiver], shadeOf(receiver)), amount);
    }
  }
  byId("default-flow").style.minHeight = `${Math.max(160, Math.min(780, 18 * flows.nodes.length))}px`;
  flows.draw("default-flow", {
    middle: middles, pad: 6, textOf: moneyText, labelOf: (node) => node.label, empty: "Nobody owed a penalty.",
  });
  const total = (rows) => sum(rows.map((row) => row[3]));
  fill(
    "default-closing", "Compensation ", element("b", moneyText(total(compensation))), " made partners whole; fines of ",
    element("b", moneyText(total(shares))), ` went out in shares to ${new Set(shares.filter((row) => row[3] > 0).map((row) => row[2])).size} accounts. `,
    "In the picture, shares that a correction took back are set off, and payers of less than one percent share a bar.",
  );
}

drawing(["default-flow"], ["default-day"], drawDefaults);
