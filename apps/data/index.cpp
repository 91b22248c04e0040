// antiphon data index FILE: keeps beside data files where their records are, so that a run begins at once.
#include <fmt/format.h>

#include <antiphon/base/shown.h>
#include <antiphon/base/standard_streams.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/record/kept_index.h>
#include <antiphon/data/record_set.h>
#include <antiphon/run/run_config.h>
#include <common/command.h>

namespace antiphon::apps {
namespace {

struct IndexFlags {
  std::string file;
  std::vector<std::string> sets;
};

std::vector<data::SourceOptions> sources_of(const IndexFlags& flags) {
  if (!flags.file.ends_with(".toml")) return {{flags.file}};
  const auto config = run::read_config(flags.file, flags.sets);
  auto sources = config.data.train.sources;
  for (const auto& [name, split] : config.data.eval)
    if (split.enabled) sources.insert(sources.end(), split.sources.begin(), split.sources.end());
  if (sources.empty())
    fail(ErrorKind::config, "the configuration names no data", "add [[data.train.sources]] with a path");
  return sources;
}

int index(const IndexFlags& flags) {
  const records::KeepIndexes keep;
  int64_t built = 0, current = 0;
  for (const auto& source : sources_of(flags)) {
    const data::RecordSet set(source);
    const auto counts = records::KeepIndexes::take();
    built += counts.built, current += counts.current;
    fmt::print("{}: {} records; {}\n", shown(source.path), set.size(),
               counts.built + counts.current == 0
                   ? "no index is kept of such files"
                   : fmt::format("{} indexes built, {} as they were, {}", counts.built, counts.current,
                                 human_bytes(static_cast<double>(counts.bytes))));
    push_stdout();
  }
  fmt::print("{} indexes built, {} as they were\n", built, current);
  push_stdout();
  return 0;
}

}  // namespace

void add_data_index(CLI::App& data, Action& action) {
  auto* command = data.add_subcommand("index", "keep beside JSON lines and tars where their records are");
  auto flags = std::make_shared<IndexFlags>();
  command
      ->add_option("file", flags->file,
                   "a file of records or a pattern of several, or a TOML configuration: all its sets")
      ->required();
  command->add_option("--set", flags->sets, "override one value of the configuration (may be repeated)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->callback([flags, &action] { action = [flags] { return index(*flags); }; });
}

}  // namespace antiphon::apps
