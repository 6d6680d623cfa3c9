const switchLog = (spec, choose) => {
  if (choose("log") === "1") return;
  const axis = spec.layout.yaxis;
  axis.type = "linear";
  for (const key of ["dtick", "tickformat", "tickvals", "ticktext"]) delete axis[key];
  if (axis.range) axis.range = axis.range.map((end) => 10 ** end);
  for (const note of spec.layout.annotations || []) if (note.yref !== "paper") note.y = 10 ** note.y;
};

// Where schedules part: the last third of the way, and only as much of the other axis as the lines need there.
const showEnd = (spec, choose) => {
  if (choose("end") !== "1") return;
  const drawn = spec.data.filter((trace) => trace.visible !== false && (trace.meta?.trial !== undefined || trace.meta?.group) && trace.x.length);
  if (!drawn.length) return;
  const last = Math.max(...drawn.flatMap((trace) => trace.x));
  const heights = drawn.flatMap((trace) => trace.y.filter((y, index) => y > 0 && trace.x[index] >= last * 0.66));
  if (!heights.length) return;
  const [low, high] = [Math.log10(Math.min(...heights)), Math.log10(Math.max(...heights))];
  const pad = (high - low) * 0.06 + 0.001;
  spec.layout.xaxis.range = [last * 0.66, last * 1.01];
  spec.layout.yaxis.range = [low - pad, high + pad];
  setTicks(spec.layout.yaxis);
};
const decadeTicks = (low, high) => {
  const ticks = [];
  for (let decade = Math.floor(Math.log10(low)); decade <= Math.log10(high); decade += 1) {
    for (const step of [1, 2, 5]) ticks.push(Number(`${step}e${decade}`));
  }
  return ticks.filter((tick) => tick >= low && tick <= high);
};
const setTicks = (axis) => {
  const [low, high] = axis.range.map((end) => 10 ** end);
  if (high / low > 5) {
    axis.tickvals = decadeTicks(low, high);
    axis.ticktext = axis.tickvals.map(String);
    return;
  }
  const rough = (high - low) / 6;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => unit * factor).find((size) => size >= rough);
  axis.tickvals = [];
  for (let index = Math.ceil(low / step); index * step <= high; index += 1) {
    axis.tickvals.push(Number((index * step).toPrecision(6)));
  }
  axis.ticktext = axis.tickvals.map(String);
};

const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
const known = (axis) => axis.values.filter((value) => value !== null);

// A setting on an axis. Choices become numbers with a fixed scatter, so that equal ones do not hide each other;
// schedules without the choice get a place of their own below the first.
const putAxis = (layout, axis, turn) => {
  for (const key of ["range", "tickvals", "ticktext"]) delete layout[key];
  layout.title.text = escape(axis.label);
  layout.type = axis.log ? "log" : "linear";
  if (axis.log) {
    layout.tickvals = decadeTicks(Math.min(...known(axis)), Math.max(...known(axis)));
    layout.ticktext = layout.tickvals.map(String);
  }
  if (!axis.choices.length) return axis.values;
  const lane = axis.values.includes(null) ? ["\u2013"] : [];
  layout.ticktext = [...lane, ...axis.choices].map(escape);
  layout.tickvals = layout.ticktext.map((_, index) => index - lane.length);
  layout.range = [-lane.length - 0.5, axis.choices.length - 0.5];
  return axis.values.map((value, index) => axis.choices.indexOf(value) + (((index * turn) % 1) - 0.5) * 0.44);
};

// What lies between the dots of two settings: a kernel mean of the log perplexity, blank where no dot is near.
const landscape = (across, up, perplexities, marker) => {
  const STEPS = 40;
  const scaleOf = (axis) => {
    if (axis.choices.length) {
      return { places: axis.choices.map((_, index) => index), at: (value) => axis.choices.indexOf(value), width: 0.4 };
    }
    const bend = axis.log ? Math.log : (value) => value;
    const back = axis.log ? Math.exp : (value) => value;
    const [low, high] = [bend(Math.min(...known(axis))), bend(Math.max(...known(axis)))];
    const places = Array.from({ length: STEPS + 1 }, (_, index) => back(low + ((high - low) * index) / STEPS));
    return { places, at: (value) => ((bend(value) - low) / (high - low || 1)) * STEPS, width: 0.1 * STEPS };
  };
  const [xs, ys] = [scaleOf(across), scaleOf(up)];
  const dots = perplexities
    .map((value, index) => [across.values[index], up.values[index], Math.log(value)])
    .filter(([x, y]) => x !== null && y !== null)
    .map(([x, y, value]) => [xs.at(x), ys.at(y), value]);
  const z = ys.places.map((_, row) => xs.places.map((_, column) => {
    let [total, weights, nearest] = [0, 0, Infinity];
    for (const [x, y, value] of dots) {
      const distance = ((x - column) / xs.width) ** 2 + ((y - row) / ys.width) ** 2;
      const weight = Math.exp(-distance / 2);
      total += weight * value;
      weights += weight;
      nearest = Math.min(nearest, distance);
    }
    return nearest < 4 ? Math.exp(total / weights) : null;
  }));
  return {
    type: across.choices.length || up.choices.length ? "heatmap" : "contour",
    x: xs.places, y: ys.places, z, zmin: marker.cmin, zmax: marker.cmax, colorscale: marker.colorscale,
    showscale: false, opacity: 0.45, hoverinfo: "skip", connectgaps: false, line: { width: 0.6 }, ncontours: 9,
  };
};

