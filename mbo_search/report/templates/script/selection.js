// ---- Selection: which schedules are picked (strong everywhere), pinned (always drawn, on top of the table) and hidden.
const study = readOnce("schedules");
const lines = study ? study.lines : [];
const lineOf = new Map(lines.map((line) => [line.trial, line]));
const followers = []; // what is drawn anew when the selection or the colors change

const selection = { picked: new Set(), pinned: new Set(), hidden: new Set(), only: false };
const SETS = { picked: "pick", pinned: "pin", hidden: "hide" };
const readSelection = () => {
  for (const [name, key] of Object.entries(SETS)) selection[name] = numbersOf(key);
  selection.only = state.get("only") === "1";
};
const isMarked = (trial) => selection.picked.has(trial) || selection.pinned.has(trial);
const isShown = (trial) => !selection.hidden.has(trial) && (!selection.only || isMarked(trial));
const isFaded = (trial) => selection.picked.size > 0 && !selection.picked.has(trial);

const followSelection = () => {
  readSelection();
  for (const follow of followers) follow();
  renderDrawn();
};
const toggle = (name, trial) => {
  const numbers = new Set(selection[name]);
  if (numbers.has(trial)) numbers.delete(trial);
  else numbers.add(trial);
  writeNumbers(SETS[name], numbers);
  followSelection();
};
// Moves all picked schedules to the pinned or to the hidden ones, as one step.
const movePicked = (name) => {
  const numbers = new Set([...selection[name], ...selection.picked]);
  if (name === "hidden") noted("pick", "", "");
  writeNumbers(SETS[name], numbers);
  followSelection();
};
const clearSelection = () => {
  const [last, ...others] = [...Object.values(SETS), "color", "group", "only"].filter((key) => state.has(key));
  for (const key of others) noted(key, "", "");
  if (last) setState(last, "", "");
  followSelection();
};

// The schedules that figures draw one by one: the best of each rung, and whatever is marked.
const chosenLines = (asked, others) => lines.filter((line) => isShown(line.trial) && (
  isMarked(line.trial) || (!selection.only && line.place < (line.rung === study.asked ? asked : Math.min(others, asked)))
));
const calledLine = (line) => `<b>#${line.trial}</b> ${escape(line.label || words[line.rung])}`;
