"use strict";
(() => {
  const read = (id) => {
    const element = document.getElementById(id);
    return element ? JSON.parse(element.textContent) : null;
  };
  const palettes = read("palettes");
  const words = read("words");
  const root = document.documentElement;
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // ---- State: the section and every choice of the reader stand in the address, as #section?key=value&...
  const state = new Map();
  let section = "";

  const readAddress = () => {
    const [place, query] = location.hash.slice(1).split("?");
    section = place;
    state.clear();
    for (const [key, value] of new URLSearchParams(query || "")) state.set(key, value);
  };
  const writeAddress = () => {
    const query = new URLSearchParams([...state].sort()).toString();
    const address = "#" + section + (query ? "?" + query : "");
    history.replaceState(null, "", address === "#" ? location.pathname + location.search : address);
  };
  const setState = (key, value, fallback) => {
    if (value === fallback || value === "" || value === null) state.delete(key);
    else state.set(key, String(value));
    writeAddress();
  };

  // ---- Theme: the system's, unless the reader chose one.
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const themeButton = document.getElementById("theme");
  let printing = false;
  const theme = () => (printing ? "light" : state.get("theme") || (prefersDark.matches ? "dark" : "light"));
  const showTheme = () => {
    if (printing || state.has("theme")) root.dataset.theme = theme();
    else delete root.dataset.theme;
    themeButton.textContent = theme() === "dark" ? words.light : words.dark;
  };

  // ---- Figures: drawn when they come near the screen, drawn anew when a choice or the theme changes.
  const resolveColors = (value, colors) => {
    if (Array.isArray(value)) return value.map((item) => resolveColors(item, colors));
    if (value && typeof value === "object" && !ArrayBuffer.isView(value)) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolveColors(item, colors)]));
    }
    return typeof value === "string" && value.startsWith("var(--") ? colors[value.slice(6, -1)] || value : value;
  };

  const filterTop = (spec, choose, figure) => {
    const top = Number(choose("top"));
    const shown = new Set();
    for (const trace of spec.data) {
      const place = trace.meta ? trace.meta.place : -1;
      const most = trace.meta && trace.meta.few ? Math.min(1, top) : top;
      trace.visible = place < most;
      if (trace.visible && place >= 0) shown.add(trace.meta.rung + place);
    }
    // The legend names only optimizers that are drawn.
    const lines = spec.data.filter((trace) => trace.visible && trace.meta && trace.meta.place >= 0);
    const drawn = new Set(lines.map((trace) => trace.meta.optimizer));
    for (const trace of spec.data) if (trace.meta && trace.meta.names) trace.visible = drawn.has(trace.meta.names);
    const hidden = spec.layout.meta.schedules - shown.size;
    figure.note.textContent = hidden > 0 ? fill(words.not_drawn, { count: hidden }) : "";
  };
  const switchLog = (spec, choose) => {
    if (choose("log") === "1") return;
    const axis = spec.layout.yaxis;
    axis.type = "linear";
    for (const key of ["dtick", "tickformat", "tickvals", "ticktext"]) delete axis[key];
    if (axis.range) axis.range = axis.range.map((end) => 10 ** end);
    for (const note of spec.layout.annotations || []) if (note.yref !== "paper") note.y = 10 ** note.y;
  };

  // Where schedules part: the last third of the tokens, and only as much perplexity as the lines need there.
  const showEnd = (spec, choose) => {
    if (choose("end") !== "1") return;
    const lines = spec.data.filter((trace) => trace.visible !== false && trace.meta.place >= 0);
    const last = Math.max(...lines.flatMap((trace) => trace.x));
    const heights = lines.flatMap((trace) => trace.y.filter((_, index) => trace.x[index] >= last * 0.66));
    const [low, high] = [Math.log10(Math.min(...heights)), Math.log10(Math.max(...heights))];
    const pad = (high - low) * 0.06 + 0.001;
    spec.layout.xaxis.range = [last * 0.66, last * 1.03];
    spec.layout.yaxis.range = [low - pad, high + pad];
    spec.layout.annotations.forEach((note) => { note.yshift = 0; });
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
    top: { adapt: filterTop },
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
        front.text = variant.front_text;
        spec.layout.xaxis.title.text = variant.title;
      },
    },
  };

  // Captions that do not fit their bar are shortened or dropped: `fit|share of the width|short text`.
  const fitCaptions = (layout, width) => {
    layout.annotations = (layout.annotations || []).filter((note) => {
      const parts = (note.name || "").split("|");
      if (parts[0] !== "fit") return true;
      const room = Number(parts[1]) * width;
      const needs = (text) => text.length * 6.3 + 12;
      if (needs(note.text) > room) note.text = parts[2];
      return needs(note.text) <= room;
    });
  };

  // Fixed ticks suit the first view only; after a zoom they follow the part in view.
  const followZoom = (plot, change) => {
    const axis = plot.layout.yaxis;
    if (axis.type !== "log" || !axis.tickvals || !Object.keys(change).some((key) => key.startsWith("yaxis."))) return;
    if ("yaxis.tickvals" in change) return;
    const ticks = { range: [...axis.range] };
    setTicks(ticks);
    Plotly.relayout(plot, { "yaxis.tickvals": ticks.tickvals, "yaxis.ticktext": ticks.ticktext });
  };

  const figures = new Map();

  // What a figure is drawn from is read when it is first needed: a large study holds megabytes of it.
  const load = (key) => {
    const figure = figures.get(key);
    if (figure.spec) return figure;
    figure.spec = read("figure-" + key);
    figure.data = read("data-" + key);
    for (const element of figure.controls) {
      const { options } = controls[element.dataset.state];
      for (const [value, label] of options ? options(figure) : []) element.append(new Option(label, value));
    }
    showControls(figure);
    return figure;
  };
  const choosing = (figure, name, value) => {
    setState(figure.key + "." + name, value, figure.defaults[name]);
    showControls(figure);
    render(figure.key);
  };

  // On paper a figure is drawn larger than its place and made smaller by the style, so that two fit side by side.
  const printedWidth = ({ plot }) => Number(getComputedStyle(plot).getPropertyValue("--printed-width")) || 700;

  const render = (key) => {
    const figure = load(key);
    const chosen = figure.controls.map((element) => controls[element.dataset.state]);
    const spec = structuredClone(figure.spec);
    for (const { adapt } of chosen) if (adapt) adapt(spec, figure.choose, figure);
    const width = printing ? printedWidth(figure) : figure.plot.clientWidth;
    const narrow = width < 640;
    if (narrow && key !== "parallel") {
      spec.layout.margin.l = Math.min(spec.layout.margin.l, 44);
      spec.layout.margin.r = Math.min(spec.layout.margin.r, 14);
      const room = width - spec.layout.margin.l - spec.layout.margin.r;
      const font = { ...spec.layout.legend.font, size: 11 };
      // Two columns beside a vertical axis; elsewhere the names simply flow.
      const columns = spec.layout.yaxis?.visible === false ? {} : { entrywidth: width / 2 - 50 };
      spec.layout.legend = { ...spec.layout.legend, ...columns, font, x: (4 - spec.layout.margin.l) / room };
    }
    if (matchMedia("(pointer: coarse)").matches || narrow) spec.layout.dragmode = false;
    fitCaptions(spec.layout, width - spec.layout.margin.l - spec.layout.margin.r);
    spec.layout.width = width;
    const themed = resolveColors(spec, palettes[theme()]);
    const drawing = Plotly.react(figure.plot, themed.data, themed.layout, {
      displaylogo: false,
      displayModeBar: false,
      doubleClick: "reset+autosize",
      showTips: false,
    });
    if (!figure.drawn) {
      figure.plot.on("plotly_relayout", (change) => followZoom(figure.plot, change));
      for (const { clicked } of chosen) if (clicked) figure.plot.on("plotly_click", (event) => clicked(figure, event));
    }
    figure.drawn = true;
    return drawing;
  };
  const renderDrawn = () => {
    for (const [key, figure] of figures) if (figure.drawn) render(key);
  };

  const setUpFigure = (element) => {
    const key = element.dataset.figure;
    const own = [...element.querySelectorAll("[data-state]")];
    const defaults = Object.fromEntries(own.map((control) => [control.dataset.state, control.dataset.default]));
    const figure = {
      key,
      controls: own,
      defaults,
      choose: (name) => state.get(key + "." + name) ?? defaults[name],
      plot: element.querySelector(".plot"),
      note: element.querySelector("[data-note]"),
    };
    figures.set(key, figure);
    for (const control of own) {
      control.addEventListener("input", () => {
        const value = control.type === "checkbox" ? (control.checked ? "1" : "0") : control.value;
        choosing(figure, control.dataset.state, value);
      });
    }
    for (const button of element.querySelectorAll("[data-download]")) {
      button.addEventListener("click", async () => {
        await render(key);
        const { width, height } = figure.plot.getBoundingClientRect();
        const filename = document.querySelector("nav .brand").textContent.replace(/[^\w.-]+/g, "_") + "-" + key;
        Plotly.downloadImage(figure.plot, { format: button.dataset.download, filename, width, height, scale: 2 });
      });
    }
    showControls(figure);
  };
  const addChoice = (figure, control, value) => {
    const { called } = controls[control.dataset.state];
    if (!called || !figure.spec || [...control.options].some((option) => option.value === value)) return;
    const label = called(figure, value);
    if (label) control.append(new Option(label, value));
  };
  const showControls = (figure) => {
    for (const control of figure.controls) {
      const value = figure.choose(control.dataset.state);
      if (control.type === "checkbox") control.checked = value === "1";
      else if (value !== "") {
        addChoice(figure, control, value);
        control.value = value;
      } else if (control.options && control.options.length) control.selectedIndex = 0;
      const output = control.parentElement.querySelector("output");
      if (output) output.textContent = controls[control.dataset.state].label(figure.choose);
    }
  };

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
      row.note, ...(row.tags || []),
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
    const tagLabel = make("label", "", words.tag);
    const tagSelect = make("select");
    tagSelect.append(new Option(words.any_tag, ""));
    for (const tag of [...new Set(rows.flatMap((row) => row.tags || []))].sort()) tagSelect.append(new Option(tag, tag));
    tagLabel.append(tagSelect);
    tagLabel.hidden = tagSelect.options.length <= 1;
    const sortLabel = make("label", "sorter", words.sort);
    const sortSelect = make("select");
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
      const found = rows.filter((row) => fits(row) && terms.every((t) => haystackOf(row).includes(t)));
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

    const noteOf = (row) => {
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
        if (row.tags || row.note) td.append(noteOf(row));
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
      tagSelect.value = choose("tag");
      sortSelect.value = choose("sort");
      drawHead();
      const found = visible();
      const everything = choose("all") === "1" || found.length <= PAGE + 5;
      const shown = everything ? found : found.slice(0, printing ? PRINTED : PAGE);
      const bothSorts = !choose("sort") && rows.some((row) => row.confirmed) && rows.some((row) => row.confirmed === false);
      const parts = [];
      let last;
      for (const row of shown) {
        if (bothSorts && row.confirmed !== last) parts.push(group(row.confirmed ? words.confirmed : words.unconfirmed));
        last = row.confirmed;
        const tr = make("tr", "row");
        tr.setAttribute("role", "row");
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
      const leftOut = found.length - shown.length;
      more.hidden = printing ? !leftOut : found.length <= PAGE + 5;
      more.textContent = everything ? words.show_less : fill(words.show_all, { count: found.length });
      if (printing) more.textContent = fill(words.not_printed, { count: leftOut });
    };

    search.addEventListener("input", () => { setState(name + ".q", search.value, ""); draw(); });
    kindSelect.addEventListener("input", () => { setState(name + ".kind", kindSelect.value, ""); draw(); });
    tagSelect.addEventListener("input", () => { setState(name + ".tag", tagSelect.value, ""); draw(); });
    sortSelect.addEventListener("input", () => { setState(name + ".sort", sortSelect.value, ""); draw(); });
    more.addEventListener("click", () => { setState(name + ".all", choose("all") === "1" ? "" : "1", ""); draw(); });
    csv.addEventListener("click", () => {
      const recipeText = (row) => recipeOf(row).map((s) => s.facts.map(([k, v]) => k + "=" + v).join("; ")).join(" | ");
      const lines = [[...table.columns.map((column) => column.key), "recipe", "note", "tags"].join(",")];
      for (const row of visible()) {
        stagesOf(row);
        const more = [recipeText(row), row.note, (row.tags || []).join("; ")];
        lines.push([...table.columns.map((column) => quote(row[column.key])), ...more.map(quote)].join(","));
      }
      saveCsv(name, lines);
    });
    redraws.push(draw);
    draw();
  };
  const redraws = [];

  // ---- Start.
  const goTo = (behavior) => {
    const target = section && document.getElementById(section);
    if (!target) return;
    target.scrollIntoView({ behavior });
    target.focus({ preventScroll: true });
  };
  readAddress();
  showTheme();
  for (const element of document.querySelectorAll("[data-table]")) setUpTable(element);
  for (const element of document.querySelectorAll("[data-grid]")) setUpGrid(element);
  for (const element of document.querySelectorAll("[data-figure]")) setUpFigure(element);

  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      near.unobserve(entry.target);
      render(entry.target.dataset.figure);
    }
  }, { rootMargin: "500px" });
  for (const element of document.querySelectorAll("[data-figure]")) near.observe(element);

  for (const box of document.querySelectorAll("[data-all-fields]")) {
    const show = () => {
      box.checked = state.get("fields") === "all";
      box.closest("[data-fields]").classList.toggle("all", box.checked);
    };
    box.addEventListener("input", () => { setState("fields", box.checked ? "all" : "", ""); show(); });
    redraws.push(show);
    show();
  }

  const links = [...document.querySelectorAll("nav li a")];
  const places = links.map((link) => document.getElementById(link.hash.slice(1)));
  const markPlace = () => {
    const passed = places.filter((place) => place.getBoundingClientRect().top < innerHeight * 0.35);
    const current = passed.length ? passed[passed.length - 1].id : places[0].id;
    for (const link of links) {
      if (link.hash.slice(1) !== current) link.removeAttribute("aria-current");
      else if (!link.hasAttribute("aria-current")) {
        link.setAttribute("aria-current", "true");
        const list = link.closest("ol");
        list.scrollTo({ left: link.offsetLeft - list.offsetLeft - 40 });
      }
    }
  };
  addEventListener("scroll", markPlace, { passive: true });
  markPlace();

  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (!link) return;
    event.preventDefault();
    section = link.hash.slice(1);
    const query = new URLSearchParams([...state].sort()).toString();
    history.pushState(null, "", "#" + section + (query ? "?" + query : ""));
    goTo();
  });
  const follow = () => {
    readAddress();
    showTheme();
    for (const draw of redraws) draw();
    for (const figure of figures.values()) showControls(figure);
    renderDrawn();
    goTo();
  };
  addEventListener("hashchange", follow);
  addEventListener("popstate", follow);

  themeButton.addEventListener("click", () => {
    const next = theme() === "dark" ? "light" : "dark";
    setState("theme", next, prefersDark.matches ? "dark" : "light");
    showTheme();
    renderDrawn();
  });
  prefersDark.addEventListener("change", () => { showTheme(); renderDrawn(); });

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => {
      const code = button.parentElement.querySelector("code");
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy"); // navigator.clipboard does not exist on file://
      button.textContent = words.copied;
      setTimeout(() => { button.textContent = words.copy; }, 1500);
    });
  }

  let pending;
  let lastWidth = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === lastWidth) return;
    lastWidth = innerWidth;
    clearTimeout(pending);
    pending = setTimeout(renderDrawn, 150);
  });
  addEventListener("beforeprint", () => {
    printing = true;
    showTheme();
    for (const draw of redraws) draw();
    for (const key of figures.keys()) render(key);
  });
  addEventListener("afterprint", () => {
    printing = false;
    showTheme();
    for (const draw of redraws) draw();
    renderDrawn();
  });
  if (section) requestAnimationFrame(() => goTo("instant"));
})();
