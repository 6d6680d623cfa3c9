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
const choosing = (figure, name, value, note = setState) => {
  note(figure.key + "." + name, value, figure.defaults[name]);
  showControls(figure);
  render(figure.key);
};

// On paper a figure is drawn larger than its place and made smaller by the style, so that two fit side by side.
const printedWidth = ({ plot }) => Number(getComputedStyle(plot).getPropertyValue("--printed-width")) || 700;

const render = (key) => {
  const figure = load(key);
  const chosen = figure.controls.map((element) => controls[element.dataset.state]);
  const spec = structuredClone(figure.spec);
  if (key in drawers) drawers[key](spec, figure);
  for (const { adapt } of chosen) if (adapt) adapt(spec, figure.choose, figure);
  dress(spec, key);
  const width = printing ? printedWidth(figure) : figure.plot.clientWidth;
  const narrow = width < 640;
  if (narrow && key !== "parallel") {
    spec.layout.margin.l = Math.min(spec.layout.margin.l, 44);
    spec.layout.margin.r = Math.min(spec.layout.margin.r, figure.ends ? LABEL_ROOM : 14);
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
  figure.plot.style.height = spec.layout.height + "px";
  const drawing = Plotly.react(figure.plot, themed.data, themed.layout, {
    displaylogo: false,
    displayModeBar: false,
    doubleClick: "reset+autosize",
    showTips: false,
  });
  figure.places = null;
  if (!figure.drawn) {
    const clicked = chosen.map((control) => control.clicked).find(Boolean);
    figure.plot.on("plotly_relayout", (change) => { if (movesView(change)) Promise.resolve(followView(figure)).then(() => markFigure(figure)); });
    if (clicked) figure.plot.on("plotly_click", (event) => clicked(figure, event));
    listenToPoints(figure, Boolean(clicked));
  }
  figure.drawn = true;
  figure.stale = false;
  return drawing.then(() => (figure.ends ? followView(figure) : null)).then(() => markFigure(figure));
};

// After a choice that all figures follow, those out of sight wait until they are near.
const NEAR_PIXELS = 500;
const isNear = (element) => {
  const { top, bottom } = element.getBoundingClientRect();
  return bottom > -NEAR_PIXELS && top < innerHeight + NEAR_PIXELS;
};
const renderDrawn = () => {
  for (const [key, figure] of figures) {
    if (!figure.drawn) continue;
    if (isNear(figure.plot)) render(key);
    else {
      figure.stale = true;
      near.unobserve(figure.element);
      near.observe(figure.element);
    }
  }
};
const near = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    const { key, drawn, stale } = figures.get(entry.target.dataset.figure);
    near.unobserve(entry.target);
    if (!drawn || stale) render(key);
  }
}, { rootMargin: NEAR_PIXELS + "px" });

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
    note: element.querySelector("[data-note]") || make("p"),
    element,
    ends: null,
    marks: svg("svg", { class: "marks", "aria-hidden": "true" }),
  };
  element.querySelector(".scroll").append(figure.marks);
  figures.set(key, figure);
  for (const control of own) {
    control.addEventListener("input", () => {
      const value = control.type === "checkbox" ? (control.checked ? "1" : "0") : control.value;
      choosing(figure, control.dataset.state, value, control.type === "range" ? dragState : setState);
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
