// Head, evaluation, skipped samples, differences of the configurations.
const CONDITIONS = { right: "its own", shuffled: "shuffled", shuffled_image: "pictures shuffled", shuffled_audio: "sound shuffled", shuffled_video: "videos shuffled", removed: "removed" };
// Key of results.json, title, digits after the point, whether less is better.
const SCORES = [
  ["loss", "Answer loss", 3, true],
  ["accuracy", "Exact match", 2, false],
  ["f1", "Token F1", 2, false],
  ["chrf", "chrF", 1, false],
  ["wer", "WER", 2, true],
  ["cer", "CER", 2, true],
  ["bleu", "BLEU", 1, false],
  ["corpus_chrf", "chrF of the set", 1, false],
  ["corpus_chrf++", "chrF++ of the set", 1, false],
  ["rouge1", "ROUGE-1", 2, false],
  ["rouge2", "ROUGE-2", 2, false],
  ["rougeL", "ROUGE-L", 2, false],
  ["rougeLsum", "ROUGE-Lsum", 2, false],
];
const color = (i) => (i ? "run-b" : "run-a");
const isNumber = (value) => typeof value === "number" && isFinite(value);

function duration(seconds) {
  const s = Math.round(seconds), h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
  return h ? `${h} h ${m} min` : m ? `${m} min ${s % 60} s` : `${s} s`;
}

function count(value) {
  for (const [size, name] of [[1e9, "B"], [1e6, "M"], [1e4, "k"]]) if (value >= size) return (value / (name === "k" ? 1e3 : size)).toPrecision(4).replace(/\.?0+$/, "") + " " + name;
  return Math.round(value).toLocaleString("en");
}

