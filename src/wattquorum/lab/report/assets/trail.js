// The trail of a bill line: readings, allotment, settlement, transfer, account (L-27).

const AMOUNTS = { energy: 6, over_grid_fee: 7, grid_purchase: 8, grid_sale: 9, compensation: [10, 11] };
const QUALITIES = ["measured", "estimated", "substituted"];
const notAfter = (height, place, line) => height < line.height || (height === line.height && place <= line.place);

// The versions of readings that the ledger had when it posted the line, one per meter.
function readingsAt(line, isOwn) {
  const latest = new Map();
  for (const set of report.bills.sets) {
    const [day, meter, , member, side, , , , height, place] = set;
    if (day === line.day && isOwn(member, side) && notAfter(height, place, line)) latest.set(meter, set);
  }
  return [...latest.values()];
}

function meteredOf(all, sets, intervals) {
  const total = Array(intervals).fill(0);
  for (const [day, meter, version] of sets) all.readings[`${day}:${meter}:${version}`][0].forEach((wh, i) => { total[i] += wh; });
  return total;
}

function readingItem(all, set) {
  const [day, meter, version, member, side, notMeasured, root, position, height] = set;
  const [energies, qualities] = all.readings[`${day}:${meter}:${version}`];
  const kinds = QUALITIES.filter((_, quality) => qualities.includes(quality)).join(" and ");
  return element("li", [
    element("b", "Reading: "), `meter ${week.meters[meter]} of ${week.names[member]} (${side === SELL ? "injection" : "withdrawal"}), `,
    `version ${version}, ${energyText(sum(energies))}, ${kinds}${notMeasured ? ` (${notMeasured} intervals not measured)` : ""}; `,
    `row ${position} under root `, element("code", root), `, block ${height}.`,
  ]);
}

const substituted = (who) => element("li", [element("b", "Reading: "), `${who} had none then; its promise was taken in its place (L-11).`]);

async function showTrail(member, line) {
  const title = element("h3", `Trail of ${moneyText(line.amount)}, ${kindText(line.kind)}`);
  if (line.day < 0) {
    fill("bill-trail", title, element("p", `A ${line.kind}: money that crossed the ledger's border, booked against the account "outside" in block ${line.height}. It has no contract behind it.`));
    return;
  }
  if (!hasDetails) {
    fill("bill-trail", title, element("p", DETAILS_MISSING));
    return;
  }
  fill("bill-trail", title, element("p", "Unpacking intervals and readings ..."));
  const all = await details();
  const trailOf = line.contract >= 0 ? contractTrail : line.kind === "share" ? shareTrail : positionTrail;
  const content = trailOf(all, line, member);
  fill("bill-trail", title, element("ol", [...content.steps, ...closingSteps(member, line)]), ...content.tables);
  if (content.chart) { byId("bill-trail").insertBefore(content.chart, byId("bill-trail").children[2] ?? null); content.paint(); }
}

// Transfer, bill line and account are the same for every line.
function closingSteps(member, line) {
  const balance = sum(linesOf(member, "").filter((other) => other.number <= line.number).map((other) => other.amount));
  const [payer, payee] = line.amount < 0 ? [member, line.counterparty] : [line.counterparty, member];
  return [
    element("li", [
      element("b", "Transfer: "), `${moneyText(Math.abs(line.amount))} from ${week.names[payer]} to ${week.names[payee]}, for ${kindText(line.kind)}, `,
      `fact ${line.sequence} of block ${line.height}, posted by its transaction ${line.place}.`,
    ]),
    element("li", [element("b", "Bill line: "), `${moneyText(line.amount)} on the bill of ${week.names[member]} for ${week.days[line.day].label}.`]),
    element("li", [element("b", "Account: "), `with it the balance of ${week.names[member]} stood at ${moneyText(balance)}.`]),
  ];
}

