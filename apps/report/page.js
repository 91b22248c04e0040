function setUpTheme() {
  const root = document.documentElement, button = document.getElementById("theme"), dark = matchMedia("(prefers-color-scheme: dark)");
  const now = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const tell = () => { button.textContent = now() === "dark" ? "Light" : "Dark"; button.setAttribute("aria-label", `Switch to ${now() === "dark" ? "light" : "dark"} colours`); };
  button.addEventListener("click", () => { root.dataset.theme = now() === "dark" ? "light" : "dark"; tell(); });
  dark.addEventListener("change", tell);
  tell();
}

function drawPage() {
  const data = JSON.parse(document.getElementById("data").textContent), several = data.runs.length > 1;
  document.title = data.runs.map((run) => run.name).join(" and ") + " – antiphon report";
  document.getElementById("head").append(el("div", { class: several ? "runs two" : "runs" }, data.runs.map((run, i) => head(run, i, several))));
  setUpTheme();
  drawCharts(data);
  drawTables(data);
  document.getElementById("skipped-body").append(...data.runs.map((run, i) => skippedOf(run, i, several, data.evaluation)));
  drawTrainingAnswers(data);
  drawSpread(data);
  drawDifferences(data);
  drawSamples(data);
  document.getElementById("foot").textContent = `Made by antiphon ${data.version}. This page holds everything that it shows and loads nothing.`;
}
drawPage();
