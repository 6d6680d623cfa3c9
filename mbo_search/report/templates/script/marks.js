// ---- Marks: the schedule under the pointer or the keyboard's focus, shown in every figure and table in view.
// They lie over the figures, so that nothing is drawn anew while the pointer moves.
const SVG = "http://www.w3.org/2000/svg";
const svg = (name, values) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
  return element;
};
let marked = null;

// Where each schedule is in what a figure shows; made when it is first asked for after a drawing.
const placesOf = (figure) => {
  if (figure.places) return figure.places;
  const places = new Map();
  const add = (trial, place) => {
    if (!places.has(trial)) places.set(trial, []);
    places.get(trial).push(place);
  };
  for (const trace of figure.plot.data) {
    if (trace.visible === false || trace.visible === "legendonly") continue;
    if (trace.meta?.trial !== undefined) add(trace.meta.trial, { trace });
    const crowd = trace.meta?.trials;
    if (crowd) {
      const size = trace.x.length / crowd.length;
      crowd.forEach((trial, index) => add(trial, { trace, from: index * size, to: (index + 1) * size - 1 }));
    }
    (trace.customdata || []).forEach((own, index) => {
      for (const trial of [own].flat()) add(trial, { trace, index });
    });
  }
  figure.places = places;
  return places;
};

const outlineOf = ({ trace, index, from, to }, xaxis, yaxis) => {
  const at = (place) => [xaxis._offset + xaxis.d2p(trace.x[place]), yaxis._offset + yaxis.d2p(trace.y[place])];
  const box = (x0, x1, y0, y1) => {
    const [left, right] = [x0, x1].map((x) => xaxis._offset + xaxis.d2p(x));
    const [top, bottom] = [y0, y1].map((y) => yaxis._offset + yaxis.d2p(y)).sort((a, b) => a - b);
    return svg("rect", { x: left, y: top, width: Math.max(0, right - left), height: bottom - top, rx: 4, class: "box" });
  };
  if (trace.meta?.row !== undefined) {
    if (trace.opacity < 0.9) return null; // the bar's own floor is one of two shapes
    return box(Math.min(...trace.x), Math.max(...trace.x), trace.meta.row - 0.26, trace.meta.row + 0.22);
  }
  if (trace.type === "bar") {
    const [start, middle, size] = [trace.base[index], trace.y[index], trace.width[index]];
    return box(start, start + trace.x[index], middle - size / 2, middle + size / 2);
  }
  if (index !== undefined) {
    const [cx, cy] = at(index);
    return Number.isFinite(cx + cy) ? svg("circle", { cx, cy, r: 9, class: "ring" }) : null;
  }
  const [first, last] = from === undefined ? [0, trace.x.length] : [from, to];
  const points = Array.from({ length: last - first }, (_, place) => at(first + place)).filter(([x, y]) => Number.isFinite(x + y));
  if (!(trace.mode || "lines").includes("lines")) {
    const ring = svg("path", { class: "ring", d: points.map(([x, y]) => `M${x - 8},${y}a8,8 0 1,0 16,0a8,8 0 1,0 -16,0`).join("") });
    return ring;
  }
  return svg("polyline", { points: points.map((pair) => pair.join(",")).join(" "), class: "halo" });
};

const markFigure = (figure) => {
  const { marks, plot } = figure;
  marks.replaceChildren();
  if (marked === null || !figure.drawn || !isNear(plot)) return;
  const { xaxis, yaxis, width, height } = plot._fullLayout;
  if (!xaxis || !yaxis) return;
  marks.setAttribute("width", width);
  marks.setAttribute("height", height);
  const clip = svg("clipPath", { id: "clip-" + figure.key });
  const edge = 10;
  clip.append(svg("rect", { x: xaxis._offset - edge, y: yaxis._offset - edge, width: xaxis._length + 2 * edge, height: yaxis._length + 2 * edge }));
  const group = svg("g", { "clip-path": `url(#clip-${figure.key})` });
  for (const place of placesOf(figure).get(marked) || []) {
    const outline = outlineOf(place, xaxis, yaxis);
    if (outline) group.append(outline);
  }
  if (group.childElementCount) marks.append(clip, group);
};
const markRows = (root = document) => {
  for (const row of root.querySelectorAll("tr.marked")) row.classList.remove("marked");
  if (marked === null) return;
  for (const row of root.querySelectorAll(`tr[data-trial="${marked}"]`)) row.classList.add("marked");
};
const mark = (trial) => {
  if (trial === marked) return;
  marked = trial;
  markRows();
  for (const figure of figures.values()) markFigure(figure);
};

// The schedule that a point of a figure belongs to; blocks that many share have none of their own.
const trialOf = ({ data, customdata, pointNumber }) => {
  if (data.meta?.trial !== undefined) return data.meta.trial;
  if (data.meta?.trials) return data.meta.trials[Math.floor(pointNumber / (data.x.length / data.meta.trials.length))];
  const own = [customdata ?? []].flat();
  return own.length === 1 ? own[0] : null;
};
const listenToPoints = (figure, answersItself) => {
  figure.plot.on("plotly_hover", (event) => mark(trialOf(event.points[0])));
  figure.plot.on("plotly_unhover", () => mark(null));
  if (!study || answersItself) return;
  figure.plot.on("plotly_click", (event) => {
    const trial = trialOf(event.points[0]);
    if (trial !== null) toggle("picked", trial);
  });
};
const listenToRows = (body) => {
  const rowOf = (event) => event.target.closest("tr[data-trial]");
  for (const name of ["pointerover", "focusin"]) {
    body.addEventListener(name, (event) => { const row = rowOf(event); mark(row ? Number(row.dataset.trial) : null); });
  }
  for (const name of ["pointerleave", "focusout"]) body.addEventListener(name, () => mark(null));
};