// What the controls of figures do before a figure is drawn, in the order in which they stand in the page. An entry
// may also list what can be chosen, label a choice, name one that is not listed, and answer a click.
const SHARES = [5, 10, 20, 30, 50, 75, 100];
const settings = (figure) => figure.data.axes.map((axis, index) => [String(index), axis.label]);
const controls = {
  top: {},
  quantity: { options: () => Object.keys(QUANTITIES).map((name) => [name, words["q_" + name]]) },
  across: { options: () => Object.keys(AXES).map((name) => [name, words["x_" + name]]) },
  seeds: { options: () => ["fresh", "search"].map((name) => [name, words["seeds_of_" + name]]) },
  smooth: { label: (choose) => String(WEIGHTS[Number(choose("smooth"))]) },
  end: { adapt: showEnd },
  log: { adapt: switchLog },
  share: {
    adapt: (spec, choose) => {
      const share = SHARES[Number(choose("share"))];
      for (const trace of spec.data) trace.visible = trace.meta.share <= share;
    },
    label: (choose) => SHARES[Number(choose("share"))] + " %",
  },
  x: { options: settings },
  y: {
    options: (figure) => [["-1", words.perplexity], ...settings(figure)],
    adapt: (spec, choose, figure) => {
      const axes = figure.data.axes;
      const trace = spec.data[0];
      const [across, up] = [axes[Number(choose("x"))] || axes[0], axes[Number(choose("y"))]];
      trace.x = putAxis(spec.layout.xaxis, across, 0.7549);
      trace.y = up ? putAxis(spec.layout.yaxis, up, 0.5698) : figure.data.perplexities;
      trace.text = figure.data.trials.map((trial, index) => [
        `<b>#${trial}</b> ${figure.data.perplexities[index]}`,
        ...[across, up].filter(Boolean).map((axis) => `${escape(axis.label)}: ${escape(String(axis.values[index] ?? "\u2013"))}`),
      ].join("<br>"));
      if (up) spec.data.unshift(landscape(across, up, figure.data.perplexities, trace.marker));
      const lacking = trace.x.filter((x, index) => x === null || trace.y[index] === null).length;
      figure.note.textContent = lacking ? fill(words.lacking, { count: lacking }) : "";
    },
  },
  // One block and all that hangs on it fill the figure: chosen from the list, or by a click on the block.
  at: {
    options: (figure) => {
      const listed = figure.spec.layout.meta.blocks.map(([, , rows, label], index) => [String(index), label, rows]);
      return [["-1", words.whole], ...listed.filter(([, , rows]) => rows > 1).map(([key, label]) => [key, label])];
    },
    adapt: (spec, choose) => {
      const block = spec.layout.meta.blocks[Number(choose("at"))];
      if (!block) return;
      const [start, row, rows] = block;
      spec.layout.xaxis.range = [start, spec.layout.xaxis.range[1]];
      spec.layout.yaxis.range = [row + rows, row];
    },
    // Only shared blocks are listed; one that was clicked on or sent in a link is added.
    called: (figure, at) => figure.spec.layout.meta.blocks[Number(at)]?.[3],
    clicked: (figure, event) => {
      const at = String(event.points[0].pointNumber);
      choosing(figure, "at", figure.choose("at") === at ? "-1" : at);
    },
  },
  cost: {
    options: (figure) => Object.entries(figure.spec.layout.meta.variants).map(([key, variant]) => [key, variant.title]),
    adapt: (spec, choose) => {
      const variants = spec.layout.meta.variants;
      const variant = variants[choose("cost")] || Object.values(variants)[0];
      spec.data.forEach((trace, index) => {
        trace.x = variant.x[index];
        trace.hovertemplate = `%{text}<br>${variant.title}: %{x}<extra></extra>`;
      });
      const front = spec.data[spec.data.length - 1];
      front.y = variant.front_y;
      front.customdata = variant.front_trials;
      front.text = variant.front_text;
      spec.layout.xaxis.title.text = variant.title;
    },
  },
};
