// Consensus: time and quorum of every round, voting power by version, and who completed quorums.

const consensus = report.consensus;

// A colour for each leader, in the order in which they came to lead.
function leaderShades() {
  const leaders = [...new Set(consensus.rounds.map((round) => round[1]))];
  return new Map(leaders.map((leader, place) => [leader, colour(`c${[1, 3, 4, 6, 7, 2, 5, 8][place % 8]}`)]));
}

// A line where another came to lead after the first block.
const handovers = () => consensus.elections.filter(([, , height]) => height > 0).map(([, , height]) => ({
  type: "line", yref: "paper", y0: 0, y1: 1, x0: height + 0.5, x1: height + 0.5, line: { width: 1, dash: "dot", color: colour("plain") },
}));

const lastBlock = () => Math.max(1, ...consensus.rounds.map((round) => round[0]));

function drawConsensusTime() {
  const shades = leaderShades(), { rounds, names } = consensus;
  const traces = [...shades].map(([leader, shade]) => {
    const own = rounds.filter((round) => round[1] === leader);
    return {
      type: "scatter", mode: "markers", name: `${names[leader]} leads`, x: own.map((round) => round[0]), y: own.map((round) => round[2]),
      marker: { color: shade, size: 6, opacity: 0.8 },
      customdata: own.map(([height, , took, majority, quorum, at]) => `<b>block ${height}</b>, ${at}<br>proposed by ${names[leader]}<br>committed after ${took} ms${quorum ? ` by ${quorum} replicas` : ""}<br>more than half of all replicas after ${majority} ms`),
      hovertemplate: "%{customdata}<extra></extra>",
    };
  });
  const apart = rounds.filter((round) => round[3] !== round[2]);
  if (apart.length) {
    traces.push({
      type: "scatter", mode: "markers", name: "a majority of replicas, where that differs", x: apart.map((round) => round[0]), y: apart.map((round) => round[3]),
      marker: { symbol: "circle-open", color: colour("plain"), size: 7, line: { width: 1.2 } },
      customdata: apart.map(([height, , took, majority]) => `block ${height}: equal votes would have taken ${majority} ms with this leader, not ${took}`),
      hovertemplate: "%{customdata}<extra></extra>",
    });
  }
  const most = Math.max(...rounds.map((round) => Math.max(round[2], round[3])));
  draw("consensus-time", traces, {
    shapes: handovers(), yaxis: axis("consensus time [ms of the simulated world]", { range: [0, most * 1.12] }),
    xaxis: axis("block", { showgrid: false, range: [0, lastBlock() + 1] }), margin: { l: 60, r: 12, t: 8, b: 44 }, legend: rowLegend(),
  });
}

function drawConsensusSize() {
  const known = consensus.rounds.filter((round) => round[4]);
  const shades = leaderShades();
  const bounds = (place, name, dash) => {
    const x = [], y = [];
    consensus.versions.forEach((version, i) => {
      x.push(version[0] + 0.5, (consensus.versions[i + 1]?.[0] ?? lastBlock()) + 0.5);
      y.push(version[place], version[place]);
    });
    return { type: "scatter", mode: "lines", name, x, y, line: { width: 1.2, dash, color: colour("plain") }, hovertemplate: `${name}: %{y}<extra></extra>` };
  };
  draw("consensus-size", [
    bounds(2, "fewest that can decide", "dot"), bounds(3, "so many always decide", "dash"),
    {
      type: "scatter", mode: "markers", name: "decided", x: known.map((round) => round[0]), y: known.map((round) => round[4]),
      marker: { color: known.map((round) => shades.get(round[1])), size: 5 },
      customdata: known.map((round) => `block ${round[0]}: ${round[4]} replicas, the leader among them`), hovertemplate: "%{customdata}<extra></extra>",
    },
  ], {
    shapes: handovers(), yaxis: axis("replicas", { range: [0, consensus.names.length + 1], tickformat: "d" }), xaxis: axis("block", { showgrid: false, range: [0, lastBlock() + 1] }),
    margin: { l: 60, r: 12, t: 8, b: 44 }, legend: rowLegend(),
  });
}

