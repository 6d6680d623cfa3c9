// ---- Colors: one for each schedule, in every figure and table, by what the reader chose once.
const NUM_COLORS = Object.keys(palettes.light).filter((name) => name.startsWith("line-")).length;
const OTHER = "var(--opt-other)";

// The eight best of the question and the leaders of the other rungs differ; further ones begin again.
const colorOrder = (line) => (line.rung === study.asked ? line.place : line.place ? 100 + line.place : 7.5);
const colorPlace = new Map([...lines].sort((a, b) => colorOrder(a) - colorOrder(b)).map((line, place) => [line.trial, place]));

// Recipes stand in the tables: every finished or stopped schedule with its stages.
const recipes = new Map();
const recipeFacts = [];
const readRecipes = () => {
  if (recipes.size) return;
  for (const name of ["table-ranking", "table-failures"]) {
    const table = readOnce(name);
    if (!table) continue;
    recipeFacts.splice(0, recipeFacts.length, ...table.facts);
    table.rows.forEach((row, index) => recipes.set(row.trial, { rung: row.kind, stages: table.stages[index] }));
  }
};

// What schedules can be colored and grouped by: every setting of a stage that is not the same in all of them.
const STAGE_VALUES = 2; // a stage is its name, its share, then the values of its facts
let dimensions;
const settingsOf = () => {
  if (dimensions) return dimensions;
  readRecipes();
  const all = [...recipes.values()];
  const most = Math.max(0, ...all.map(({ stages }) => stages.length));
  dimensions = [];
  for (let stage = 0; stage < most; stage += 1) {
    recipeFacts.forEach((fact, index) => {
      const values = all.map(({ stages }) => stages[stage]?.[STAGE_VALUES + index] ?? null);
      if (new Set(values).size < 2) return;
      const name = all.find(({ stages }) => stages[stage]).stages[stage][0];
      dimensions.push({ key: `${stage}-${index}`, stage, index, label: `${name}: ${fact}` });
    });
  }
  return dimensions;
};
const lastOptimizer = (trial) => recipes.get(trial)?.stages.at(-1)?.[STAGE_VALUES] ?? null;
const optimizerColor = (name) => ("opt-" + name in palettes.light ? `var(--opt-${name})` : OTHER);

// The value of a schedule under such a choice, or null where it has none.
const valueBy = (by) => {
  readRecipes();
  if (by === "rung") return (trial) => recipes.get(trial)?.rung ?? null;
  if (by === "optimizer") return lastOptimizer;
  const setting = settingsOf().find(({ key }) => key === by);
  if (!setting) return null;
  return (trial) => recipes.get(trial)?.stages[setting.stage]?.[STAGE_VALUES + setting.index] || null;
};
const numeric = (text) => (/^[\d.eE+-]+( %)?$/.test(text) && Number.isFinite(parseFloat(text)) ? parseFloat(text) : null);

// Colors by a value: five steps of a scale where all of them are numbers, else one color for each.
const SCALE_STEPS = 5;
const scaleBy = (by) => {
  const valueOf = valueBy(by);
  if (!valueOf) return null;
  const values = [...new Set([...recipes.keys()].map(valueOf).filter((value) => value !== null))];
  const numbers = values.map(numeric);
  if (values.length > SCALE_STEPS && !numbers.includes(null)) return numberScale(valueOf, numbers);
  if (by === "rung") values.sort((a, b) => study.rungs.indexOf(a) - study.rungs.indexOf(b));
  else values.sort((a, b) => (numeric(a) ?? 0) - (numeric(b) ?? 0) || a.localeCompare(b));
  const isOptimizer = values.some((value) => "opt-" + value in palettes.light);
  const colors = new Map(values.map((value, index) => {
    if (by === "rung") return [value, `var(--rung-${value})`];
    return [value, isOptimizer ? optimizerColor(value) : index < NUM_COLORS ? `var(--line-${index})` : OTHER];
  }));
  const entries = values.slice(0, NUM_COLORS).map((value) => [by === "rung" ? words[value] : value, colors.get(value)]);
  return { entries, of: (trial) => colors.get(valueOf(trial)) ?? OTHER, groupOf: valueOf };
};
const numberScale = (valueOf, numbers) => {
  const ordered = [...new Set(numbers)].sort((a, b) => a - b);
  const stepOf = (value) => Math.min(SCALE_STEPS - 1, Math.floor((ordered.indexOf(value) * SCALE_STEPS) / ordered.length));
  const entries = Array.from({ length: SCALE_STEPS }, (_, step) => {
    const own = ordered.filter((value) => stepOf(value) === step);
    return [own.length > 1 ? `${own[0]} \u2013 ${own.at(-1)}` : String(own[0]), `var(--scale-${step})`];
  });
  const step = (trial) => { const value = valueOf(trial); return value === null ? null : stepOf(numeric(value)); };
  return {
    entries,
    of: (trial) => (step(trial) === null ? OTHER : `var(--scale-${step(trial)})`),
    groupOf: (trial) => (step(trial) === null ? null : entries[step(trial)][0]),
  };
};

// The choice in force. By schedule, those that can be drawn one by one have a color of their own.
const ownColor = (trial) => {
  const place = colorPlace.get(trial);
  if (place !== undefined) return `var(--line-${place % NUM_COLORS})`;
  return isMarked(trial) ? `var(--line-${trial % NUM_COLORS})` : OTHER;
};
const bySchedule = { entries: [], of: ownColor, groupOf: null };
const scales = new Map();
const scaleOf = (by) => {
  if (!scales.has(by)) scales.set(by, scaleBy(by));
  return scales.get(by);
};
const colorBy = () => state.get("color") || "schedule";
const coloring = () => scaleOf(colorBy()) || bySchedule;
const colorOf = (trial) => coloring().of(trial);
const grouping = () => (state.get("group") ? scaleOf(state.get("group")) : null);
const groupName = (value, by) => {
  if (value === null) return "\u2013";
  if (by === "rung") return words[value];
  const setting = settingsOf().find(({ key }) => key === by);
  return setting ? `${setting.label} ${value}` : value;
};
