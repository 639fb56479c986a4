// Bills: a waterfall from kind to kind, the lines behind it, and each line's way back to the meters (trail.js).

const KINDS = report.bills.transfers.kinds;
const CASH = ["deposit", "withdrawal"];
const ORDER = [
  "energy", "grid_sale", "residual_sale", "compensation", "fine", "share", "over_grid_fee", "grid_purchase", "residual_purchase",
  "handling_fee", "handling_fee_refund", "debt_payment",
];

// A transfer as a line of a member's bill: above zero when it is paid.
function linesOf(member, day) {
  const lines = [];
  report.bills.transfers.rows.forEach(([kind, payer, payee, amount, ofDay, contract, height, sequence, place], number) => {
    if ((payer !== member && payee !== member) || (day !== "" && ofDay !== Number(day))) return;
    const paid = payee === member;
    lines.push({
      number, kind: KINDS[kind], counterparty: paid ? payer : payee, amount: paid ? amount : -amount, day: ofDay, contract, height,
      sequence, place,
    });
  });
  return lines;
}

// Labels on bars are short; what they point at is exact.
const roundText = (amount) => (amount / 1e6).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

function sumsByKind(lines) {
  const sums = new Map();
  for (const line of lines) {
    const before = sums.get(line.kind) ?? { amount: 0, lines: 0 };
    sums.set(line.kind, { amount: before.amount + line.amount, lines: before.lines + 1 });
  }
  const rank = (kind) => (ORDER.includes(kind) ? ORDER.indexOf(kind) : ORDER.length);
  return [...sums].sort((one, other) => rank(one[0]) - rank(other[0]) || one[0].localeCompare(other[0]));
}

function drawBill() {
  const member = Number(chosen("bill-member")), day = chosen("bill-day");
  const lines = linesOf(member, day);
  const trade = lines.filter((line) => !CASH.includes(line.kind));
  const kinds = sumsByKind(trade);
  const total = sum(trade.map((line) => line.amount));
  // On a phone steps go down the page, and each amount stands with its kind: on bars they would be too small to read.
  const upright = !phone.matches;
  const names = [...kinds.map(([kind]) => kindText(kind)), "total"];
  const amounts = [...kinds.map(([, { amount }]) => amount), total];
  const steps = upright ? names : names.map((name, i) => `${name}<br>${roundText(amounts[i])}`);
  const sizes = amounts.map((amount) => amount / 1e6);
  byId("bill-waterfall").style.minHeight = upright ? "400px" : `${90 + 44 * names.length}px`;
  draw("bill-waterfall", [{
    type: "waterfall", orientation: upright ? "v" : "h", measure: [...kinds.map(() => "relative"), "total"],
    x: upright ? steps : sizes, y: upright ? sizes : steps,
    customdata: [...kinds.map(([kind, { amount, lines: count }]) => `${kindText(kind)}: ${moneyText(amount)}, ${linesText(count)}`), `total: ${moneyText(total)}`],
    hovertemplate: "%{customdata}<extra></extra>", connector: { line: { color: colour("plain"), width: 1, dash: "dot" } },
    increasing: { marker: { color: colour("good") } }, decreasing: { marker: { color: colour("c3") } },
    totals: { marker: { color: colour("accent") } }, text: amounts.map(roundText),
    textposition: upright ? "outside" : "none", textfont: { color: colour("soft"), size: 11.5 }, cliponaxis: false,
  }], upright
    ? { yaxis: axis(week.currency), margin: { l: 70, r: 20, t: 30, b: 40 }, showlegend: false }
    : {
      xaxis: axis(week.currency, { nticks: 4 }), yaxis: axis("", { autorange: "reversed", showgrid: false }),
      margin: { l: 10, r: 10, t: 10, b: 40 }, showlegend: false,
    });
  sayBill(member, day, trade, total);
  offerKinds(lines);
  listLines();
  fill("bill-trail");
}

const linesText = (count) => `${count} line${count === 1 ? "" : "s"}`;

function sayBill(member, day, trade, total) {
  const name = element("b", week.names[member]);
  if (day !== "") {
    fill("bill-says", name, ` on ${week.days[day].label}: ${linesText(trade.length)} add up to `, element("b", moneyText(total)), ".");
    return;
  }
  const all = linesOf(member, "");
  const of = (kind) => sum(all.filter((line) => line.kind === kind).map((line) => line.amount));
  const balance = sum(all.map((line) => line.amount));
  fill(
    "bill-says", name, `: ${linesText(trade.length)}, deposits and withdrawals left out, add up to `, element("b", moneyText(total)),
    `. Deposits ${moneyText(of("deposit"))} and withdrawals ${moneyText(of("withdrawal"))} with it make the account's balance, `,
    element("b", moneyText(balance)), " (locked collateral included).",
  );
}

function offerKinds(lines) {
  const list = byId("bill-kind"), before = list.value;
  const kinds = sumsByKind(lines).map(([kind]) => kind);
  list.replaceChildren(element("option", "of every kind", { value: "" }), ...kinds.map((kind) => element("option", kindText(kind), { value: kind })));
  list.value = kinds.includes(before) ? before : "";
}

function listLines() {
  const member = Number(chosen("bill-member")), day = chosen("bill-day"), kind = chosen("bill-kind");
  const lines = linesOf(member, day).filter((line) => kind === "" || line.kind === kind);
  const rows = lines.map((line) => {
    const button = element("button", "trail", { type: "button", "aria-label": `Trail of ${kindText(line.kind)}, ${moneyText(line.amount)}` });
    button.addEventListener("click", () => {
      byId("bill-lines").querySelectorAll("tr.chosen").forEach((row) => row.classList.remove("chosen"));
      button.closest("tr").classList.add("chosen");
      showTrail(member, line);
    });
    return [
      line.day < 0 ? "" : week.days[line.day].label, kindText(line.kind), week.names[line.counterparty],
      line.contract < 0 ? "" : element("code", week.contracts[line.contract][10].slice(0, 8)), String(line.height),
      moneyText(line.amount), button,
    ];
  });
  rows.push(["", "", "", "", "", moneyText(sum(lines.map((line) => line.amount))), ""]);
  const columns = [["day", "l"], ["what for", "l"], ["with", "l"], ["contract", "l"], ["block", "r"], ["amount", "r"], ["", "r"]];
  const cash = lines.filter((line) => CASH.includes(line.kind)).length;
  const among = cash && cash < lines.length ? `, ${cash} of them deposits or withdrawals` : "";
  const title = `${linesText(lines.length)} on the bill of ${week.names[member]}${among}; above zero when it is paid`;
  fill("bill-lines", tableOf(title, columns, rows, { total: true }));
}

drawing(["bill-waterfall"], ["bill-member", "bill-day"], drawBill);
byId("bill-kind").addEventListener("change", listLines);
