// ---- Labels at the ends of lines: at their line at every zoom, apart from each other, gone where the end is out of view.
const LABEL_PIXELS = 15;

// Heights that keep the order of the ends, as near to them as the gap allows, within the plot.
const spreadLabels = (heights, gap, room) => {
  const placed = heights.map((height) => Math.min(Math.max(height, gap / 2), room - gap / 2));
  for (let index = 1; index < placed.length; index += 1) placed[index] = Math.max(placed[index], placed[index - 1] + gap);
  let below = room - gap / 2;
  for (let index = placed.length - 1; index >= 0; index -= 1) {
    placed[index] = Math.min(placed[index], below);
    below = placed[index] - gap;
  }
  return placed;
};

const labelsOf = (figure) => {
  const { xaxis, yaxis } = figure.plot._fullLayout;
  const inside = figure.ends
    .map((end) => ({ ...end, left: xaxis.d2p(end.x), height: yaxis.d2p(end.y) }))
    .filter(({ left, height }) => left >= -1 && left <= xaxis._length + 1 && height >= -1 && height <= yaxis._length + 1);
  const most = Math.floor(yaxis._length / LABEL_PIXELS);
  const kept = inside.sort((a, b) => a.rank - b.rank).slice(0, most).sort((a, b) => a.height - b.height);
  const heights = spreadLabels(kept.map(({ height }) => height), LABEL_PIXELS, yaxis._length);
  return kept.map(({ trial, x, y, color, height }, index) => ({
    x, y: yaxis.type === "log" ? Math.log10(y) : y, text: "#" + trial, name: "end|" + trial,
    showarrow: true, arrowhead: 0, arrowwidth: 1.2, arrowcolor: color, standoff: 2, ax: 16, ay: heights[index] - height,
    xanchor: "left", yanchor: "middle", font: { size: 12, color: "var(--ink)" }, borderpad: 0,
  }));
};

// Fixed ticks and labels suit one view only; after a zoom they follow the part in view.
const followView = (figure) => {
  if (!figure.plot._fullLayout) return null;
  const change = {};
  const axis = figure.plot.layout.yaxis;
  if (axis.type === "log" && axis.tickvals) {
    const ticks = { range: [...axis.range] };
    setTicks(ticks);
    change["yaxis.tickvals"] = ticks.tickvals;
    change["yaxis.ticktext"] = ticks.ticktext;
  }
  if (figure.ends) change.annotations = resolveColors(labelsOf(figure), palettes[theme()]);
  return Object.keys(change).length ? Plotly.relayout(figure.plot, change) : null;
};
const movesView = (change) => Object.keys(change).some((key) => /^[xy]axis\.(range|autorange)/.test(key));
