#include <antiphon/eval/normalizer.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/text/score_text.h>
#include <antiphon/weights/json_file.h>

namespace antiphon::eval {
namespace {

text::Spellings spellings_of(const JsonTable& table) {
  text::Spellings spellings;
  for (const auto& [british, american] : table.json().items()) {
    if (!american.is_string()) table.refuse(british, "a text");
    spellings.emplace(british, american.get<std::string>());
  }
  log::info(fmt::format("{}: spellings of {} words", table.file(), spellings.size()));
  return spellings;
}

}  // namespace

std::string normalize_answer(std::string_view text, std::string_view normalizer, const text::Spellings& spellings) {
  if (normalizer == "whisper") return text::whisper_basic(text);
  return normalizer == "whisper_english" ? text::whisper_english(text, spellings) : text::without_punctuation(text);
}

text::Spellings read_spellings(const EvalOptions& options, const std::vector<std::filesystem::path>& folders) {
  if (options.normalizer != "whisper_english") return {};
  if (!options.spelling.empty()) {
    const auto table = weights::read_json_table(options.spelling);
    if (!table.exists())
      fail(ErrorKind::config, "eval.spelling: there is no file " + options.spelling,
           "name a JSON file of words, such as Whisper's normalizer.json");
    return spellings_of(table);
  }
  for (const auto& folder : folders)
    if (const auto table = weights::read_json_table(folder / "normalizer.json"); table.exists())
      return spellings_of(table);
  log::warning(
      "eval.normalizer = \"whisper_english\": no model directory has a normalizer.json, so British spelling "
      "stays as it is");
  return {};
}

}  // namespace antiphon::eval
