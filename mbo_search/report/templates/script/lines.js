// ---- Figures of single schedules: curves, learning rates and timelines, drawn from the values that stand in the page.
const RUNG_DASHES = { untuned: "dot", tuned: "dash", shape: "dashdot", settings: "longdash", switch: "solid" };
const metaOf = (line, more) => ({ trial: line.trial, place: line.place, rung: line.rung, ...more });
const listed = (numbers) => numbers.slice(0, 6).map((trial) => "#" + trial).join(", ") + (numbers.length > 6 ? ", \u2026" : "");

// What a curve may show: from which columns, on which axis. Losses are shown as perplexities.
const toPerplexity = (value) => (value === null ? null : Math.exp(Math.min(value, 30)));
const asIs = (value) => value;
const QUANTITIES = {
  loss: { tables: ["points"], shown: toPerplexity },
  train_loss: { tables: ["steps", "points"], shown: toPerplexity },
  grad_norm: { tables: ["steps", "points"], shown: asIs },
  tokens_per_second: { tables: ["steps"], shown: asIs },
};
const AXES = { tokens: "tokens", steps: "step", seconds: "seconds" };
const WEIGHTS = [0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99];

// The seconds of points are read off the recorded steps around them.
const interpolated = (steps, table) => {
  if (!steps?.seconds) return null;
  let at = 0;
  return table.step.map((step) => {
    while (at < steps.step.length - 1 && steps.step[at] < step) at += 1;
    const [x1, y1] = [steps.step[at], steps.seconds[at]];
    const [x0, y0] = at ? [steps.step[at - 1], steps.seconds[at - 1]] : [0, 0];
    return step > x1 ? y1 : x1 === x0 ? y1 : y0 + ((y1 - y0) * (step - x0)) / (x1 - x0);
  });
};
const seriesOf = (line, choose) => {
  const [quantity, axis] = [choose("quantity"), AXES[choose("across")]];
  const { tables, shown } = QUANTITIES[quantity];
  for (const prefix of choose("seeds") === "fresh" && line.fresh_seeds.length ? ["fresh_", ""] : [""]) {
    for (const name of tables) {
      const table = line[prefix + name];
      if (!table || !table[quantity]) continue;
      const x = table[axis] || interpolated(line[prefix + "steps"], table);
      if (!x) continue;
      const values = prefix ? table[quantity] : { mean: table[quantity] };
      return {
        line, x, table, quantity, isFresh: Boolean(prefix), shown, nats: values.mean,
        y: values.mean.map(shown), low: values.low?.map(shown), high: values.high?.map(shown),
      };
    }
  }
  return null;
};

// An exponential mean of what was measured so far, freed of its start; losses are averaged as losses.
const smoothed = (series, weight) => {
  if (!weight) return series.y;
  let [mean, mass] = [0, 0];
  return series.nats.map((value) => {
    if (value === null) return null;
    mean = weight * mean + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    return series.shown(mean / mass);
  });
};

const hoverOf = (series, y) => {
  const { line, table, x, quantity } = series;
  const who = calledLine(line) + (series.isFresh ? `, ${fill(words.mean_of, { count: line.fresh_seeds.length })}` : "");
  return x.map((_, index) => {
    const stage = table.stage ? line.stages[table.stage[index]] : null;
    const rate = stage && table.lr && typeof table.lr[index] === "number" && table.lr[index] > 0 ? `, ${words.learning_rate} ${table.lr[index].toExponential(1)}` : "";
    const nats = quantity.endsWith("loss") && series.nats[index] !== null ? ` (${series.nats[index].toFixed(4)} ${words.nats})` : "";
    return [
      who,
      `${scaled(table.tokens[index], COUNT_STEPS)} ${words.tokens}: ${y[index] === null ? "\u2013" : Number(y[index].toPrecision(5))}${nats}`,
      stage ? escape(stage[0]) + rate : "",
    ].filter(Boolean).join("<br>");
  });
};

