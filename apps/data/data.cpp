// antiphon data show|check|stats|convert|index|synthesize FILE: what a configuration reads, as the model gets it. Loads
// no weight.
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <antiphon/base/fail_lines.h>
#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/standard_streams.h>
#include <antiphon/base/strings.h>
#include <antiphon/base/writable.h>
#include <antiphon/early/cpu_quota.h>
#include <antiphon/run/composition.h>
#include <common/command.h>
#include <data/check.h>
#include <data/findings.h>
#include <data/sources.h>
#include <data/stats.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace antiphon::apps {
namespace {

struct CheckFlags {
  std::string file;
  std::vector<std::string> sets;
  int64_t limit = 0;
  int threads = 0;
  bool json = false;
};

// A source of which no sample could be looked at.
void refuse_unopened(const std::vector<SourceFindings>& findings) {
  std::vector<std::string> lines;
  for (const auto& source : findings)
    if (!source.failure.empty()) lines.push_back(source.failure.substr(0, source.failure.find('\n')));
  if (lines.empty()) return;
  lines.insert(lines.begin(), fmt::format("{} of {} sources cannot be read:", lines.size(), findings.size()));
  fail_lines(ErrorKind::data, lines, "mend or remove them: training would not begin");
}

int finish(const std::vector<SourceFindings>& findings, const CheckFlags& flags) {
  const auto found = to_json(findings);
  if (flags.json) {
    fmt::print("{}\n", found.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    push_stdout();
  } else {
    print_findings(found);
  }
  refuse_unopened(findings);
  const auto bad = found["bad"].get<int64_t>();
  if (bad > 0)
    fail(ErrorKind::data, fmt::format("{} of {} samples are bad", bad, found["samples"].get<int64_t>()),
         "mend or remove them: training would skip each one");
  return 0;
}

// Of a run beside it, for its report; empty: nowhere.
std::filesystem::path stats_file(const CheckFlags& flags) {
  return is_folder(flags.file, ErrorKind::config) && !is_data(flags.file)
             ? std::filesystem::path(flags.file) / "data_stats.json"
             : "";
}

// For a person, or as JSON for machines.
int finish_stats(const std::vector<SourceFindings>& findings, const CheckFlags& flags) {
  const auto stats = stats_of(findings);
  const auto text = stats.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (const auto file = stats_file(flags); !file.empty()) write_file_atomic(file, text, ErrorKind::config);
  if (!flags.json)
    print_stats(stats);
  else
    fmt::print("{}", text), push_stdout();
  refuse_unopened(findings);
  const auto is_bad = [](const SourceFindings& source) { return count_bad(source) > 0; };
  if (std::ranges::any_of(findings, is_bad)) log::warning("some samples are bad; `antiphon data check` says why");
  return 0;
}

std::vector<SourceFindings> look(const CheckFlags& flags) {
  at::set_num_threads(1);  // the samples are what is shared out
  const int cores = early::processors();
  const int threads = flags.threads > 0 ? flags.threads : cores;
  if (is_data(flags.file)) return check_sources({{"", {flags.file}, {}}}, flags.limit, threads);
  const run::Composition composition(flags.file, flags.sets);
  const Reader reader(composition);
  return check_sources(reader.sources(), flags.limit, threads);
}

int check(const CheckFlags& flags) { return finish(look(flags), flags); }

int stats(const CheckFlags& flags) {
  if (const auto file = stats_file(flags); !file.empty()) check_can_write(file, ErrorKind::config);
  return finish_stats(look(flags), flags);
}

// Two verbs look at all samples, and differ in what they say.
void add_looking(CLI::App& data, Action& action, const char* name, const char* does, int (*run)(const CheckFlags&)) {
  auto* command = data.add_subcommand(name, does);
  auto flags = std::make_shared<CheckFlags>();
  command->add_option("file", flags->file, "a TOML configuration, the folder of a run, or a file of records alone")
      ->required();
  command->add_option("--set", flags->sets, "override one value: --set train.tokens_per_batch=4096 (may be repeated)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--limit", flags->limit, "samples of each source; 0: all")
      ->check(at_least(0))
      ->capture_default_str();
  command->add_option("--threads", flags->threads, "threads that read; 0: all cores")
      ->check(within(0, kMaxThreads))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "print JSON");
  command->callback([flags, run, &action] { action = [flags, run] { return run(*flags); }; });
}

}  // namespace

void add_data_show(CLI::App& data, Action& action);
void add_data_convert(CLI::App& data, Action& action);
void add_data_index(CLI::App& data, Action& action);
void add_data_synthesize(CLI::App& data, Action& action);

void add_data(CLI::App& program, Action& action) {
  auto* data = program.add_subcommand(
      "data", "show samples as the model sees them, check, count, convert, index or say them; loads no weight");
  data->require_subcommand(1);
  add_data_show(*data, action);
  add_looking(*data, action, "check", "go over every sample: parsing, media, tokens, same media in two sets", check);
  add_looking(*data, action, "stats",
              "histograms of tokens, lengths, sizes of pictures, supervised shares; of a run for its report, too",
              stats);
  add_data_index(*data, action);
  add_data_synthesize(*data, action);
  add_data_convert(*data, action);
}

}  // namespace antiphon::apps