function plural(n, one, many) {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

// The smaller print says how far the run is of what was planned.
function planned(run) {
  const words = [];
  if (isNumber(run.planned_steps)) words.push(`of at most ${run.planned_steps.toLocaleString("en")}`);
  if (run.max_minutes > 0) words.push(`${run.max_minutes} min allowed`);
  return words.join(", ");
}

function head(run, i, several) {
  const fact = (name, value, small, alert) => el("div", { class: alert ? "alert" : null }, el("dt", {}, name), el("dd", {}, value, small ? el("small", {}, small) : null));
  const env = run.env, rate = run.seconds > 0 ? `${count(run.tokens / run.seconds)} tokens/s` : "";
  const facts = el("dl", { class: "facts" },
    fact("Final loss", number(run.loss, 4), "mean of the last 20 steps"),
    fact("Steps", run.steps.toLocaleString("en"), planned(run)),
    fact("Tokens", count(run.tokens), rate),
    fact("Duration", duration(run.seconds), "of training steps"),
    fact("Ran on", env.device ? String(env.device) : "unknown", [env.cores ? `${env.cores} cores` : "", env.torch ? `LibTorch ${env.torch}` : "", env.antiphon ? `antiphon ${env.antiphon}` : ""].filter(Boolean).join(", ")),
    fact("Skipped", run.skipped.count.toLocaleString("en"), "training samples", run.skipped.count > 0));
  const parts = el("ul", { class: "parts", "aria-label": "Parts of the model" }, run.parts.map((p) => el("li", {}, el("span", {}, p.part + " "), el("b", {}, p.plugin), p.detail ? el("span", {}, " " + p.detail) : null)));
  const title = el("h1", {}, several ? el("i", { class: "swatch " + color(i) }) : null, run.name);
  return el("article", { class: "run" }, title, el("p", { class: "mono" }, run.path), facts, parts, run.notes.map((note) => el("p", { class: "note" }, note)));
}

function cell(score, digits) {
  if (!score || !isNumber(score.mean)) return el("td", { class: "weak" }, "–");
  const interval = isNumber(score.low) && isNumber(score.high) ? el("small", {}, `${score.low.toFixed(digits)} – ${score.high.toFixed(digits)}`) : null;
  return el("td", {}, score.mean.toFixed(digits), interval);
}

// Second run minus first; coloured if the intervals are apart.
function change(scores, digits, lessIsBetter) {
  const [a, b] = scores;
  if (!a || !b || !isNumber(a.mean) || !isNumber(b.mean)) return el("td", { class: "weak" }, "–");
  const apart = a.high < b.low || b.high < a.low, better = b.mean < a.mean === lessIsBetter;
  const text = (b.mean - a.mean).toFixed(digits);
  return el("td", { class: apart ? (better ? "better" : "worse") : "weak" }, (text > 0 ? "+" : "") + text);
}

function versus(found) {
  if (!found || !isNumber(found.mean)) return el("td", {}, "");
  const p = found.p < 2e-4 ? "p < 0.0002" : "p = " + number(found.p, 1), used = found.mean > 0 && found.p < 0.05;
  return el("td", { class: used ? "better" : "weak" }, (found.mean > 0 ? "+" : "") + found.mean.toFixed(3), el("small", {}, p));
}

function rowCells(row, scores, several) {
  const cells = [];
  for (const [key, , digits, less] of scores) {
    const found = row.metrics[key] || row.samples.map(() => null), own = found.map((s) => cell(s, digits));
    own[0].classList.add("group");
    cells.push(...own);
    if (several) cells.push(change(found, digits, less));
  }
  const rise = row.versus.map(versus);
  rise[0].classList.add("group");
  return cells.concat(rise);
}

function tableHead(scores, runs) {
  const several = runs.length > 1, span = several ? { colspan: 3, class: "group" } : { class: "group" };
  const top = el("tr", {}, el("th", { class: "left", rowspan: several ? 2 : null, scope: "col" }, "Media"),
    scores.map(([, title]) => el("th", { ...span, scope: several ? "colgroup" : "col" }, title)),
    el("th", { class: "group", colspan: several ? 2 : null, scope: several ? "colgroup" : "col" }, "Rise of the loss"));
  if (!several) return el("thead", {}, top);
  const name = (i) => el("th", { scope: "col", class: i ? null : "group" }, el("span", { class: color(i) }, "AB"[i]));
  const group = () => [name(0), name(1), el("th", { scope: "col" }, "B − A")];
  return el("thead", {}, top, el("tr", {}, scores.map(group), name(0), name(1)));
}

function bodyOf(task, rows, scores, runs) {
  const n = [...new Set(rows[0].samples.filter(isNumber))].join(" / "), width = 2 + scores.length * (runs.length > 1 ? 3 : 1) + (runs.length - 1);
  return el("tbody", {}, el("tr", { class: "task" }, el("th", { scope: "rowgroup", colspan: width }, el("span", {}, task, el("small", {}, ` ${n} samples`)))),
    rows.map((row) => el("tr", { class: row.media === "right" ? "right-media" : null }, el("th", { scope: "row" }, CONDITIONS[row.media] || row.media), rowCells(row, scores, runs.length > 1))));
}

function tableOf(set, runs) {
  const scores = SCORES.filter(([key]) => set.rows.some((row) => row.metrics[key] && row.metrics[key].some(Boolean)));
  const bodies = [...new Set(set.rows.map((row) => row.task))].map((task) => bodyOf(task, set.rows.filter((row) => row.task === task), scores, runs));
  const skipped = set.skipped.filter(isNumber), n = [...new Set(set.samples.filter(isNumber))];
  const told = skipped.length ? `${[...new Set(skipped)].join(" / ")} skipped` : "";
  return el("div", { class: "panel set" + (runs.length > 1 ? "" : " one-run") },
    el("header", {}, el("h3", {}, set.set), el("p", { class: "hint" }, `${n.join(" / ")} samples`), told ? el("p", { class: "hint " + (skipped.some((s) => s > 0) ? "some" : "") }, told) : null),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Scores of ${set.set}` }, el("table", {}, tableHead(scores, runs), bodies)));
}

function drawTables(data) {
  const place = document.getElementById("tables");
  if (!data.evaluation.length) return void place.append(el("p", { class: "note" }, "There is no evaluation in this run; `antiphon eval RUN` makes one."));
  if (data.runs.length > 1) place.append(el("p", { class: "hint" }, data.runs.map((run, i) => el("span", { class: color(i) }, el("i", { class: "swatch" }), `${"AB"[i]}: ${run.name}  `))));
  place.append(...data.evaluation.map((set) => tableOf(set, data.runs)));
  const also = data.runs.length > 1 ? " B − A is coloured where the two intervals do not overlap." : "";
  place.append(el("p", { class: "hint" }, "Means with 95 % intervals (bootstrap over samples). The last column is the rise of the loss when each sample gets another one's media, or none: green where it is above zero with p < 0.05, so that the model does use them. No rise means that the answers come from the text alone." + also));
}

function skippedOf(run, i, several, evaluation) {
  const s = run.skipped, held = evaluation.map((set) => [set.set, set.skipped[i]]).filter(([, n]) => isNumber(n));
  const groups = s.groups.map((group) => el("li", {}, el("b", {}, plural(group.count, "sample: ", "samples: ")), group.reason,
    el("ul", {}, group.lines.map((line) => el("li", {}, el("span", { class: "mono" }, line.place), " " + line.reason)), group.count > group.lines.length ? el("li", {}, `and ${group.count - group.lines.length} more`) : null)));
  return el("div", { class: "panel" }, several ? el("h3", {}, el("i", { class: "swatch " + color(i) }), run.name) : null,
    el("p", {}, el("span", { class: "big " + (s.count ? "some" : "zero") }, s.count.toLocaleString("en")), s.count ? " training samples were skipped" : " training samples were skipped: every sample could be read"),
    groups.length ? el("ul", { class: "reasons" }, groups) : null,
    s.broken ? el("p", { class: "hint" }, `${plural(s.broken, "line", "lines")} of bad_samples.jsonl could not be read.`) : null,
    el("p", { class: "hint" }, held.length ? "In the evaluation: " + held.map(([name, n]) => `${n} in ${name}`).join(", ") + "." : ""));
}

function trainingAnswers(run, i, several) {
  return run.answers.map((set) => el("div", { class: "panel changes" },
    el("header", {}, el("h3", {}, several ? el("i", { class: "swatch " + color(i) }) : null, set.set), el("p", { class: "hint" }, `after step ${set.step.toLocaleString("en")}`)),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Answers to ${set.set}` }, el("table", {},
      el("thead", {}, el("tr", {}, ["Question", "Expected", "Answered"].map((title) => el("th", { class: "left", scope: "col" }, title)))),
      el("tbody", {}, set.rows.map((row) => el("tr", {}, [row.question, row.expected, row.predicted].map((text) => el("td", { class: "mono" }, text === "" ? "–" : text)))))))));
}

function drawTrainingAnswers(data) {
  const panels = data.runs.flatMap((run, i) => trainingAnswers(run, i, data.runs.length > 1));
  document.getElementById("answers").hidden = !panels.length;
  document.getElementById("answers-body").append(...panels);
}

function drawDifferences(data) {
  if (!data.differences) return;
  document.getElementById("differences").hidden = false;
  const place = document.getElementById("differences-body");
  if (!data.differences.length) return void place.append(el("p", { class: "hint" }, "The two configurations are the same."));
  const value = (text) => el("td", { class: "mono" }, text === "" ? "–" : text);
  place.append(el("div", { class: "panel changes" }, el("table", {},
    el("thead", {}, el("tr", {}, el("th", { class: "left", scope: "col" }, "Key"), data.runs.map((run, i) => el("th", { class: "left " + color(i), scope: "col" }, run.name)))),
    el("tbody", {}, data.differences.map((d) => el("tr", {}, el("td", { class: "mono" }, d.key), d.values.map(value)))))));
}
