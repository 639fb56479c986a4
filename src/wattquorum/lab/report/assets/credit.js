// Credit over time: a step line for every member and side. Named are the one brought forward, or all that ever defaulted.

function drawCredit() {
  const front = chosen("credit-member");
  const sides = new Map();
  for (const event of report.credit.events) {
    const key = `${event[0]}:${event[1]}`;
    if (!sides.has(key)) sides.set(key, []);
    sides.get(key).push(event);
  }
  const frontKey = front && `${front.split(":")[0]}:${front.endsWith(":sell") ? SELL : BUY}`;
  const moment = new Intl.DateTimeFormat("sv-SE", { timeZone: week.zone, dateStyle: "short", timeStyle: "medium" });
  const says = ["", ", corrected", ", decay"];
  const last = Math.max(...report.credit.events.map((event) => event[2]));
  const first = Math.min(last, ...report.credit.events.filter((event) => event[4] >= 0).map((event) => event[2]));
  const margin = 0.03 * (last - first);  // lines run on a little behind the last event, up to their names
  const isNamed = ([key, events]) => (frontKey ? key === frontKey : events.some((event) => event[5]));
  const plain = colour("plain");
  const ends = [];
  const traces = [...sides].sort((one, other) => isNamed(one) - isNamed(other)).map(([key, events]) => {
    const [member, side] = key.split(":").map(Number);
    const { name, technology } = week.members[member];
    const strong = key === frontKey, calm = !isNamed([key, events]);
    const shade = calm ? faint(plain, 0.55) : technologyColour(technology);
    // The line begins shortly before the first day is closed and runs on to the last event.
    const start = Math.max(events[0][2], first - 0.08 * (last - first));
    const points = events.map((event) => ({ at: Math.max(event[2], start), event }));
    points.push({ at: last + margin, event: null });
    const credit = points.map((point) => (point.event ?? events[events.length - 1])[3]);
    if (!calm) ends.push({ at: credit[credit.length - 1] / 1e6, text: week.members[member].sides.length > 1 ? `${name} ${side === SELL ? "sells" : "buys"}` : name, shade });
    return {
      type: "scatter", mode: "lines+markers", showlegend: false,
      x: points.map((point) => moment.format(point.at)), y: credit.map((value) => value / 1e6),
      line: { shape: "hv", width: strong ? 3 : calm ? 1 : 1.8, color: shade },
      marker: {
        symbol: points.map((point) => (point.event?.[5] ? "x" : "circle")), color: points.map((point) => (point.event?.[5] ? colour("bad") : shade)),
        size: points.map((point) => (point.event?.[5] ? (calm ? 5 : 8) : strong ? 6 : 3)), opacity: calm ? 0.5 : 1,
      },
      customdata: points.map((point, i) => {
        const { event } = point;
        const when = !event ? "at the end" : event[4] < 0 ? "at entry" : `${week.days[event[4]].label}${says[event[6]]}${event[5] ? ", default" : ""}`;
        return `<b>${name}</b> ${side === SELL ? "sells" : "buys"}<br>${when}: ${pointsText(credit[i])} points`;
      }),
      hovertemplate: "%{customdata}<extra></extra>",
    };
  });
  const all = report.credit.events.map((event) => event[3] / 1e6);
  const range = [Math.max(Math.min(...all) - 4, -4), Math.min(Math.max(...all) + 4, 104)];
  draw("credit-chart", traces, {
    yaxis: axis("credit C [points]", { range }), xaxis: axis("time of the block", { showgrid: false, tickformat: "%a %-d %b", range: [first - 0.08 * (last - first), last + margin].map((at) => moment.format(at)) }), hovermode: "closest",
    margin: { l: 60, r: ends.length ? 96 : 20, t: 12, b: 50 }, annotations: endLabels(ends, range, 390),
  });
}

drawing(["credit-chart"], ["credit-member"], drawCredit);