// A row for each replica, a column for each version; a star where it led last while that version was the newest.
function drawConsensusPower() {
  const { versions, names, rounds } = consensus;
  const columns = versions.map((_, place) => place), last = versions[versions.length - 1];
  const order = names.map((_, number) => number).sort((one, other) => last[4][one] - last[4][other] || other - one);
  const share = (version, number) => (version[4][number] * 100) / sum(version[4]);
  const z = order.map((number) => versions.map((version) => share(version, number)));
  const even = 100 / names.length, reach = Math.max(0.01, ...z.flat().map((value) => Math.abs(value - even)));
  const stars = { x: [], y: [], customdata: [] };
  versions.forEach((version, place) => {
    const end = versions[place + 1]?.[0] ?? Infinity;
    const leaders = new Set(rounds.filter((round) => round[0] > version[0] && round[0] <= end).map((round) => round[1]));
    for (const leader of leaders) {
      stars.x.push(place);
      stars.y.push(names[leader]);
      stars.customdata.push(`${names[leader]} led: ${share(version, leader).toFixed(2)} % of all power`);
    }
  });
  const named = (version) => (version[0] ? `block ${version[0]}` : "genesis");
  draw("consensus-power", [
    {
      type: "heatmap", x: columns, y: order.map((number) => names[number]), z, zmid: even, zmin: even - reach, zmax: even + reach, xgap: 1, ygap: 1,
      colorscale: [[0, colour("c3")], [0.5, colour("wash")], [1, colour("c1")]],
      colorbar: { thickness: 10, len: 0.6, title: { text: "%", side: "top", font: { size: 12, color: colour("soft") } }, tickfont: { size: 11, color: colour("soft") }, outlinewidth: 0 },
      customdata: order.map((number) => versions.map((version) => `<b>${names[number]}</b><br>from ${named(version)}, ${version[1]}<br>${share(version, number).toFixed(2)} % of all power; equal would be ${even.toFixed(2)}`)),
      hovertemplate: "%{customdata}<extra></extra>",
    },
    { type: "scatter", mode: "markers", ...stars, marker: { symbol: "star", size: 9, color: colour("ink"), line: { width: 1, color: colour("card") } }, hovertemplate: "%{customdata}<extra></extra>", showlegend: false },
  ], {
    xaxis: axis("powers in force from after block (star: leads)", { tickvals: columns, ticktext: versions.map((version) => String(version[0])), showgrid: false, zeroline: false, range: [-0.5, versions.length - 0.5] }),
    yaxis: axis("", { dtick: 1, showgrid: false, tickfont: { size: 11, color: colour("soft") } }), margin: { l: 90, r: 8, t: 8, b: 46 },
  });
}

function drawConsensusReplies() {
  const { names, completed, proposed } = consensus;
  const order = names.map((_, number) => number).sort((one, other) => completed[one] + proposed[one] - completed[other] - proposed[other] || other - one);
  const bar = (name, values, shade) => ({
    type: "bar", orientation: "h", name, y: order.map((number) => names[number]), x: order.map((number) => values[number]), marker: { color: colour(shade) },
    hovertemplate: `%{y}: ${name} %{x} times<extra></extra>`,
  });
  draw("consensus-replies", [bar("proposed as leader", proposed, "c3"), bar("was among those who completed the quorum", completed, "c1")], {
    barmode: "stack", xaxis: axis("blocks"), yaxis: axis("", { dtick: 1, tickfont: { size: 11, color: colour("soft") } }), margin: { l: 90, r: 8, t: 8, b: 44 }, legend: rowLegend(),
  });
}

// What the client of a live cluster waited for each block; the first, for which nodes start, is told in words.
function drawLiveTime() {
  const { names } = consensus, answers = consensus.answers.slice(1);
  const leaders = [...new Set(answers.map((answer) => answer[1]))];
  draw("live-time", leaders.map((leader, place) => {
    const own = answers.filter((answer) => answer[1] === leader);
    return {
      type: "scatter", mode: "markers", name: `${names[leader]} leads`, x: own.map((answer) => answer[0]), y: own.map((answer) => answer[2] / 1000),
      marker: { color: colour(`c${[1, 3, 4, 6, 7, 2, 5, 8][place % 8]}`), size: 6, opacity: 0.8 },
      customdata: own.map(([height, , took, count, bytes, at]) => `<b>block ${height}</b>, ${at}<br>proposed by ${names[leader]}<br>${count} transactions, ${bytes} bytes<br>waited ${(took / 1000).toFixed(1)} ms`),
      hovertemplate: "%{customdata}<extra></extra>",
    };
  }), {
    shapes: consensus.changes.map((height) => ({ type: "line", yref: "paper", y0: 0, y1: 1, x0: height - 0.5, x1: height - 0.5, line: { width: 1, dash: "dot", color: colour("plain") } })),
    yaxis: axis("waited for a block [ms]", { type: "log" }), xaxis: axis("block", { showgrid: false }), margin: { l: 60, r: 12, t: 8, b: 44 }, legend: rowLegend(),
  });
}

if (consensus?.answers) drawing(["live-time"], [], drawLiveTime);
if (consensus?.rounds) {
  drawing(["consensus-time"], [], drawConsensusTime);
  drawing(["consensus-size"], [], drawConsensusSize);
  if (byId("consensus-power")) drawing(["consensus-power"], [], drawConsensusPower);  // equal powers need no picture
  drawing(["consensus-replies"], [], drawConsensusReplies);
}
