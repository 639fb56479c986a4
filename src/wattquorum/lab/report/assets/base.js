"use strict";
// What every drawing shares: the data, exact numbers as people read them, colours, and Plotly in the page's own look.

const report = JSON.parse(document.getElementById("report-data").textContent);
const week = report.week;
const SELL = 0, BUY = 1;

const byId = (id) => document.getElementById(id);
const chosen = (id) => byId(id).value;
const sum = (values) => values.reduce((total, value) => total + value, 0);

// Exact numbers: the same text as foundation.quantities gives -------------------------------------------------------

function decimal(value, zeros, digitsMin) {
  const number = BigInt(value), scale = 10n ** BigInt(zeros);
  const size = number < 0n ? -number : number;
  const rest = (size % scale).toString().padStart(zeros, "0").replace(/0+$/, "").padEnd(digitsMin, "0");
  const whole = (size / scale).toString().replace(/\B(?=(\d{3})+$)/g, ",");
  return (number < 0n ? "-" : "") + whole + (rest ? "." + rest : "");
}

function energyText(wh) {
  for (const [unit, zeros] of [["GWh", 9], ["MWh", 6], ["kWh", 3]]) {
    if (Math.abs(wh) >= 10 ** zeros) return `${decimal(wh, zeros, 0)} ${unit}`;
  }
  return `${wh} Wh`;
}
const moneyText = (amount) => `${decimal(amount, 6, 2)} ${week.currency}`;
const priceText = (price) => `${decimal(price, 6, 2)} ${week.currency}/kWh`;
const pointsText = (points) => decimal(points, 6, 1);
const percentText = (part, whole) => (whole ? `${(Math.floor((part * 1000) / whole) / 10).toFixed(1)} %` : "nothing");
// The words of the glossary; records.bills.words_of has the same.
const kindText = (kind) => kind.replace("over_grid", "over-grid").replaceAll("_", " ");

// Elements ----------------------------------------------------------------------------------------------------------

function element(tag, content = [], attributes = {}) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...[content].flat());
  return made;
}

function fill(id, ...content) {
  byId(id).replaceChildren(...content);
}

// `columns` are [heading, l, r or t as in markup.table]; a cell is text or an element; the last row is a total if `total` says so.
function tableOf(caption, columns, rows, { total = false, marked = -1 } = {}) {
  const side = (i) => columns[i][1] + (i === marked ? " marked" : "");
  const head = element("tr", columns.map(([text], i) => element("th", text, { scope: "col", class: side(i) })));
  const stacked = columns.some(([, kind]) => kind === "t");
  const body = rows.map((row, place) => element(
    "tr",
    row.map((cell, i) => element("td", cell, { class: side(i), ...(stacked && { "data-label": columns[i][0] }) })),
    total && place === rows.length - 1 ? { class: "total" } : {},
  ));
  return element("table", [element("caption", element("span", caption)), element("thead", head), element("tbody", body)], stacked ? { class: "stacked" } : {});
}

// Look --------------------------------------------------------------------------------------------------------------

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const technologyColour = (technology) => colour(`c${week.colours[technology]}`);
const memberColour = (member) => technologyColour(week.members[member].technology);

