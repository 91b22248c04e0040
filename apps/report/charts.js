"use strict";
// Everything here builds elements and sets textContent: no text of the data is ever read as markup.
function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") node.className = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined) node.append(child);
  return node;
}

function svg(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

// 12345 -> "12,345"; 0.00025 -> "2.5e-4".
function number(value, digits = 3) {
  if (value === null || value === undefined || !isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e7 || size < 1e-3) return value.toExponential(digits - 1).replace(/\.?0+e/, "e").replace("e+", "e");
  if (size >= 100 && digits < 5) return Math.round(value).toLocaleString("en");
  return String(+value.toPrecision(digits));
}

// About `count` round numbers between low and high.
function ticks(low, high, count) {
  const span = high - low || Math.abs(high) || 1, raw = span / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const out = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-6; ++i) out.push(+(i * step).toPrecision(12));
  return out;
}

// How many digits tell neighbouring ticks apart.
function digitsOf(values) {
  const most = Math.max(...values.map(Math.abs));
  return values.length < 2 || most === 0 ? 3 : Math.min(8, Math.max(3, Math.ceil(Math.log10(most / (values[1] - values[0]))) + 1));
}

// Exponential moving average whose start is not pulled to zero.
function smoothed(points, weight) {
  let sum = 0, norm = 0;
  return points.map(([step, value]) => {
    sum = weight * sum + (1 - weight) * value;
    norm = weight * norm + (1 - weight);
    return [step, sum / norm];
  });
}

// The last point at or before `step`, else the first.
function at(points, step) {
  let low = 0, high = points.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (points[middle][0] <= step) low = middle;
    else high = middle - 1;
  }
  return points[low];
}

