"use strict";
// How the data of a run are spread, as `antiphon data stats RUN` has written it.
const SPREADS = [["tokens", "tokens of a sample"], ["supervised_share", "supervised share of a sample"], ["seconds", "seconds of a sound or video"], ["width", "width of a picture"], ["height", "height of a picture"]];

function histogram(title, spread) {
  const most = Math.max(...spread.bins.map((bin) => bin.count), 1);
  const rows = spread.bins.map((bin) => {
    const bar = el("i", { class: "bin" });
    bar.style.width = `${(100 * bin.count) / most}%`;
    return [el("span", {}, `${number(bin.from)} – ${number(bin.to)}`), el("span", { class: "rail" }, bar), el("span", {}, bin.count.toLocaleString("en"))];
  });
  return el("figure", { class: "panel" }, el("figcaption", {}, title, el("span", { class: "hint" }, ` mean ${number(spread.mean)}`)), el("div", { class: "losses spread" }, rows));
}

function sourceSpread(source, run, i, several) {
  const drawn = SPREADS.filter(([key]) => source[key]).map(([key, title]) => histogram(title, source[key]));
  const place = `${source.set ? source.set + ": " : ""}${source.path}`;
  const counts = `${plural(source.samples, "sample", "samples")}, ${source.bad.toLocaleString("en")} bad, ${source.left_out.toLocaleString("en")} left out by data.filter`;
  return [el("h3", {}, several ? el("i", { class: "swatch " + color(i) }) : null, place), el("p", { class: "hint" }, counts), el("div", { class: "charts" }, drawn)];
}

function drawSpread(data) {
  const panels = data.runs.flatMap((run, i) => run.data.map((source) => sourceSpread(source, run, i, data.runs.length > 1)));
  document.getElementById("spread").hidden = !panels.length;
  document.getElementById("spread-body").append(...panels.flat());
}