function faint(hex, share) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${red},${green},${blue},${share})`;
}

function axis(title, more = {}) {
  return {
    ...(title && { title: { text: title, font: { size: 12.5, color: colour("soft") }, standoff: 10 } }),
    gridcolor: colour("line"), linecolor: colour("line"), zerolinecolor: colour("plain"), tickcolor: colour("line"),
    tickfont: { color: colour("soft"), size: 12 }, automargin: true, ...more,
  };
}

// Labels at the right ends of lines; `ends` are { at, text, shade }. Where they would touch they move apart, to both sides alike:
// half way between the places that they get from below and from above.
function endLabels(ends, [low, high], heightPx, gapPx = 15) {
  const sorted = [...ends].sort((one, other) => one.at - other.at);
  const wanted = sorted.map((end) => ((end.at - low) / (high - low)) * heightPx);
  const up = [...wanted], down = [...wanted];
  for (let i = 1; i < up.length; i += 1) up[i] = Math.max(up[i], up[i - 1] + gapPx);
  for (let i = down.length - 2; i >= 0; i -= 1) down[i] = Math.min(down[i], down[i + 1] - gapPx);
  return sorted.map(({ at, text, shade }, i) => ({
    xref: "paper", x: 1, xanchor: "left", xshift: 7, y: at, yanchor: "middle", yshift: (up[i] + down[i]) / 2 - wanted[i],
    text, showarrow: false, font: { size: 12, color: shade },
  }));
}

function draw(id, traces, layout = {}) {
  const look = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, color: colour("ink"), size: 13 },
    margin: { l: 60, r: 20, t: 24, b: 30 }, height: parseInt(byId(id).style.minHeight, 10),
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { color: colour("soft"), size: 12 } },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("plain"), font: { color: colour("ink"), size: 12.5 }, align: "left" },
    xaxis: axis("", { showgrid: false }), yaxis: axis(""), bargap: 0.28, ...layout,
  };
  return Plotly.react(id, traces, look, { displayModeBar: false, responsive: true });
}

// As wide as a phone, by the breakpoint of the style sheet: labels inside a picture would cover it there, or each other.
const phone = matchMedia("(max-width: 40rem)");

// A Sankey, and on a phone a table below it in place of the labels. Nodes are added by key; a flow goes from node to node, and equal ways add up.
class Flows {
  constructor() {
    this.nodes = [];
    this.places = new Map();
    this.ways = new Map();
  }

  node(key, label, shade) {
    if (!this.places.has(key)) {
      this.places.set(key, this.nodes.length);
      this.nodes.push({ label, shade, amount: 0 });
    }
    return this.places.get(key);
  }

  add(from, to, amount) {
    const key = `${from}:${to}`;
    if (amount > 0) this.ways.set(key, (this.ways.get(key) ?? 0) + amount);
  }

  // `labelOf` and `textOf` say a node's and a flow's amount; a flow is coloured by the one of its ends that is not in `middle`.
  draw(id, { middle, labelOf, textOf, empty, pad }) {
    const { nodes } = this;
    const flows = [...this.ways].map(([key, amount]) => {
      const [from, to] = key.split(":").map(Number);
      return { from, to, amount };
    });
    fill(`${id}-key`);
    if (!flows.length) {
      Plotly.purge(id);
      fill(id, element("p", empty, { class: "lead" }));
      return;
    }
    const into = new Set(flows.map((flow) => flow.to));
    for (const flow of flows) {
      nodes[flow.from].amount += flow.amount;
      if (!flows.some((other) => other.from === flow.to)) nodes[flow.to].amount += flow.amount;
    }
    const from = new Set(flows.map((flow) => flow.from));
    const used = (place) => into.has(place) || from.has(place);
    if (phone.matches) this.tabulate(id, nodes.map((_, place) => (used(place) ? [into, from].map((ends) => ends.has(place)) : [])), textOf);
    if (!byId(id).querySelector(".main-svg")) fill(id);
    draw(id, [{
      type: "sankey", arrangement: "snap", textfont: { color: colour("ink"), size: 12.5 },
      node: {
        label: nodes.map((node, place) => (used(place) && !phone.matches ? labelOf(node) : "")), color: nodes.map((node) => node.shade), pad, thickness: 15,
        line: { width: 0 }, customdata: nodes.map((node) => `${node.label}: ${textOf(node.amount)}`), hovertemplate: "%{customdata}<extra></extra>",
      },
      link: {
        source: flows.map((flow) => flow.from), target: flows.map((flow) => flow.to), value: flows.map((flow) => flow.amount),
        color: flows.map((flow) => faint(nodes[middle.includes(flow.from) ? flow.to : flow.from].shade, 0.34)),
        customdata: flows.map((flow) => `${nodes[flow.from].label} to ${nodes[flow.to].label}: ${textOf(flow.amount)}`),
        hovertemplate: "%{customdata}<extra></extra>",
      },
    }], { margin: { l: 8, r: 8, t: 12, b: 12 } });
  }

  // What labels would say; `ends` are whether something flows into a node and out of it.
  tabulate(id, ends, textOf) {
    const sides = [["from", false, true], ["over", true, true], ["to", true, false]];
    const rows = sides.flatMap(([word, in_, out]) => this.nodes
      .filter((_, place) => ends[place].length && ends[place][0] === in_ && ends[place][1] === out)
      .sort((one, other) => other.amount - one.amount)
      .map((node) => [word, [element("span", [], { class: "swatch", style: `background:${node.shade}` }), node.label], textOf(node.amount)]));
    fill(`${id}-key`, tableOf("Bars of the picture; a touch on one names it", [["", "l"], ["colour", "l"], ["amount", "r"]], rows));
  }
}

// A drawing is made when it comes near the screen, and again when a choice or the colour scheme changes.
const drawings = new Map();

function drawing(ids, choosers, make) {
  const state = { seen: false, make };
  for (const id of ids) drawings.set(id, state);
  for (const id of choosers) byId(id).addEventListener("change", () => { if (state.seen) make(); });
}

function drawAll(unseen = false) {
  for (const state of new Set(drawings.values())) {
    if (state.seen || unseen) { state.seen = true; state.make(); }
  }
}

function watch() {
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const state = drawings.get(entry.target.id);
      if (entry.isIntersecting && !state.seen) { state.seen = true; state.make(); }
    }
  }, { rootMargin: "600px" });
  for (const id of drawings.keys()) observer.observe(byId(id));
}

// Details: every interval and reading, unpacked once, when first needed ---------------------------------------------

// They are left out of pages that would grow too large, and an old browser cannot unpack them.
const DETAILS_MISSING = "Intervals and readings are not on this page; the records have them, in the tables intervals, position_intervals and readings.";
const hasDetails = byId("report-details").textContent !== "" && "DecompressionStream" in window;

let unpacked = null;

function details() {
  unpacked ??= (async () => {
    const packed = Uint8Array.from(atob(byId("report-details").textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  })();
  return unpacked;
}
