// ---- Figures of all schedules at once: hidden ones leave them, the others wear their color, picked ones stand out.
const PER_POINT = ["x", "y", "text", "customdata", "hovertext"];
const keepPoints = (trace, kept) => {
  const pick = (values) => (Array.isArray(values) && values.length === trace.customdata.length ? kept.map((index) => values[index]) : values);
  const marker = Object.fromEntries(Object.entries(trace.marker || {}).map(([key, values]) => [key, pick(values)]));
  const changed = Object.fromEntries(PER_POINT.filter((key) => key in trace).map((key) => [key, pick(trace[key])]));
  return { ...trace, ...changed, marker };
};
const isCloud = (trace) => Array.isArray(trace.customdata) && typeof trace.customdata[0] === "number" && trace.mode?.includes("markers");

// Dots keep their shape, which names the rung; figures whose color is a result keep that, too.
const COLORED_BY_RESULT = new Set(["slices"]);
const dressCloud = (trace, key) => {
  const own = keepPoints(trace, [...trace.customdata.keys()].filter((index) => isShown(trace.customdata[index])));
  const each = (value, dot) => own.customdata.map((trial, index) => dot(trial, Array.isArray(value) ? value[index] : value));
  const { marker } = own;
  const base = marker.opacity ?? own.opacity ?? 1;
  const strong = (trial) => isMarked(trial) || (colorBy() === "schedule" && lineOf.has(trial));
  marker.opacity = each(base, (trial, opacity) => (isFaded(trial) ? 0.12 : isMarked(trial) ? 1 : strong(trial) ? Math.max(opacity, 0.8) : opacity));
  marker.size = each(marker.size, (trial, size) => (isMarked(trial) ? size + 5 : size));
  if (!own.mode.includes("lines") && !COLORED_BY_RESULT.has(key)) marker.color = own.customdata.map(colorOf);
  return own;
};

// A lane of fresh seeds belongs to one schedule.
const dressOwned = (trace) => {
  const { trial } = trace.meta;
  if (!isShown(trial)) return { ...trace, visible: false };
  const color = colorOf(trial);
  const opacity = isFaded(trial) ? 0.2 : trace.opacity;
  if (trace.marker?.symbol === "circle-open") return { ...trace, opacity };
  return { ...trace, opacity, marker: { ...trace.marker, color }, line: { ...trace.line, color } };
};

// Many lines in one trace: hidden ones leave gaps, picked ones are drawn again on top.
const dressBundle = (trace) => {
  const size = trace.x.length / trace.meta.trials.length;
  const part = (values, index) => values.slice(index * size, (index + 1) * size);
  const kept = [...trace.meta.trials.keys()].filter((index) => isShown(trace.meta.trials[index]));
  const columns = (indices) => Object.fromEntries(["x", "y", "text"].map((key) => [key, indices.flatMap((index) => part(trace[key], index))]));
  const rest = { ...trace, ...columns(kept), meta: { ...trace.meta, trials: kept.map((index) => trace.meta.trials[index]) } };
  if (selection.picked.size) rest.opacity = 0.15;
  const colored = kept.filter((index) => isMarked(trace.meta.trials[index]));
  return [rest, ...colored.map((index) => {
    const trial = trace.meta.trials[index];
    return { ...trace, ...columns([index]), opacity: 1, line: { ...trace.line, color: colorOf(trial), width: 3 }, meta: { share: trace.meta.share, trials: [trial] } };
  })];
};
const dressBlocks = (trace) => {
  const shown = trace.customdata.map((trials) => trials.some(isShown) && (!selection.picked.size || trials.some((trial) => selection.picked.has(trial))));
  return { ...trace, marker: { ...trace.marker, opacity: shown.map((own) => (own ? 1 : 0.2)) } };
};

// Groups and colors that dots wear are named beside the shapes.
const cloudLegend = (spec) => {
  const entries = coloring().entries;
  if (!entries.length || !spec.data.some((trace) => isCloud(trace) && trace.showlegend !== false)) return [];
  // Each in a group of its own: others of the figure have groups, and a group is a column.
  return entries.map(([name, color], index) => (
    { type: "scatter", x: [null], y: [null], mode: "markers", name: escape(name), legendgroup: "color-" + index, marker: { color, size: 10, symbol: "square" }, hoverinfo: "skip", meta: { names: name } }));
};
const dress = (spec, key) => {
  if (!study || key in drawers) return;
  const legend = colorBy() === "rung" ? [] : cloudLegend(spec);
  spec.data = spec.data.flatMap((trace) => {
    if (trace.meta?.trials) return dressBundle(trace);
    if (trace.meta?.trial !== undefined) return [dressOwned(trace)];
    if (trace.type === "bar" && Array.isArray(trace.customdata?.[0])) return [dressBlocks(trace)];
    return [isCloud(trace) ? dressCloud(trace, key) : trace];
  });
  // A legend entry shows the first dot of its trace: there, only the shape counts.
  for (const trace of spec.data.filter(isCloud)) {
    if (trace.showlegend === false || trace.mode.includes("lines") || COLORED_BY_RESULT.has(key)) continue;
    trace.legendgroup ||= trace.name;
    legend.push({ type: "scatter", x: [null], y: [null], mode: "markers", name: trace.name, legendgroup: trace.legendgroup, marker: { symbol: trace.marker.symbol, color: "var(--soft)", size: 9 }, hoverinfo: "skip" });
    trace.showlegend = false;
  }
  spec.data.push(...legend);
};
