// The samples: cards, filters, order.
const NAMES = { right: "own media", shuffled: "shuffled", shuffled_image: "other picture", shuffled_audio: "other sound", shuffled_video: "other video", removed: "no media" };

function mediaOf(item, assets, sample) {
  const why = item.note || "";
  if (item.asset === undefined) return el("figure", {}, el("p", { class: "gone" }, `${item.type || "media"} ${item.name}: ${why}`));
  const label = { image: "Picture", audio: "Sound", video: "Video" }[item.type] + ` of sample ${sample.id || sample.place}: ${item.name}`;
  const node = item.type === "image" ? el("img", { alt: label, decoding: "async" }) : el(item.type, { controls: true, preload: "metadata", "aria-label": label });
  node.dataset.asset = item.asset;
  return el("figure", {}, node, el("figcaption", {}, `${item.name}${why ? " · " + why : ""}`));
}

function mark(right) {
  if (right === null || right === undefined) return null;
  return el("span", { class: "mark " + (right ? "right" : "wrong") }, right ? "✓ right" : "✗ wrong");
}

function answersOf(sample, data) {
  const several = data.runs.length > 1, list = el("dl", { class: "answers" }, el("dt", {}, "Expected"), el("dd", {}, sample.expected));
  sample.runs.forEach((run, i) => {
    const name = several ? el("dt", { class: color(i) }, `Answer ${"AB"[i]}`) : el("dt", {}, "Answer");
    const text = !run ? "not in this evaluation" : run.right === null ? "none was generated" : run.predicted || "(empty)";
    list.append(name, el("dd", { class: run && run.right !== null ? null : "weak" }, text, run ? mark(run.right) : null));
  });
  return list;
}

// One bar a run for each kind of media, all on one scale.
function lossesOf(sample) {
  const all = sample.runs.map((run) => (run && run.losses) || {}), found = new Set(all.flatMap(Object.keys));
  if (!found.size) return null;
  const names = [...Object.keys(NAMES).filter((k) => found.has(k)), ...[...found].filter((k) => !(k in NAMES))];
  const most = Math.max(...all.flatMap(Object.values), 1e-9);
  const bar = (losses, i, key) => {
    const node = el("i", { class: color(i) });
    node.style.width = `${(100 * (losses[key] || 0)) / most}%`;
    return node;
  };
  const value = (losses, i, key) => el("span", { class: all.length > 1 ? color(i) : null }, i ? " " : "", key in losses ? losses[key].toFixed(3) : "–");
  const rows = names.flatMap((key) => [el("span", { class: key === "right" ? "own" : null }, NAMES[key] || key), el("div", {}, all.map((l, i) => bar(l, i, key))), el("span", {}, all.map((l, i) => value(l, i, key)))]);
  return el("div", { class: "losses", role: "group", "aria-label": "Loss of the expected answer by media" }, el("p", {}, "Loss of the expected answer with"), rows);
}

function cardOf(sample, data) {
  const tags = [sample.set, sample.task, ...Object.values(sample.tags)].filter(Boolean);
  return el("article", { class: "panel card" },
    sample.media.length ? el("div", { class: "media" }, sample.media.map((m) => mediaOf(m, data.gallery.assets, sample))) : null,
    el("div", { class: "body" },
      el("p", { class: "tags" }, [...new Set(tags)].map((t) => el("span", {}, t))),
      sample.question ? el("p", { class: "question" }, sample.question) : el("p", { class: "gone" }, sample.note || "This sample has no question."),
      answersOf(sample, data),
      lossesOf(sample),
      el("p", { class: "mono" }, `${sample.id ? sample.id + " · " : ""}${sample.place}`)));
}

// What the choices of the first filter mean; each takes the verdicts of the runs.
function verdicts(data) {
  if (data.runs.length === 1) return [["all", "All", () => true], ["right", "Right", ([a]) => a === true], ["wrong", "Wrong", ([a]) => a === false]];
  return [["all", "All", () => true], ["right", "Both right", ([a, b]) => a === true && b === true], ["wrong", "Both wrong", ([a, b]) => a === false && b === false],
    ["a", "Only A right", ([a, b]) => a === true && b === false], ["b", "Only B right", ([a, b]) => a === false && b === true]];
}

