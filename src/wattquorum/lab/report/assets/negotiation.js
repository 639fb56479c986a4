// Negotiation: what became of offers, and how many answers agreement took.

const FATES = [["accepted", "c4"], ["countered", "c1"], ["withdrawn", "c3"], ["unanswered", "plain"]];

function drawFates() {
  const { first, answers } = report.negotiation.fates;
  const labels = week.days.flatMap((day) => [day.label, day.label]);
  const kinds = week.days.flatMap(() => ["first offers", "counters"]);
  const traces = FATES.map(([name, shade], fate) => ({
    type: "bar", name, x: [labels, kinds], y: week.days.flatMap((_, day) => [first[day][fate], answers[day][fate]]),
    marker: { color: colour(shade) }, hovertemplate: `%{y} ${name}<extra></extra>`,
  }));
  draw("bargain-days", traces, {
    barmode: "stack", yaxis: axis("offers"), xaxis: axis("", { showdividers: false, tickfont: { size: 10.5, color: colour("soft") } }), margin: { l: 60, r: 20, t: 24, b: 76 },
  });
}

function drawRounds() {
  const { rounds } = report.negotiation;
  draw("bargain-rounds", [{
    type: "bar", orientation: "h", y: rounds.map((_, i) => (i === 0 ? "at the first offer" : `after ${i} answer${i === 1 ? "" : "s"}`)), x: rounds,
    marker: { color: colour("c4") }, text: rounds.map(String), textposition: "outside", textfont: { color: colour("soft") }, cliponaxis: false,
    hovertemplate: "%{x} contracts<extra></extra>",
  }], { yaxis: axis("", { autorange: "reversed" }), xaxis: axis("contracts"), margin: { l: 120, r: 40, t: 10, b: 44 } });
}

drawing(["bargain-days"], [], drawFates);
drawing(["bargain-rounds"], [], drawRounds);
