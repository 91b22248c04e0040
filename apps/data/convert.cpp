// antiphon data convert FILE OUT: the samples of a set, whatever form it has, in JSON lines, a JSON list, WebDataset
// tars or a table, as messages or in the layout of another program.
#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/data/layouts/sample_json.h>
#include <antiphon/media/limits.h>
#include <antiphon/run/run_config.h>
#include <common/command.h>
#include <data/record_writer.h>
#include <data/sources.h>

#include <algorithm>

namespace antiphon::apps {
namespace {

struct ConvertFlags {
  std::string file, out, layout = "messages";
  std::vector<std::string> sets;
  int64_t shard_samples = 0;
};

struct Input {
  std::vector<data::RecordSet> sets;
  int64_t candidates = 1;
};

Input open_input(const ConvertFlags& flags) {
  Input input;
  std::vector<data::SourceOptions> sources{{flags.file}};
  if (flags.file.ends_with(".toml")) {
    const auto config = run::read_config(flags.file, flags.sets);
    sources = config.data.train.sources, input.candidates = answers_compared(config);
  }
  if (sources.empty())
    fail(ErrorKind::config, "the configuration names no training data", "add [[data.train.sources]]");
  for (const auto& source : sources) input.sets.emplace_back(source, input.candidates).tell();
  return input;
}

// Calls visit(set, index) for all samples in order; an error says whose it is.
template <class Visit>
void for_all(const std::vector<data::RecordSet>& sets, Visit visit) {
  for (const auto& set : sets)
    for (int64_t i = 0; i < set.size(); ++i)
      with_context(fmt::format("{}:{}", shown(set.path().string()), set.line(i)), [&] { visit(set, i); });
}

Sample completed(const data::RecordSet& set, int64_t index, const data::Layout& layout) {
  auto sample = set.sample(index);
  layout.complete(sample);
  return sample;
}

int64_t add_all(const Input& input, const data::Layout& layout, RecordWriter& writer) {
  int64_t count = 0;
  for_all(input.sets, [&](const data::RecordSet& set, int64_t index) {
    const auto sample = completed(set, index, layout);
    writer.begin(sample);
    const auto name_of = [&](size_t medium) { return writer.add(sample.media.at(medium)); };
    writer.add_record(layout.write(sample, {name_of, writer.is_table()}));
    ++count;
  });
  return count;
}

int64_t write_all(const Input& input, const data::Layout& layout, RecordWriter& writer) {
  if (writer.is_table()) add_all(input, layout, writer), writer.all_said();
  return add_all(input, layout, writer);
}

// Byte for byte, one by one in order.
void check_media(const Sample& before, const Sample& after) {
  const auto most = media::MediaLimits{}.file_bytes;
  for (size_t i = 0; i < before.media.size(); ++i) {
    const auto &old = before.media[i].bytes, &now = after.media.at(i).bytes;
    if (old == now || old.read(most) == now.read(most)) continue;
    fail(ErrorKind::data,
         fmt::format("medium {} of the sample, '{}', has other bytes than what was written", i + 1, shown(old.name())),
         "the file has changed meanwhile, or two media have one name: convert again");
  }
}

// What was written is read again, and must say the same.
void check_written(const Input& input, const data::Layout& layout, const RecordWriter& writer,
                   const std::vector<RecordWriter::File>& files) {
  std::vector<data::RecordSet> written;
  for (const auto& file : files) written.emplace_back(writer.source_of(file), input.candidates);
  size_t part = 0;
  int64_t at = 0;
  for_all(input.sets, [&](const data::RecordSet& set, int64_t index) {
    if (at == written.at(part).size()) ++part, at = 0;
    const auto sample = completed(set, index, layout), again = written.at(part).sample(at++);
    const auto before = data::said_by(sample), after = data::said_by(again);
    if (before != after)
      fail(ErrorKind::data, fmt::format("the sample would be read as another one: {}", shown(after, kWordsLetters)),
           fmt::format("a key beside the turns, or a mark in a text, may mean something in the layout {}: take it out",
                       layout.name));
    check_media(sample, again);
  });
}

int convert(const ConvertFlags& flags) {
  const auto& layout = *std::ranges::find(data::layouts(), flags.layout, &data::Layout::name);
  if (layout.lines_only && !flags.out.ends_with(".jsonl") && !flags.out.ends_with('/'))
    fail(ErrorKind::config, fmt::format("'{}': the layout {} is written as lines", shown(flags.out), layout.name),
         "name a .jsonl file, or a folder OUT/ (Shar)");
  const auto writer = make_writer(flags.out, layout.name, flags.shard_samples);  // before all of a large set is read
  try {
    const auto input = open_input(flags);
    const auto count = write_all(input, layout, *writer);
    const auto files = writer->finish();
    check_written(input, layout, *writer, files);
    size_t written = 0;
    for (const auto& file : files) rename_path(file.temporary, file.path, ErrorKind::config), written += file.count;
    log::info(fmt::format("wrote {} records to {} files; each was read again and says the same", count, written));
  } catch (...) {
    writer->discard();
    throw;
  }
  return 0;
}

}  // namespace

void add_data_convert(CLI::App& data, Action& action) {
  auto* command = data.add_subcommand(
      "convert", "write samples in another form: lines, a list, WebDataset tars, Shar, tarred manifests or a table");
  auto flags = std::make_shared<ConvertFlags>();
  command->add_option("file", flags->file, "a file of records, or a TOML configuration: its training data")->required();
  command
      ->add_option(
          "out", flags->out,
          "OUT.jsonl, OUT.json (a list), OUT.tar or OUT.parquet with the media in it, or a folder OUT/: Shar of the "
          "layout lhotse_cut, tarred manifests of nemo_manifest")
      ->required();
  std::vector<std::string> names;
  for (const auto& layout : data::layouts()) names.push_back(layout.name);
  command->add_option("--layout", flags->layout, "how the records are written")
      ->check(CLI::IsMember(names))
      ->capture_default_str();
  command->add_option("--set", flags->sets, "override one value of the configuration (may be repeated)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command
      ->add_option("--shard-samples", flags->shard_samples,
                   "samples of each archive: OUT-000000.tar, …; 0: one archive")
      ->check(at_least(0))
      ->capture_default_str();
  command->callback([flags, &action] { action = [flags] { return convert(*flags); }; });
}

}  // namespace antiphon::apps
