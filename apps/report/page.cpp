#include <report/page.h>

#include <antiphon/base/error.h>
#include <report/evaluation.h>
#include <report_page_files.h>

namespace antiphon::apps::report {
namespace {

using nlohmann::json;

json curves_of(const Training& training) {
  json out = json::object();
  for (const auto& [key, points] : training.curves) out[key] = to_json(points);
  return out;
}

json head_of(const RunData& run) {
  const auto& t = run.training;
  const auto train = run.config.is_object() ? run.config.value("train", json()) : json();
  const auto planned = train.is_object() ? train : json::object();
  return {{"name", run.name},
          {"path", run.path.string()},
          {"env", run.env},
          {"parts", parts_of(run.config)},
          {"steps", t.steps},
          {"planned_steps", planned.value("steps", json())},
          {"max_minutes", planned.value("max_minutes", json())},
          {"tokens", t.tokens},
          {"seconds", t.seconds},
          {"loss", t.last_loss},
          {"curves", curves_of(t)},
          {"skipped", run.skipped},
          {"data", run.data},
          {"answers", run.answers.sets},
          {"notes", run.notes}};
}

std::string safe_json(const json& data) {
  std::string out;
  for (const char c : data.dump(-1, ' ', false, json::error_handler_t::replace)) {
    if (c == '<')
      out += "\\u003c";
    else if (c == '>')
      out += "\\u003e";
    else if (c == '&')
      out += "\\u0026";
    else
      out += c;
  }
  return out;
}

}  // namespace

json page_data(std::vector<RunData>& runs, const GalleryOptions& options) {
  std::vector<const Training*> trainings;
  for (const auto& run : runs) trainings.push_back(&run.training);
  json out{{"version", ANTIPHON_VERSION}, {"metrics", metric_table(trainings)}, {"runs", json::array()}};
  std::vector<const json*> results;
  for (const auto& run : runs) out["runs"].push_back(head_of(run)), results.push_back(&run.results);
  out["evaluation"] = evaluation_tables(results);
  out["gallery"] = gallery(runs, options);
  if (runs.size() == 2) out["differences"] = differences(runs[0].config, runs[1].config);
  return out;
}

std::string page(const json& data) {
  std::string out;
  std::string_view rest = page_html;
  const auto put = [&](std::string_view mark, std::initializer_list<std::string_view> texts) {
    const auto at = rest.find(mark);
    if (at == rest.npos) fail(ErrorKind::internal, "the page's template lacks a mark");
    out.append(rest.substr(0, at));
    for (const auto text : texts) out.append(text);
    rest.remove_prefix(at + mark.size());
  };
  put("/*STYLE*/", {page_css});
  put("/*DATA*/", {safe_json(data)});
  put("/*SCRIPT*/", {charts_js, tables_js, histograms_js, gallery_js, page_js});
  return out.append(rest);
}

}  // namespace antiphon::apps::report