const rise = (sample, key) => Math.max(-1e9, ...sample.runs.filter((r) => r && key in r.losses).map((r) => r.losses[key] - r.losses.right));
const loss = (sample) => Math.max(-1e9, ...sample.runs.filter((r) => r && "right" in r.losses).map((r) => r.losses.right));
const ORDERS = [["mixed", "mixed", null], ["loss", "highest loss first", (s) => -loss(s)], ["easy", "lowest loss first", loss],
  ["media", "media matter most", (s) => -rise(s, "shuffled")], ["nomedia", "media matter least", (s) => rise(s, "shuffled")]];

function select(name, label, choices) {
  return el("label", {}, label, el("select", { name }, choices.map(([value, text]) => el("option", { value }, text))));
}

class Gallery {
  constructor(data) {
    this.data = data;
    this.verdict = "all";
    this.verdicts = verdicts(data);
    this.items = data.gallery.samples.map((sample) => ({ sample, node: cardOf(sample, data), right: sample.runs.map((r) => r && r.right),
      text: [sample.id, sample.question, sample.expected, ...sample.runs.map((r) => (r ? r.predicted : ""))].join("\n").toLowerCase() }));
    this.form = document.getElementById("filters");
    this.build();
    this.watch();
    this.apply();
  }

  build() {
    const judged = this.items.some((i) => i.right.some((r) => r === true || r === false));
    const choices = judged ? this.verdicts : this.verdicts.slice(0, 1);
    this.buttons = choices.map(([value, text]) => el("button", { type: "button", "data-verdict": value, "aria-pressed": value === "all" }, text, el("b", {})));
    for (const button of this.buttons) button.addEventListener("click", () => { this.verdict = button.dataset.verdict; this.apply(); });
    const values = (pick) => [["", "all"], ...[...new Set(this.items.map((i) => pick(i.sample)).filter(Boolean))].sort().map((v) => [v, v])];
    this.form.append(el("fieldset", { class: "choice", "aria-label": "Answers" }, this.buttons), select("set", "Set", values((s) => s.set)), select("task", "Task", values((s) => s.task)),
      select("order", "Order", ORDERS.map(([value, text]) => [value, text])), el("label", {}, "Search", el("input", { type: "search", name: "text", autocomplete: "off" })));
    this.form.addEventListener("input", () => this.apply());
    this.form.addEventListener("submit", (event) => event.preventDefault());
  }

  // Media get their bytes when they come near, and players that were not used give theirs back: browsers allow only
  // so many of them at a time.
  watch() {
    const observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const idle = target.tagName !== "IMG" && target.paused && !target.currentTime;
        if (isIntersecting && !target.hasAttribute("src")) target.src = this.data.gallery.assets[target.dataset.asset];
        else if (!isIntersecting && idle && target.hasAttribute("src")) { target.removeAttribute("src"); target.load(); }
      }
    }, { rootMargin: "800px 0px" });
    for (const item of this.items) for (const node of item.node.querySelectorAll("[data-asset]")) observer.observe(node);
  }

  apply() {
    const { set, task, order, text } = this.form.elements, words = text.value.trim().toLowerCase();
    const fits = (i) => (!set.value || i.sample.set === set.value) && (!task.value || i.sample.task === task.value) && i.text.includes(words);
    const pool = this.items.filter(fits);
    for (const button of this.buttons) {
      const test = this.verdicts.find(([value]) => value === button.dataset.verdict)[2];
      button.setAttribute("aria-pressed", button.dataset.verdict === this.verdict);
      button.lastChild.textContent = pool.filter((i) => test(i.right)).length;
    }
    const test = this.verdicts.find(([value]) => value === this.verdict)[2], shown = new Set(pool.filter((i) => test(i.right)));
    for (const item of this.items) item.node.hidden = !shown.has(item);
    this.sort(order.value);
    document.getElementById("visible").textContent = this.items.length ? `${shown.size} of ${plural(this.items.length, "sample", "samples")}` : "There are no samples to show.";
  }

  sort(order) {
    if (order === this.order) return;
    this.order = order;
    const key = ORDERS.find(([value]) => value === order)[2];
    const sorted = key ? [...this.items].sort((a, b) => key(a.sample) - key(b.sample)) : this.items;
    document.getElementById("cards").append(...sorted.map((i) => i.node));
  }
}

function drawSamples(data) {
  const cut = data.gallery.sets.some((s) => s.shown < s.total);
  const told = data.gallery.sets.map((s) => `${s.name}: ${s.shown} of ${s.total}`).join(", ");
  document.getElementById("shown-of").textContent = told && `Shown of all: ${told}.` + (cut ? " Each task's right and wrong answers are drawn in turn, so their shares here are not the accuracy." : "");
  new Gallery(data);
}