function contractTrail(all, line) {
  const [, seller, buyer, energy, price, , , status, , versions, id, accepted] = week.contracts[line.contract];
  const contract = element("li", [
    element("b", "Contract: "), element("code", id), ` ${week.names[seller]} to ${week.names[buyer]}, ${energyText(energy)} at ${priceText(price)} `,
    `on average, accepted in block ${accepted}${versions > 1 ? ", curtailed since" : ""}, now ${status}.`,
  ]);
  const settled = report.bills.settlements.filter(([number, , height, place]) => number === line.contract && notAfter(height, place, line));
  if (!settled.length) {
    return { steps: [contract, element("li", [element("b", "Before delivery: "), "this line was posted before anything was metered."])], tables: [] };
  }
  const revision = settled[settled.length - 1][1];
  const columns = all.intervals[`${line.contract}:${revision}`] ?? Array.from({ length: 12 }, () => []);
  const [places, promised, generated, consumed, traded] = columns;
  const stamps = week.days[line.day].stamps;
  const sold = readingsAt(line, (who, side) => who === seller && side === SELL);
  const used = readingsAt(line, (who, side) => who === buyer && side === BUY);
  const meters = [meteredOf(all, sold, stamps.length), meteredOf(all, used, stamps.length)];
  const allotment = element("li", [
    element("b", "Allotment: "), `of what ${week.names[seller]} generated this contract got ${energyText(sum(generated))}, of what `,
    `${week.names[buyer]} used ${energyText(sum(consumed))}; promised were ${energyText(sum(promised))}, traded ${energyText(sum(traded))} (the least of the three in each interval).`,
  ]);
  const headings = [
    ["interval", "l"], ["seller's meter", "r"], ["buyer's meter", "r"], ["promised", "r"], ["generated", "r"], ["consumed", "r"], ["traded", "r"],
    ["price", "r"], ["energy", "r"], ["over-grid fee", "r"], ["grid purchase", "r"], ["grid sale", "r"], ["compensation by seller", "r"], ["by buyer", "r"],
  ];
  const rows = places.map((interval, i) => [
    stamps[interval].slice(11), sold.length ? energyText(meters[0][interval]) : "none", used.length ? energyText(meters[1][interval]) : "none",
    ...[1, 2, 3, 4].map((column) => energyText(columns[column][i])), decimal(columns[5][i], 6, 2),
    ...[6, 7, 8, 9, 10, 11].map((column) => decimal(columns[column][i], 6, 2)),
  ]);
  const of = (column) => sum(columns[column]);
  rows.push([
    "sum", "", "", ...[1, 2, 3, 4].map((column) => energyText(of(column))), "", ...[6, 7, 8, 9, 10, 11].map((column) => decimal(of(column), 6, 2)),
  ]);
  const settlement = settlementStep(all, line, revision, columns);
  const marked = { energy: 8, over_grid_fee: 9, grid_purchase: 10, grid_sale: 11 }[line.kind] ?? -1;
  const grid = element("div", tableOf(`Revision ${revision}, interval by interval, money in ${week.currency}`, headings, rows, { total: true, marked }), {
    class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Intervals of the settlement",
  });
  const chart = element("div", [], { id: "trail-chart", class: "chart", role: "img", style: "min-height:280px", "aria-label": "Promised, generated, consumed and traded energy of the contract" });
  return {
    steps: [
      contract, ...(sold.length ? sold.map((set) => readingItem(all, set)) : [substituted(week.names[seller])]),
      ...(used.length ? used.map((set) => readingItem(all, set)) : [substituted(week.names[buyer])]), allotment, settlement,
    ],
    tables: [grid], chart, paint: () => paintTrail(stamps, columns),
  };
}

// What of the settlement is this line: the sum of a column, less what the revision before had posted already.
function settlementStep(all, line, revision, columns) {
  const name = element("b", `Settlement, revision ${revision}: `);
  if (line.kind === "fine") {
    return element("li", [name, "a side fell short beyond the tolerance and was fined on this contract; the same transaction shared the day's fines among those who performed."]);
  }
  const at = AMOUNTS[line.kind];
  if (at === undefined) return element("li", [name, "what this line is for does not depend on delivery."]);
  const before = all.intervals[`${line.contract}:${revision - 1}`];
  const total = (table) => [at].flat().map((column) => sum(table[column] ?? []));
  const now = total(columns);
  if (line.kind === "compensation") {
    return element("li", [name, `compensation due by the seller ${moneyText(now[0])}, by the buyer ${moneyText(now[1])}${before ? `, where revision ${revision - 1} had ${moneyText(total(before)[0])} and ${moneyText(total(before)[1])}: the difference is posted` : ""}.`]);
  }
  const then = before ? total(before)[0] : 0, due = now[0] - then, owed = Math.abs(due) - Math.abs(line.amount);
  return element("li", [
    name, `the intervals add up to ${moneyText(now[0])}${before ? `, less ${moneyText(then)} that revision ${revision - 1} had posted: ${moneyText(due)}` : ""}`,
    owed === 0 ? ", which is this line." : `; ${moneyText(owed)} of it could not be paid and stands as a debt.`,
  ]);
}

function paintTrail(stamps, columns) {
  const [places, promised, generated, consumed, traded] = columns;
  const spread = (values) => { const wh = Array(stamps.length).fill(0); places.forEach((interval, i) => { wh[interval] = values[i]; }); return wh; };
  const line = (name, values, shade, more) => {
    const wh = spread(values);
    return {
      type: "scatter", mode: "lines", name, x: stamps, y: wh.map((value) => value / 1000), customdata: wh.map(energyText),
      hovertemplate: `${name}: %{customdata}<extra></extra>`, line: { shape: "hv", width: 1.6, color: shade, ...more.line }, ...more.trace,
    };
  };
  draw("trail-chart", [
    line("traded", traded, colour("good"), { trace: { fill: "tozeroy", fillcolor: faint(colour("good"), 0.25) } }),
    line("promised", promised, colour("ink"), { line: { width: 1.3 } }),
    line("generated", generated, colour("c1"), { line: { dash: "dash" } }),
    line("consumed", consumed, colour("c6"), { line: { dash: "dot" } }),
  ], { hovermode: "x unified", xaxis: axis("", { tickformat: "%H:%M" }), yaxis: axis("kWh in each interval", { rangemode: "tozero" }) });
}

