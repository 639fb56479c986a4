// Credit over time: a step line for every member and side; the one brought forward is drawn on top.

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
  const shown = new Set();
  const traces = [...sides].sort(([one], [other]) => (one === frontKey) - (other === frontKey)).map(([key, events]) => {
    const [member, side] = key.split(":").map(Number);
    const { name, technology } = week.members[member];
    const strong = key === frontKey, calm = frontKey && !strong;
    const shade = technologyColour(technology);
    const named = !shown.has(technology);
    shown.add(technology);
    // The line begins shortly before the first day is closed and runs on to the last event.
    const start = Math.max(events[0][2], first - 0.08 * (last - first));
    const points = events.map((event) => ({ at: Math.max(event[2], start), event }));
    points.push({ at: last, event: null });
    const credit = points.map((point) => (point.event ?? events[events.length - 1])[3]);
    return {
      type: "scatter", mode: "lines+markers", name: technology, legendgroup: technology, showlegend: named,
      x: points.map((point) => moment.format(point.at)), y: credit.map((value) => value / 1e6),
      line: { shape: "hv", width: strong ? 3.2 : 1.5, color: calm ? faint(shade, 0.25) : shade },
      marker: {
        symbol: points.map((point) => (point.event?.[5] ? "x" : "circle")), color: points.map((point) => (point.event?.[5] ? colour("bad") : shade)),
        size: points.map((point) => (point.event?.[5] ? (calm ? 5 : 8) : strong ? 6 : 3)), opacity: calm ? 0.3 : 1,
      },
      customdata: points.map((point, i) => {
        const { event } = point;
        const when = !event ? "at the end" : event[4] < 0 ? "at entry" : `${week.days[event[4]].label}${says[event[6]]}${event[5] ? ", default" : ""}`;
        return `<b>${name}</b> ${side === SELL ? "sells" : "buys"}<br>${when}: ${pointsText(credit[i])} points`;
      }),
      hovertemplate: "%{customdata}<extra></extra>",
    };
  });
  draw("credit-chart", traces, { yaxis: axis("credit C [points]"), xaxis: axis("time of the block", { showgrid: false, tickformat: "%a %-d %b" }), hovermode: "closest" });
}

drawing(["credit-chart"], ["credit-member"], drawCredit);
