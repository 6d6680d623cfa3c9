// ---- Tables: sorted and filtered from raw numbers, written in the reader's units.
const thin = (value) => value.toFixed(1).replace(/\.0$/, "");
const scaled = (value, steps) => {
  const [factor, suffix] = steps.find(([least]) => value >= least) || [1, ""];
  return Number((value / factor).toPrecision(3)) + suffix;
};
const formats = {
  rank: String,
  trial: (value) => "#" + value,
  perplexity: (value) => (value < 100 ? value.toFixed(2) : value < 1e4 ? value.toFixed(1) : value.toExponential(1)),
  loss: (value) => value.toFixed(4).replace(/^-(0\.0+)$/, "$1").replace("-", "\u2212"),
  p: (value) => (value < 1e-4 ? "< 0.0001" : String(Number(value.toPrecision(2)))),
  change: (value) => (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(1) + " %",
  percent: (value) => (value * 100).toFixed(1) + " %",
  count: (value) => scaled(value, [[1e9, "B"], [1e6, "M"], [1e3, "k"]]),
  seconds: (value) =>
    value < 60 ? thin(value) + " s" : value < 3600 ? thin(value / 60) + " min" : thin(value / 3600) + " h",
  bytes: (value) => scaled(value, [[2 ** 30, " GiB"], [2 ** 20, " MiB"], [2 ** 10, " KiB"]]),
  text: String,
  mark: (value) => (value ? "\u25c6" : ""),
  arm: String,
};
const leftKinds = new Set(["arm", "stages", "text"]);
const PAGE = 20;

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

const setUpTable = (element) => {
  const name = element.dataset.table;
  const table = read("table-" + name);
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
    ...recipeOf(row).flatMap((stage) => [stage.name, ...stage.facts.map(([, value]) => value)])].join(" ").toLowerCase());
  const choose = (key) => state.get(name + "." + key) || "";
  const open = new Set();

  const tools = make("div", "tools");
  const searchLabel = make("label", "", words.search);
  const search = make("input");
  search.type = "search";
  search.placeholder = words.search_hint;
  searchLabel.append(search);
  const kindLabel = make("label", "", words.kind);
  const kindSelect = make("select");
  kindSelect.append(new Option(words.all, ""));
  for (const kind of [...new Set(rows.map((row) => row.kind))].sort()) kindSelect.append(new Option(words[kind], kind));
  kindLabel.append(kindSelect);
  kindLabel.hidden = kindSelect.options.length <= 2; // nothing to choose between
  const count = make("span", "count");
  count.setAttribute("aria-live", "polite");
  const csv = make("button", "", words.csv);
  csv.type = "button";
  tools.append(searchLabel, kindLabel, count, csv);
  const frame = make("div", "rows");
  frame.tabIndex = 0;
  const grid = make("table");
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
    const found = rows.filter((row) => (!kind || row.kind === kind) && terms.every((t) => haystackOf(row).includes(t)));
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

  const cell = (row, column) => {
    const td = make("td", leftKinds.has(column.kind) ? "left" : "");
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
      button.setAttribute("aria-expanded", String(open.has(row.index)));
      button.setAttribute("aria-label", fill(words.details, { trial: row.trial }));
      td.append(button);
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
      const th = make("th", leftKinds.has(column.kind) ? "left" : "");
      th.scope = "col";
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

  const draw = () => {
    search.value = choose("q");
    kindSelect.value = choose("kind");
    drawHead();
    const found = visible();
    const everything = choose("all") === "1" || found.length <= PAGE + 5;
    const shown = everything ? found : found.slice(0, PAGE);
    const bothSorts = !choose("sort") && rows.some((row) => row.confirmed) && rows.some((row) => row.confirmed === false);
    const parts = [];
    let last;
    for (const row of shown) {
      if (bothSorts && row.confirmed !== last) parts.push(group(row.confirmed ? words.confirmed : words.unconfirmed));
      last = row.confirmed;
      const tr = make("tr", "row");
      tr.dataset.trial = row.trial;
      for (const column of table.columns) tr.append(cell(row, column));
      tr.addEventListener("click", () => {
        if (open.has(row.index)) open.delete(row.index);
        else open.add(row.index);
        draw();
        const again = body.querySelector(`tr[data-trial="${row.trial}"] .rank button`);
        if (again) again.focus({ preventScroll: true });
      });
      parts.push(tr);
      if (open.has(row.index)) parts.push(recipe(row));
    }
    if (!shown.length) parts.push(group(words.none));
    body.replaceChildren(...parts);
    count.textContent = fill(words.count, { shown: shown.length, count: rows.length });
    more.hidden = found.length <= PAGE + 5;
    more.textContent = everything ? words.show_less : fill(words.show_all, { count: found.length });
  };

  search.addEventListener("input", () => { setState(name + ".q", search.value, ""); draw(); });
  kindSelect.addEventListener("input", () => { setState(name + ".kind", kindSelect.value, ""); draw(); });
  more.addEventListener("click", () => { setState(name + ".all", choose("all") === "1" ? "" : "1", ""); draw(); });
  csv.addEventListener("click", () => {
    const recipeText = (row) => recipeOf(row).map((s) => s.facts.map(([k, v]) => k + "=" + v).join("; ")).join(" | ");
    const lines = [[...table.columns.map((column) => column.key), "recipe"].join(",")];
    for (const row of visible()) {
      stagesOf(row);
      lines.push([...table.columns.map((column) => quote(row[column.key])), quote(recipeText(row))].join(","));
    }
    saveCsv(name, lines);
  });
  redraws.push(draw);
  draw();
};
const redraws = [];