// A share: the day's fines, each with the contract whose trail leads to the meters, and the credits they are shared by.
function shareTrail(all, line, member) {
  const who = week.names[member] === "fines" ? line.counterparty : member;
  const earned = new Map();  // by member and side, the judgement in force then
  for (const [day, member_, side, promised, defaulted, credit, height] of report.bills.judged) {
    if (day === line.day && height <= line.height) earned.set(`${member_}:${side}`, [member_, promised, defaulted, credit]);
  }
  const credits = new Map(), failed = new Set();
  for (const [member_, promised, defaulted, credit] of earned.values()) {
    if (promised) credits.set(member_, [...(credits.get(member_) ?? []), credit]);
    if (defaulted) failed.add(member_);
  }
  const performed = [...credits].filter(([member_]) => !failed.has(member_)).map(([member_, points]) => [member_, Math.floor(sum(points) / points.length)]);
  const own = performed.find(([member_]) => member_ === who);
  const paid = new Map();
  for (const [kind, payer, payee, amount, day, contract, height, , place] of report.bills.transfers.rows) {
    if (KINDS[kind] !== "fine" || day !== line.day || !notAfter(height, place, line)) continue;
    const into = week.names[payee] === "fines";
    const key = `${into ? payer : payee}:${contract}`;
    paid.set(key, (paid.get(key) ?? 0) + (into ? amount : -amount));
  }
  const rows = [...paid].filter(([, amount]) => amount).map(([key, amount]) => {
    const [payer, contract] = key.split(":").map(Number);
    const [, seller, buyer, , , , , , , , id] = week.contracts[contract];
    return [week.names[payer], week.names[payer === seller ? buyer : seller], id.slice(0, 8), decimal(amount, 6, 2)];
  });
  const fined = sum([...paid.values()]);
  rows.push(["sum", "", "", decimal(fined, 6, 2)]);
  const columns = [["fined", "l"], ["partner", "l"], ["contract", "l"], [`fine [${week.currency}]`, "r"]];
  const grid = element("div", tableOf(`Fines of the day, paid by then, in ${week.currency}`, columns, rows, { total: true }), {
    class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Fines of the day",
  });
  const standing = own
    ? `${week.names[who]} had ${decimal(own[1], 6, 1)} points of the ${decimal(sum(performed.map((each) => each[1])), 6, 1)} that all ${performed.length} members that performed had together`
    : `${week.names[who]} is not among the ${performed.length} members that performed`;
  return {
    steps: [
      element("li", [element("b", "Fines: "), `${moneyText(fined)} were paid by those who fell short beyond the tolerance; the trail of each fine leads to the meters.`]),
      element("li", [element("b", "Credit: "), `${standing}. Each fine goes to them by credit, but not to the two sides of its contract; their sum is one transfer (A-19). A correction posts the difference.`]),
    ],
    tables: [grid],
  };
}

function positionTrail(all, line, member) {
  const side = line.kind === "residual_sale" ? SELL : BUY;
  const own = report.bills.positions.filter(([day, who, its, , height, place]) =>
    day === line.day && (who === member || who === line.counterparty) && its === side && notAfter(height, place, line));
  const [day, who, , revision] = own[own.length - 1];
  const [places, metered, beyond, money] = all.positions[`${day}:${who}:${side}:${revision}`];
  const before = all.positions[`${day}:${who}:${side}:${revision - 1}`];
  const sets = readingsAt(line, (other, its) => other === who && its === side);
  const now = sum(money), then = before ? sum(before[3]) : 0, owed = Math.abs(now - then) - Math.abs(line.amount);
  const stamps = week.days[line.day].stamps;
  const rows = places.map((interval, i) => [stamps[interval].slice(11), energyText(metered[i]), energyText(metered[i] - beyond[i]), energyText(beyond[i]), decimal(money[i], 6, 2)]);
  rows.push(["sum", energyText(sum(metered)), energyText(sum(metered) - sum(beyond)), energyText(sum(beyond)), decimal(now, 6, 2)]);
  const columns = [["interval", "l"], ["metered", "r"], ["for contracts", "r"], ["beyond promises", "r"], [`money [${week.currency}]`, "r"]];
  const grid = element("div", tableOf(`Grid position of ${week.names[who]}, revision ${revision}`, columns, rows, { total: true, marked: 4 }), {
    class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Intervals of the grid position",
  });
  return {
    steps: [
      ...(sets.length ? sets.map((set) => readingItem(all, set)) : [substituted(week.names[who])]),
      element("li", [element("b", "Allotment: "), `of ${energyText(sum(metered))} metered, contracts took ${energyText(sum(metered) - sum(beyond))}; ${energyText(sum(beyond))} lay beyond its promises and were traded with the grid (L-2).`]),
      element("li", [element("b", `Position, revision ${revision}: `), `the intervals add up to ${moneyText(now)}${before ? `, less ${moneyText(then)} that revision ${revision - 1} had posted` : ""}`, owed === 0 ? ", which is this line." : `; ${moneyText(owed)} of it could not be paid and stands as a debt.`]),
    ],
    tables: [grid],
  };
}
