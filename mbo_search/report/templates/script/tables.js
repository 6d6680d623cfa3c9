// ---- Tables: sorted and filtered from raw numbers, written in the reader's units.
const thin = (value) => value.toFixed(1).replace(/\.0$/, "");
const scaled = (value, steps) => {
  const [factor, suffix] = steps.find(([least]) => value >= least) || [1, ""];
  return Number((value / factor).toPrecision(3)) + suffix;
};
const COUNT_STEPS = [[1e9, "B"], [1e6, "M"], [1e3, "k"]];
const formats = {
  rank: String,
  trial: (value) => "#" + value,
  perplexity: (value) => (value < 100 ? value.toFixed(2) : value < 1e4 ? value.toFixed(1) : value.toExponential(1)),
  loss: (value) => value.toFixed(4).replace(/^-(0\.0+)$/, "$1").replace("-", "\u2212"),
  p: (value) => (value < 1e-4 ? "< 0.0001" : String(Number(value.toPrecision(2)))),
  change: (value) => (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(1) + " %",
  percent: (value) => (value * 100).toFixed(1) + " %",
  count: (value) => scaled(value, COUNT_STEPS),
  seconds: (value) =>
    value < 60
      ? fill(words.seconds, { value: thin(value) })
      : value < 3600 ? fill(words.minutes, { value: thin(value / 60) }) : fill(words.hours, { value: thin(value / 3600) }),
  bytes: (value) => scaled(value, [[2 ** 30, " GiB"], [2 ** 20, " MiB"], [2 ** 10, " KiB"]]),
  text: String,
  mark: (value) => (value ? "\u25c6" : ""),
  arm: String,
};
const leftKinds = new Set(["arm", "stages", "text"]);
const PAGE = 20;
const PRINTED = 300;

const quote = (value) => {
  let text = value === null || value === undefined ? "" : String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = "'" + text; // spreadsheets would run it
  return /[",\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
};
const saveCsv = (name, lines) => {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  link.download = name + ".csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};

// Tables that stand in the page as they are: the rows in view, with the group that they belong to in front.
const setUpGrid = (element) => {
  element.querySelector("[data-csv]").addEventListener("click", () => {
    let group = "";
    const lines = [];
    for (const row of element.querySelectorAll("tr")) {
      const texts = [...row.cells].map((cell) => cell.textContent.trim());
      if (row.classList.contains("group")) [group] = texts;
      else if (row.getClientRects().length) lines.push([lines.length ? group : "", ...texts].map(quote).join(","));
    }
    saveCsv(element.dataset.grid, lines);
  });
};

let rankedRows;
const rankedRow = (trial) => {
  rankedRows ??= new Map((readOnce("table-ranking")?.rows || []).map((row) => [row.trial, row]));
  return rankedRows.get(trial);
};

// A dot in the color of the schedule that picks it, and what else can be done with it in its opened row.
const pickButton = (trial) => {
  const button = make("button", "pick");
  button.type = "button";
  button.style.setProperty("--own", colorOf(trial));
  button.setAttribute("aria-pressed", String(selection.picked.has(trial)));
  button.setAttribute("aria-label", fill(words.pick_one, { trial }));
  button.title = button.getAttribute("aria-label");
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    toggle("picked", trial);
    document.querySelector(`tr[data-trial="${trial}"] .pick`)?.focus({ preventScroll: true });
  });
  return button;
};
const selectionButtons = (trial) => {
  const bar = make("div", "acts");
  for (const [name, verb, undo] of [["picked", "pick", "unpick"], ["pinned", "pin", "unpin"], ["hidden", "hide", "unhide"]]) {
    const isIn = selection[name].has(trial);
    const button = make("button", "", words[isIn ? undo : verb]);
    button.type = "button";
    button.dataset.act = verb;
    button.setAttribute("aria-pressed", String(isIn));
    button.addEventListener("click", (event) => { event.stopPropagation(); toggle(name, trial); });
    bar.append(button);
  }
  return bar;
};

const setUpTable = (element) => {
  const name = element.dataset.table;
  const table = readOnce("table-" + name);
  const stageOf = ([stageName, share, ...values]) => ({
    name: stageName,
    share,
    optimizer: values[0],
    color: "opt-" + values[0] in palettes.light ? values[0] : "other",
    facts: table.facts.map((fact, index) => [fact, values[index]]).filter(([, value]) => value),
  });
  const rows = table.rows.map((row, index) => ({ ...row, index }));
  const recipeOf = (row) => (row.recipe ??= table.stages[row.index].map(stageOf));
  const stagesOf = (row) => (row.stages ??= recipeOf(row).map((stage) => stage.optimizer).join(" \u2192 "));
  const haystackOf = (row) => (row.haystack ??= [row.trial, row.arm, row.kind, row.state, row.reason, row.message,
    row.note, ...(row.tags || []),
    ...recipeOf(row).flatMap((stage) => [stage.name, ...stage.facts.map(([, value]) => value)])].join(" ").toLowerCase());
  const choose = (key) => state.get(name + "." + key) || "";
  const openRows = () => numbersOf(name + ".open");
  let open = new Set();
  const isSelectable = Boolean(study) && name === "ranking";

  const tools = make("div", "tools");
  const searchLabel = make("label", "", words.search);
  const search = make("input");
  search.type = "search";
  search.placeholder = words.search_hint;
  searchLabel.append(search);
  const kindLabel = make("label", "", words.kind);
  const kindSelect = make("select");
  kindSelect.name = "kind";
  kindSelect.append(new Option(words.all, ""));
  for (const kind of [...new Set(rows.map((row) => row.kind))].sort()) kindSelect.append(new Option(words[kind], kind));
  kindLabel.append(kindSelect);
  kindLabel.hidden = kindSelect.options.length <= 2; // nothing to choose between
  const tagLabel = make("label", "", words.tag);
  const tagSelect = make("select");
  tagSelect.name = "tag";
  tagSelect.append(new Option(words.any_tag, ""));
  for (const tag of [...new Set(rows.flatMap((row) => row.tags || []))].sort()) tagSelect.append(new Option(tag, tag));
  tagLabel.append(tagSelect);
  tagLabel.hidden = tagSelect.options.length <= 1;
  // Where rows stand as cards there are no titles of columns to sort by.
  const sortLabel = make("label", "sorter", words.sort);
  const sortSelect = make("select");
  sortSelect.name = "sort";
  sortSelect.append(new Option(words.as_ranked, ""));
  for (const column of table.columns) {
    for (const [direction, sign] of [["up", "\u2191"], ["down", "\u2193"]]) {
      sortSelect.append(new Option(`${column.title} ${sign}`, `${column.key}:${direction}`));
    }
  }
  sortLabel.append(sortSelect);
  const count = make("span", "count");
  count.setAttribute("aria-live", "polite");
  const csv = make("button", "", words.csv);
  csv.type = "button";
  tools.append(searchLabel, kindLabel, tagLabel, sortLabel, count, csv);
  const frame = make("div", "rows");
  frame.tabIndex = 0;
  const grid = make("table");
  grid.setAttribute("role", "table"); // rows that stand as cards are rows of a table nonetheless
  const head = make("thead");
  const body = make("tbody");
  grid.append(head, body);
  frame.append(grid);
  const more = make("button", "more");
  more.type = "button";
  element.append(tools, frame, more);

  const visible = () => {
    const terms = choose("q").toLowerCase().split(/\s+/).filter(Boolean);
    const kind = choose("kind");
    const tag = choose("tag");
    const fits = (row) => (!kind || row.kind === kind) && (!tag || (row.tags || []).includes(tag));
    const matches = (row) => fits(row) && terms.every((t) => haystackOf(row).includes(t));
    const found = rows.filter((row) => !(study && selection.hidden.has(row.trial)) && matches(row));
    const [key, direction] = choose("sort").split(":");
    if (!key) return found;
    const sign = direction === "down" ? -1 : 1;
    const missing = (value) => value === null || value === undefined;
    if (key === "stages") found.forEach(stagesOf);
    return found.sort((a, b) => {
      const [x, y] = [a[key], b[key]];
      if (missing(x) || missing(y)) return missing(x) - missing(y) || a.index - b.index;
      return (typeof x === "number" ? x - y : String(x).localeCompare(String(y))) * sign || a.index - b.index;
    });
  };

  const remark = (row) => {
    const line = make("div", "remark");
    for (const tag of row.tags || []) line.append(make("span", "tag", tag), " ");
    line.append(row.note || "");
    return line;
  };

  const cell = (row, column) => {
    const td = make("td", `${leftKinds.has(column.kind) ? "left " : ""}is-${column.key}`);
    td.dataset.title = column.title; // written above the value where rows stand as cards
    td.setAttribute("role", "cell");
    const value = row[column.key];
    if (column.kind === "stages") {
      const bar = make("div", "mini");
      bar.title = stagesOf(row);
      for (const stage of recipeOf(row)) {
        const part = make("i");
        part.style.flex = String(stage.share * 100);
        part.style.background = `var(--opt-${stage.color})`;
        bar.append(part);
      }
      td.append(bar, make("span", "optimizers", row.stages));
      if (row.note || row.tags) td.append(remark(row));
      return td;
    }
    if (column.kind === "rank" || (column.kind === "trial" && !table.columns.some((c) => c.kind === "rank"))) {
      td.classList.add("rank");
      if (row.tied) {
        const tie = make("span", "tie", "\u2248");
        tie.title = words.tied;
        td.append(tie);
      }
      const button = make("button", "", formats[column.kind](value));
      button.setAttribute("aria-expanded", String(open.has(row.trial)));
      button.setAttribute("aria-label", fill(words.details, { trial: row.trial }));
      td.append(button);
      if (isSelectable) td.prepend(pickButton(row.trial));
      return td;
    }
    td.textContent = value === null || value === undefined ? "\u2013" : formats[column.kind](value);
    if (column.kind === "arm") {
      td.textContent = "";
      td.append(make("span", "arm " + row.kind, value));
    }
    if (column.key === "perplexity") td.classList.add("strong");
    if (column.kind === "change" && value < 0) td.classList.add("better");
    if (column.key === "message" || column.key === "put_back") td.classList.add("message");
    return td;
  };

  const recipe = (row) => {
    const tr = make("tr", "recipe");
    const td = make("td");
    td.colSpan = table.columns.length;
    const list = make("div", "recipe-stages");
    recipeOf(row).forEach((stage, index) => {
      const card = make("div");
      card.style.borderTopColor = `var(--opt-${stage.color})`;
      card.append(make("h4", "", `${words.stage} ${index + 1}: ${stage.name}`));
      const facts = make("dl");
      for (const [key, value] of stage.facts) facts.append(make("dt", "", key), make("dd", "", value));
      card.append(facts);
      list.append(card);
    });
    if (isSelectable) td.append(selectionButtons(row.trial));
    td.append(list);
    tr.append(td);
    return tr;
  };

  const group = (text) => {
    const tr = make("tr", "group");
    const td = make("td", "", text);
    td.colSpan = table.columns.length;
    tr.append(td);
    return tr;
  };

  const drawHead = () => {
    const tr = make("tr");
    const [key, direction] = choose("sort").split(":");
    for (const column of table.columns) {
      const th = make("th", `${leftKinds.has(column.kind) ? "left " : ""}is-${column.key}`);
      th.scope = "col";
      th.dataset.title = column.title;
      if (column.key === key) th.setAttribute("aria-sort", direction === "down" ? "descending" : "ascending");
      const button = make("button", "", column.title);
      button.addEventListener("click", () => {
        const same = column.key === key;
        const next = !same ? column.key + ":up" : direction === "up" ? column.key + ":down" : "";
        setState(name + ".sort", next, "");
        draw();
        head.querySelectorAll("button")[table.columns.indexOf(column)].focus();
      });
      th.append(button);
      tr.append(th);
    }
    head.replaceChildren(tr);
  };

  // In groups: the pinned ones first, then by what the reader chose, else confirmed and unconfirmed apart.
  const groupsOf = (found) => {
    const groups = isSelectable ? grouping() : null;
    const sorted = !choose("sort");
    const bothSorts = sorted && rows.some((row) => row.confirmed) && rows.some((row) => row.confirmed === false);
    const titleOf = (row) => {
      if (isSelectable && selection.pinned.has(row.trial)) return words.pinned;
      if (groups) return groupName(groups.groupOf(row.trial), state.get("group"));
      return bothSorts ? (row.confirmed ? words.confirmed : words.unconfirmed) : "";
    };
    const bundles = new Map();
    if (isSelectable && selection.pinned.size) bundles.set(words.pinned, []);
    for (const row of found) {
      const title = titleOf(row);
      if (!bundles.has(title)) bundles.set(title, []);
      bundles.get(title).push(row);
    }
    return bundles;
  };
  const draw = () => {
    open = openRows();
    search.value = choose("q");
    kindSelect.value = choose("kind");
    tagSelect.value = choose("tag");
    sortSelect.value = choose("sort");
    drawHead();
    const found = visible();
    const everything = choose("all") === "1" || found.length <= PAGE + 5;
    const bundles = groupsOf(found);
    const ordered = [...bundles].flatMap(([title, own]) => own.map((row) => [title, row]));
    const shown = everything ? ordered : ordered.slice(0, printing ? PRINTED : PAGE);
    const parts = [];
    let last = "";
    for (const [title, row] of shown) {
      if (title !== last) {
        const isOwn = isSelectable && grouping() && title !== words.pinned;
        parts.push(group(title + (isOwn ? ` (${bundles.get(title).length})` : "") || words.others));
      }
      last = title;
      const tr = make("tr", "row");
      tr.setAttribute("role", "row");
      tr.dataset.trial = row.trial;
      if (study) tr.classList.toggle("picked", selection.picked.has(row.trial));
      for (const column of table.columns) tr.append(cell(row, column));
      tr.addEventListener("click", () => {
        if (open.has(row.trial)) open.delete(row.trial);
        else open.add(row.trial);
        writeNumbers(name + ".open", open);
        draw();
        const again = body.querySelector(`tr[data-trial="${row.trial}"] .rank button[aria-expanded]`);
        if (again) again.focus({ preventScroll: true });
      });
      parts.push(tr);
      if (open.has(row.trial)) parts.push(recipe(row));
    }
    if (!shown.length) parts.push(group(words.none));
    body.replaceChildren(...parts);
    markRows(body);
    count.textContent = fill(words.count, { shown: shown.length, count: rows.length });
    const leftOut = found.length - shown.length;
    more.hidden = printing ? !leftOut : found.length <= PAGE + 5;
    more.textContent = everything ? words.show_less : fill(words.show_all, { count: found.length });
    if (printing) more.textContent = fill(words.not_printed, { count: leftOut });
  };

  listenToRows(body);
  search.addEventListener("input", () => { dragState(name + ".q", search.value, ""); draw(); });
  for (const [key, select] of [["kind", kindSelect], ["tag", tagSelect], ["sort", sortSelect]]) {
    select.addEventListener("input", () => { setState(`${name}.${key}`, select.value, ""); draw(); });
  }
  more.addEventListener("click", () => { setState(name + ".all", choose("all") === "1" ? "" : "1", ""); draw(); });
  csv.addEventListener("click", () => {
    const recipeText = (row) => recipeOf(row).map((s) => s.facts.map(([k, v]) => k + "=" + v).join("; ")).join(" | ");
    const lines = [[...table.columns.map((column) => column.key), "recipe", "note", "tags"].join(",")];
    for (const row of visible()) {
      stagesOf(row);
      const texts = [recipeText(row), row.note, (row.tags || []).join("; ")];
      lines.push([...table.columns.map((column) => row[column.key]), ...texts].map(quote).join(","));
    }
    saveCsv(name, lines);
  });
  followers.push(draw);
  draw();
};
