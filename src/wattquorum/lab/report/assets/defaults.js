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
  const [compensation, fines, shares] = ["compensation", "fines", "shares"].map((name) => own(report.defaults.flows[name]));
  const flows = new Flows();
  const shadeOf = (who) => (who < week.members.length ? memberColour(who) : colour("plain"));
  const middles = [["compensation", colour("c1")], ["fines", colour("c3")]].map(([kind, shade]) => flows.node(kind, kind, shade));
  const small = smallPayers([...compensation, ...fines]);
  const payerNode = (who) => (small.has(who)
    ? flows.node("small", `${small.size} others`, colour("plain"))
    : flows.node(`payer ${who}`, week.names[who], shadeOf(who)));
  const receiverNode = (who) => flows.node(`receiver ${who}`, week.names[who], shadeOf(who));
  const net = (rows) => {
    const sums = new Map();
    for (const [, from, to, amount] of rows) sums.set(`${from}:${to}`, (sums.get(`${from}:${to}`) ?? 0) + amount);
    return [...sums].filter(([, amount]) => amount > 0).map(([key, amount]) => [...key.split(":").map(Number), amount]);
  };
  for (const [payer, receiver, amount] of net(compensation)) {
    flows.add(payerNode(payer), middles[0], amount);
    flows.add(middles[0], receiverNode(receiver), amount);
  }
  for (const [payer, , amount] of net(fines)) flows.add(payerNode(payer), middles[1], amount);
  for (const [, receiver, amount] of net(shares)) flows.add(middles[1], receiverNode(receiver), amount);
  byId("default-flow").style.minHeight = `${Math.max(160, Math.min(780, 18 * flows.nodes.length))}px`;
  flows.draw("default-flow", {
    middle: middles, pad: 6, textOf: moneyText, labelOf: (node) => node.label, empty: "Nobody owed a penalty.",
  });
  const total = (rows) => sum(rows.map((row) => row[3]));
  fill(
    "default-closing", "Compensation ", element("b", moneyText(total(compensation))), " made partners whole; fines of ",
    element("b", moneyText(total(fines))), ` went out in shares to ${new Set(shares.filter((row) => row[3] > 0).map((row) => row[2])).size} accounts. `,
    "In the picture, shares that a correction took back are set off, and payers of less than one percent share a bar.",
  );
}

drawing(["default-flow"], ["default-day"], drawDefaults);