class Chart {
  // series: [{name, color: "run-a", points, means}]
  constructor(metric, series) {
    this.metric = metric;
    this.series = series;
    this.step = null;
    this.svg = svg("svg", { tabindex: 0, role: "img", "aria-label": this.label() });
    this.readout = el("p", { class: "readout", "aria-live": "polite" });
    const unit = metric.unit ? el("small", {}, " " + metric.unit) : null;
    this.node = el("figure", { class: "panel chart", "data-metric": metric.key }, el("figcaption", {}, el("h3", {}, metric.title, unit), this.readout), this.svg);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerdown", (event) => this.point(event));
    for (const name of ["pointerleave", "blur"]) this.svg.addEventListener(name, () => this.move(null));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  label() {
    const ends = this.series.map((s) => `${s.name} from ${number(s.points[0][1])} to ${number(s.points[s.points.length - 1][1])}`);
    return `${this.metric.title}: ${ends.join("; ")}. Arrow keys show values.`;
  }

  smooth(weight) {
    for (const s of this.series) s.line = this.metric.smooth && weight > 0 ? smoothed(s.means, weight) : null;
    this.draw();
  }

  // Outliers of the raw curve are cut off if a smoothed one is drawn, so that its shape can be seen.
  range() {
    const values = this.series.flatMap((s) => s.points.map((p) => p[1])).sort((a, b) => a - b);
    let low = values[0], high = values[values.length - 1];
    if (this.series.some((s) => s.line) && values.length > 50) {
      const lines = this.series.flatMap((s) => (s.line || []).map((p) => p[1]));
      low = Math.min(values[Math.floor(values.length * 0.005)], ...lines);
      high = Math.max(values[Math.ceil(values.length * 0.995) - 1], ...lines);
    }
    if (high - low <= 1e-6 * Math.abs(high)) [low, high] = [low - Math.abs(low) * 0.1 - 1e-9, high + Math.abs(high) * 0.1 + 1e-9];
    if (low >= 0 && low < high * 0.4) low = 0;
    return [low, high + (high - low) * 0.04];
  }

  draw() {
    const width = this.svg.clientWidth, height = this.svg.clientHeight;
    if (!width) return;
    const [low, high] = this.range(), rows = ticks(low, high, 4), names = rows.map((value) => number(value, digitsOf(rows)));
    const left = 12 + 6.6 * Math.max(...names.map((name) => name.length)), right = 10, top = 6, bottom = 20;
    const steps = this.series.flatMap((s) => [s.points[0][0], s.points[s.points.length - 1][0]]);
    const first = Math.min(...steps), last = Math.max(...steps, first + 1);
    this.x = (step) => left + ((step - first) / (last - first)) * (width - left - right);
    this.y = (value) => top + (1 - (value - low) / (high - low)) * (height - top - bottom);
    this.unx = (x) => first + ((x - left) / (width - left - right)) * (last - first);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren();
    const clip = "clip-" + this.metric.key.replace(/\W/g, "-"), inside = svg("clipPath", { id: clip });
    inside.append(svg("rect", { x: left, y: top - 2, width: width - left - right + 2, height: height - top - bottom + 4 }));
    this.svg.append(inside);
    for (const [i, value] of rows.entries()) {
      this.svg.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: this.y(value), y2: this.y(value) }));
      this.svg.append(svg("text", { x: left - 6, y: this.y(value) + 4, "text-anchor": "end" }, names[i]));
    }
    this.steps(first, last, width, height);
    for (const s of this.series) this.lines(s, clip);
    this.overlay = svg("g", {});
    this.svg.append(this.overlay);
    this.move(this.step);
  }

  steps(first, last, width, height) {
    for (const step of ticks(first, last, Math.max(2, Math.floor(width / 90)))) {
      const name = step >= 1e4 ? number(step / 1000, 4) + "k" : String(step);
      if (Number.isInteger(step) && this.x(step) < width - 56) this.svg.append(svg("text", { x: this.x(step), y: height - 4, "text-anchor": "middle" }, name));
    }
    this.svg.append(svg("text", { x: width - 8, y: height - 4, "text-anchor": "end" }, "step"));
  }

  lines(series, clip) {
    const path = (points) => "M" + points.map(([step, value]) => `${this.x(step).toFixed(1)},${this.y(value).toFixed(1)}`).join("L");
    const add = (points, kind) => this.svg.append(svg("path", { class: `${series.color} ${kind}`, d: path(points), "clip-path": `url(#${clip})` }));
    add(series.points, series.line ? "raw" : "");
    if (series.line) add(series.line, "line");
  }

  point(event) {
    this.move(Math.round(this.unx(event.clientX - this.svg.getBoundingClientRect().left)));
  }

  key(event) {
    const points = this.series[0].points, stride = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!stride) return;
    event.preventDefault();
    const index = this.step === null ? (stride > 0 ? -1 : points.length) : points.indexOf(at(points, this.step));
    this.move(points[Math.max(0, Math.min(points.length - 1, index + stride * (event.shiftKey ? 10 : 1)))][0]);
  }

  // Values at `step`; null: the last ones.
  move(step) {
    this.step = step;
    if (!this.overlay) return;
    this.overlay.replaceChildren();
    this.readout.replaceChildren();
    for (const s of this.series) {
      const [found, value] = step === null ? s.points[s.points.length - 1] : at(s.points, step);
      const mean = s.line && (step === null ? s.line[s.line.length - 1] : at(s.line, step))[1];
      if (step !== null && s === this.series[0]) this.overlay.append(svg("line", { class: "cursor", x1: this.x(found), x2: this.x(found), y1: 6, y2: this.svg.clientHeight - 20 }));
      if (step !== null) this.overlay.append(svg("circle", { class: s.color, cx: this.x(found), cy: this.y(mean || value), r: 3.5 }));
      const words = [step === null ? "last " : `step ${found}: `, el("b", { class: this.series.length > 1 ? s.color : "" }, number(value, 4))];
      if (mean) words.push(` (smoothed ${number(mean, 4)})`);
      this.readout.append(el("span", {}, ...words), el("br"));
    }
  }
}

function drawCharts(data) {
  const charts = [], absent = [];
  for (const metric of data.metrics) {
    const series = data.runs.map((run, i) => ({ name: run.name, color: i ? "run-b" : "run-a", ...run.curves[metric.key] })).filter((s) => s.points && s.points.length);
    if (series.length) charts.push(new Chart(metric, series));
    else if (metric.absent) absent.push(`${metric.title}: ${metric.absent}.`);
  }
  const slider = document.getElementById("smoothing"), shown = slider.parentElement.querySelector("output");
  const smooth = () => {
    shown.textContent = (+slider.value).toFixed(2);
    for (const chart of charts) chart.smooth(+slider.value);
  };
  document.getElementById("charts").append(...charts.map((c) => c.node));
  slider.addEventListener("input", smooth);
  smooth();
  if (!charts.length) absent.unshift("There are no metrics to draw.");
  document.getElementById("curves-note").textContent = absent.join(" ");
}