// One trace for a schedule, or one for each stage where color stands for the optimizer in force.
const traceOf = (series, y) => {
  const { line, x, table } = series;
  const strong = line.place === 0 || isMarked(line.trial);
  const text = hoverOf(series, y);
  const piece = (from, to, color, optimizer) => ({
    type: "scatter", x: x.slice(from, to), y: y.slice(from, to), text: text.slice(from, to), hoverinfo: "text",
    mode: "lines", showlegend: false, opacity: isFaded(line.trial) ? 0.22 : strong ? 1 : 0.85,
    line: { color, width: strong ? 3 : 1.8, dash: RUNG_DASHES[line.rung] }, meta: metaOf(line, { optimizer }),
  });
  if (colorBy() !== "optimizer" || !table.stage) return [piece(0, x.length, colorOf(line.trial), null)];
  return line.stages.flatMap(([optimizer], stage) => {
    const [from, to] = [table.stage.indexOf(stage), table.stage.lastIndexOf(stage)];
    // The point before a stage belongs to it as well, so that the line has no gap at the switch.
    return from < 0 ? [] : [piece(Math.max(0, from - 1), to + 1, optimizerColor(optimizer), optimizer)];
  });
};
const faint = (series, color) => ({
  type: "scatter", x: series.x, y: series.y, mode: "lines", hoverinfo: "skip", showlegend: false,
  line: { color, width: 1 }, opacity: 0.3, meta: { raw: series.line.trial },
});
const bandOf = (x, low, high, color, meta) => ({
  type: "scatter", x: [...x, ...[...x].reverse()], y: [...high, ...[...low].reverse()], mode: "lines", fill: "toself",
  fillcolor: color, opacity: 0.16, line: { width: 0 }, hoverinfo: "skip", showlegend: false, meta,
});

// What the colors and the line styles of the lines that are drawn stand for.
const legendOf = (drawn) => {
  const entry = (name, line) => ({ type: "scatter", x: [null], y: [null], mode: "lines", name: escape(name), line, hoverinfo: "skip", meta: { names: name } });
  const used = new Set(drawn.map(({ trial }) => colorOf(trial)));
  const inForce = colorBy() === "optimizer" ? [...new Set(drawn.flatMap(({ stages }) => stages.map(([name]) => name)))] : null;
  const colors = inForce ? inForce.map((name) => [name, optimizerColor(name)]) : coloring().entries.filter(([, color]) => used.has(color));
  const rungs = study.rungs.filter((rung) => drawn.some((line) => line.rung === rung));
  return [
    ...colors.map(([name, color]) => entry(name, { color, width: 6 })),
    ...rungs.map((rung) => entry(words[rung], { color: "var(--soft)", width: 2, dash: RUNG_DASHES[rung] })),
  ];
};
const countHidden = (drawn) => {
  const missing = study.finished - drawn.length;
  return missing > 0 ? fill(words.not_drawn, { count: missing }) : "";
};
const seedsNote = (drawn, lacking, choose) => {
  const numbers = (own) => own.map(({ line }) => line.trial);
  const [fresh, single] = [drawn.filter(({ isFresh }) => isFresh), drawn.filter(({ isFresh }) => !isFresh)];
  return [
    fresh.length ? fill(words.seeds_fresh, { trials: listed(numbers(fresh)) }) : "",
    single.length ? fill(words.seeds_search, { trials: listed(numbers(single)), seed: single[0].line.seed }) : "",
    lacking.length ? fill(words.not_recorded, { what: words["q_" + choose("quantity")], axis: words["x_" + choose("across")], trials: listed(lacking.map(({ trial }) => trial)) }) : "",
  ];
};

// The mean of each group with its range, at the points that all of its schedules have.
const groupTraces = (drawn, groups, weight) => {
  const bundles = new Map();
  for (const series of drawn) {
    const name = groups.groupOf(series.line.trial);
    if (!bundles.has(name)) bundles.set(name, []);
    bundles.get(name).push(series);
  }
  return [...bundles].flatMap(([name, own], place) => {
    const color = (groups.entries.find(([entry]) => entry === name || entry === words[name]) || [])[1] || `var(--line-${place % NUM_COLORS})`;
    const common = own[0].x.filter((x) => own.every((series) => series.x.includes(x)));
    const at = own.map((series) => common.map((x) => smoothed(series, weight)[series.x.indexOf(x)]));
    const across = (choose) => common.map((_, index) => choose(at.map((values) => values[index])));
    const mean = across((values) => values.reduce((sum, value) => sum + value, 0) / values.length);
    const label = `${groupName(name, state.get("group"))} (${own.length})`;
    return [
      bandOf(common, across((values) => Math.min(...values)), across((values) => Math.max(...values)), color, { group: label }),
      { type: "scatter", x: common, y: mean, mode: "lines", line: { color, width: 3 }, name: escape(label), text: mean.map((y) => `<b>${escape(label)}</b><br>${Number(y.toPrecision(5))}`), hoverinfo: "text", meta: { group: label } },
    ];
  });
};

