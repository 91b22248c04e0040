// antiphon data synthesize FILE OUT.jsonl: the questions of a set as speech.
#include <fmt/format.h>

#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/progress.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/base/writable.h>
#include <antiphon/component/speech_synthesizer.h>
#include <antiphon/data/components.h>
#include <antiphon/data/layouts/sample_json.h>
#include <antiphon/data/record_set.h>
#include <antiphon/media/audio/wav_file.h>
#include <common/command.h>

namespace antiphon::apps {
namespace {

namespace fs = std::filesystem;

struct SynthesizeFlags {
  std::string file, out, synthesizer = "espeak";
  std::vector<std::string> options;
};

// Says texts into files that are named by what they hold, so that one that is there need not be said again.
class Speaker {
 public:
  Speaker(const SynthesizeFlags& flags, fs::path folder) : folder_(std::move(folder)) {
    config::Value options = config::Value::Table{};
    for (const auto& option : flags.options) config::apply_set(options, option);
    auto built = data::built<SpeechSynthesizer>(flags.synthesizer, options, flags.synthesizer);
    synthesizer_ = std::move(built.component);
    settings_ = flags.synthesizer + " " + config::to_json(options, -1);
    make_folder(folder_, ErrorKind::config);
  }

  fs::path file_of(const std::string& text) {
    const auto path = folder_ / (content_hash(settings_ + "\n" + text) + ".wav");
    if (path_exists(path, ErrorKind::config)) return ++found_, path;
    write_file_atomic(path, media::wav_file(synthesizer_->say(text)), ErrorKind::config);
    return ++said_, path;
  }
  std::string counts() const { return fmt::format("{} texts said, {} there already", said_, found_); }

 private:
  fs::path folder_;
  std::unique_ptr<SpeechSynthesizer> synthesizer_;
  std::string settings_;
  int64_t said_ = 0, found_ = 0;
};

// The texts of a user's turn become one sound, where the first of them stood.
void speak_turn(SampleTurn& turn, Sample& sample, Speaker& speaker, std::vector<std::string>& spoken) {
  std::string text;
  std::vector<ContentPart> parts;
  for (const auto& part : turn.parts) {
    const bool first = part.media < 0 && text.empty() && !trim(part.text).empty();
    if (part.media < 0) text += part.text;
    if (part.media >= 0) parts.push_back(part);
    if (first) parts.push_back({{}, static_cast<int64_t>(sample.media.size())});
  }
  if (trim(text).empty()) return;
  sample.media.push_back({Modality::audio, speaker.file_of(text)});
  spoken.push_back(text);
  turn.parts = std::move(parts);
}

nlohmann::ordered_json spoken_record(Sample sample, Speaker& speaker, const fs::path& folder) {
  std::vector<std::string> spoken;
  for (auto& turn : sample.turns)
    if (turn.role == "user") speak_turn(turn, sample, speaker, spoken);
  if (spoken.empty()) fail(ErrorKind::data, "no question has a text to say");
  sample.tags["spoken"] = join(spoken, "\n");
  const auto name_of = [&](size_t medium) {
    const auto& bytes = sample.media.at(medium).bytes;
    if (!bytes.is_file())
      fail(ErrorKind::data, fmt::format("'{}' is in an archive or a table", shown(bytes.name())),
           "write the set as JSON lines first: antiphon data convert");
    const auto& file = bytes.file();
    return path_text(file.parent_path() == folder ? file.lexically_relative(folder.parent_path())
                                                  : absolute_path(file, ErrorKind::data),
                     ErrorKind::config);
  };
  return data::to_record(sample, {name_of});
}

int synthesize(const SynthesizeFlags& flags) {
  const fs::path out = flags.out;
  if (out.extension() != ".jsonl")
    fail(ErrorKind::config, fmt::format("'{}' says no form that is written", shown(flags.out)), "name a .jsonl file");
  if (path_exists(out, ErrorKind::config))
    fail(ErrorKind::config, shown(flags.out) + " is there already", "name another file, or remove it first");
  check_can_write(out, ErrorKind::config);
  const auto folder = fs::path(out.parent_path()) / (out.stem().string() + "_media");
  path_text(folder.filename(), ErrorKind::config);  // as the records will have it
  const data::RecordSet set(data::SourceOptions{flags.file});
  set.tell();
  Speaker speaker(flags, folder);
  std::string lines;
  int64_t skipped = 0;
  for (int64_t i = 0; i < set.size(); ++i) {
    show_progress(fmt::format("{}/{} samples", i + 1, set.size()), i + 1 == set.size());
    try {
      lines += spoken_record(set.sample(i), speaker, folder).dump() + "\n";
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      ++skipped;
      log::warning(fmt::format("{}:{}: skipped: {}", shown(flags.file), set.line(i), error.what()));
    }
  }
  finish_progress();
  if (lines.empty()) fail(ErrorKind::data, fmt::format("none of {} samples could be said", set.size()));
  write_file_atomic(out, lines, ErrorKind::config);
  log::info(fmt::format("wrote {} samples; {}", set.size() - skipped, speaker.counts()));
  if (skipped > 0)
    fail(ErrorKind::data, fmt::format("{} of {} samples could not be said and were left out", skipped, set.size()),
         "the warnings name them");
  return 0;
}

}  // namespace

void add_data_synthesize(CLI::App& data, Action& action) {
  auto* command = data.add_subcommand("synthesize", "what users ask as speech: WAV files and a set that names them");
  auto flags = std::make_shared<SynthesizeFlags>();
  command->add_option("file", flags->file, "a file of records")->required();
  command->add_option("out", flags->out, "OUT.jsonl; the sounds go into OUT_media")->required();
  command->add_option("--synthesizer", flags->synthesizer, "the plugin that speaks")->capture_default_str();
  command->add_option("--option", flags->options, "an option of it: --option voice=de (may be repeated)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->callback([flags, &action] { action = [flags] { return synthesize(*flags); }; });
}

}  // namespace antiphon::apps
