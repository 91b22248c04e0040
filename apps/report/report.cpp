// antiphon report RUN [RUN_B]: what happened in a run, as one HTML page.
#include <fmt/format.h>

#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/strings.h>
#include <antiphon/base/writable.h>
#include <common/command.h>
#include <report/page.h>

namespace antiphon::apps {
namespace {

struct ReportFlags {
  std::vector<std::string> runs;
  std::string output;
  report::GalleryOptions gallery;
};

// Two runs of one name are told apart by where they lie.
void name_apart(std::vector<report::RunData>& runs) {
  if (runs.size() != 2 || runs[0].name != runs[1].name) return;
  for (auto& run : runs) run.name = run.path.string();
  if (runs[0].name == runs[1].name) runs[1].name += " (again)";
}

int run(const ReportFlags& flags) {
  std::vector<report::RunData> runs;
  for (const auto& path : flags.runs) runs.push_back(report::read_run(path));
  name_apart(runs);
  std::filesystem::path output = flags.output;
  if (output.empty()) output = runs.size() == 1 ? runs[0].path / "report.html" : "report.html";
  check_can_write(output, ErrorKind::config);
  const auto data = report::page_data(runs, flags.gallery);
  const auto text = report::page(data);
  if (output.has_parent_path()) make_folder(output.parent_path(), ErrorKind::config);
  write_file_atomic(output, text, ErrorKind::config);
  for (const auto& run : runs)
    for (const auto& note : run.notes) log::info(fmt::format("{}: {}", run.name, note));
  for (const auto& set : data["gallery"]["sets"])
    log::info(fmt::format("{}: {} of {} samples shown", set["name"].get<std::string>(), set["shown"].get<int64_t>(),
                          set["total"].get<int64_t>()));
  log::info(
      fmt::format("{} ({}); open it in a browser", output.string(), human_bytes(static_cast<double>(text.size()))));
  return 0;
}

}  // namespace

void add_report(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("report", "one HTML page about a run, or about two side by side");
  auto flags = std::make_shared<ReportFlags>();
  command->add_option("runs", flags->runs, "a run folder, or two to compare")->required()->expected(1, 2);
  command->add_option("--output", flags->output,
                      "the page; default: <run>/report.html, or report.html if there are two runs");
  command->add_option("--samples", flags->gallery.samples, "how many samples of each set to show at most")
      ->capture_default_str()
      ->check(at_least(0));
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace antiphon::apps