// From the best value to what the leaders reach after a twentieth of the way: the start would flatten it all.
const viewOf = (drawn, quantity) => {
  const values = drawn.flatMap(({ y }) => y).filter((value) => value > 0);
  if (!values.length) return [1, 2];
  const low = Math.min(...values);
  if (!quantity.endsWith("loss")) return [low, Math.max(...values)];
  const leaders = drawn.filter(({ line }) => line.place === 0);
  const early = (leaders.length ? leaders : drawn).map(({ y }) => y[Math.floor(y.length / 20)]);
  return [low, Math.max(low * 1.001, ...early)];
};
const setView = (axis, [low, high]) => {
  const pad = Math.max(0.002, (Math.log10(high) - Math.log10(low)) * 0.05);
  axis.range = [Math.log10(low) - pad, Math.log10(high) + pad];
  axis.type = "log";
  setTicks(axis);
};

const LABEL_ROOM = 54; // beside the plot, for the numbers at the ends of lines
const drawCurves = (spec, figure) => {
  const { choose } = figure;
  const [quantity, across] = [choose("quantity"), choose("across")];
  const wanted = chosenLines(Number(choose("top")), 1);
  const drawn = wanted.map((line) => seriesOf(line, choose)).filter(Boolean);
  const lacking = wanted.filter((line) => !drawn.some((series) => series.line === line));
  const weight = WEIGHTS[Number(choose("smooth"))];
  const groups = grouping();
  const band = quantity === "loss" && across === "tokens" && !selection.only ? spec.data : [];
  spec.data = groups ? [...band, ...groupTraces(drawn, groups, weight)] : [
    ...band,
    ...drawn.filter(({ low, line }) => low && !isFaded(line.trial)).map(({ x, low, high, line }) => bandOf(x, low, high, colorOf(line.trial), { range: line.trial })),
    ...(weight ? drawn.map((series) => faint(series, colorOf(series.line.trial))) : []),
    ...drawn.toReversed().flatMap((series) => traceOf(series, smoothed(series, weight))),
    ...legendOf(drawn.map(({ line }) => line)),
  ];
  figure.ends = groups ? [] : drawn.map((series) => endOf(series, weight)).filter(Boolean);
  spec.layout.xaxis.range = [0, Math.max(1, ...drawn.flatMap(({ x }) => x))];
  setView(spec.layout.yaxis, viewOf(drawn, quantity));
  spec.layout.yaxis.title.text = words["q_" + quantity];
  spec.layout.xaxis.title.text = words["x_" + across];
  spec.layout.annotations = [];
  spec.layout.margin.r = LABEL_ROOM;
  if (across !== "tokens") spec.layout.shapes = [];
  figure.note.textContent = [...seedsNote(drawn, lacking, choose), countHidden(drawn)].filter(Boolean).join(" ").replaceAll("\u2026.", "\u2026");
};
const endOf = (series, weight) => {
  const y = smoothed(series, weight);
  const last = y.findLastIndex((value) => value !== null && value > 0);
  const { line } = series;
  return last < 0 ? null : { trial: line.trial, x: series.x[last], y: y[last], color: colorOf(line.trial), rank: isMarked(line.trial) ? -1 : line.place };
};

const drawRates = (spec, figure) => {
  const drawn = chosenLines(Number(figure.choose("top")), 1);
  spec.data = [...drawn.toReversed().flatMap(ratesOf), ...legendOf(drawn)];
  figure.note.textContent = countHidden(drawn);
};
const ratesOf = (line) => line.stages.flatMap(([optimizer, , , , , tokens, rates], stage) => {
  const color = colorBy() === "optimizer" ? optimizerColor(optimizer) : colorOf(line.trial);
  const text = (xs, ys, more) => xs.map((x, index) => `${calledLine(line)}, ${escape(optimizer)}${more}<br>${scaled(x, COUNT_STEPS)} ${words.tokens}: ${words.learning_rate} ${ys[index].toExponential(1)}`);
  const shared = { type: "scatter", hoverinfo: "text", showlegend: false, opacity: isFaded(line.trial) ? 0.22 : 1, meta: metaOf(line, { optimizer }) };
  const { points } = line;
  const measured = points.stage ? points.stage.map((own, index) => (own === stage && points.lr[index] > 0 ? index : -1)).filter((index) => index >= 0) : [];
  const at = (column) => measured.map((index) => points[column][index]);
  return [
    { ...shared, x: tokens, y: rates, mode: "lines", line: { color, width: 2.4, dash: RUNG_DASHES[line.rung] }, text: text(tokens, rates, "") },
    { ...shared, x: at("tokens"), y: at("lr"), mode: "markers", text: text(at("tokens"), at("lr"), ", " + words.measured),
      marker: { color, size: 7, line: { color: "var(--surface)", width: 1.5 } } },
  ];
});

// One bar for each stage in its optimizer's color; the filled height is the learning rate.
const ROW_PIXELS = 84;
const BAR_HALF = 0.2;
const drawTimelines = (spec) => {
  const byRung = (a, b) => (b.rung === study.asked) - (a.rung === study.asked) || study.rungs.indexOf(b.rung) - study.rungs.indexOf(a.rung);
  const rows = chosenLines(6, 2).sort((a, b) => selection.pinned.has(b.trial) - selection.pinned.has(a.trial) || byRung(a, b) || a.place - b.place);
  const total = Math.max(1, ...rows.flatMap(({ stages }) => stages.map(([, , , end]) => end)));
  const named = new Set();
  spec.data = rows.flatMap((line, index) => line.stages.flatMap((stage, place) => barOf(line, stage, index, place, named)));
  spec.layout.annotations = rows.flatMap((line, index) => [...headingOf(line, index), ...line.stages.map((stage) => captionOf(stage, index, total))]);
  spec.layout.shapes = rows.flatMap(({ stages }, index) => stages.slice(1).map(([, , start]) => (
    { type: "line", x0: start, x1: start, y0: index - 0.26, y1: index + BAR_HALF, line: { color: "var(--surface)", width: 2 } })));
  spec.layout.height = ROW_PIXELS * Math.max(1, rows.length) + 70;
  spec.layout.yaxis.range = [rows.length - 0.42, -0.62];
};
const barOf = (line, [optimizer, , start, end, scale, tokens, rates], index, place, named) => {
  const floor = index + BAR_HALF;
  const color = optimizerColor(optimizer);
  readRecipes();
  const recipe = recipes.get(line.trial)?.stages[place] || [];
  const facts = recipeFacts.map((fact, at) => [fact, recipe[STAGE_VALUES + at]]).filter(([, value]) => value);
  const text = [`<b>#${line.trial} ${escape(String(recipe[0] ?? ""))}</b>`, ...facts.map(([fact, value]) => `${escape(fact)}: ${escape(String(value))}`)].join("<br>");
  const heights = rates.map((rate) => floor - 2 * BAR_HALF * rate * scale);
  const shape = (x, y, opacity, showlegend) => ({
    type: "scatter", x, y, mode: "lines", fill: "toself", fillcolor: color, opacity: opacity * (isFaded(line.trial) ? 0.35 : 1), line: { width: 0, color },
    hoveron: "fills", text, hoverinfo: "text", name: optimizer, legendgroup: optimizer, showlegend, meta: { trial: line.trial, row: index },
  });
  const first = !named.has(optimizer);
  named.add(optimizer);
  return [
    shape([start, start, end, end], [floor, floor - 2 * BAR_HALF, floor - 2 * BAR_HALF, floor], 0.2, false),
    shape([start, ...tokens, end], [floor, ...heights, floor], 1, first),
  ];
};
const headingOf = (line, index) => {
  const swatch = `<span style="color:${colorOf(line.trial)}">\u25cf</span>`;
  const title = `${swatch} <b>#${line.trial}</b>  ${escape(line.label || words[line.rung])}`;
  const perplexity = rankedRow(line.trial)?.perplexity;
  const texts = [[title, 0, "left"], [`<b>${perplexity ? formats.perplexity(perplexity) : "\u2013"}</b>`, 1, "right"]];
  return texts.map(([text, x, xanchor]) => (
    { x, xref: "paper", y: index - BAR_HALF, text, xanchor, yanchor: "bottom", showarrow: false, font: { size: 13.5, color: "var(--ink)" } }));
};
const captionOf = ([optimizer, caption, start, end], index, total) => ({
  x: start, y: index + BAR_HALF, text: escape(caption), name: `fit|${((end - start) / total).toFixed(4)}|${optimizer}`,
  xanchor: "left", yanchor: "top", showarrow: false, font: { size: 11.5, color: "var(--soft)" },
});

const drawers = study ? { curves: drawCurves, lr: drawRates, timelines: drawTimelines } : {};
