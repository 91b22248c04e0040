// Media and what is said of them:
//   {"image" | "images" | "audio" | …, "caption" or "text"}
//   {media, "context" or "question", "answers" or "answer"}: texts; or lists of the same length, which are turns
//   {media, "texts": [{"user", "assistant"}, …]}: turns
// A medium may stand under "file_name", and what is heard under "sentence", "transcription" or "transcript". Of sounds
// "offset" (or "start") and "duration" (or "end") name pieces, as in NeMo's manifests.
//
// Sources: Megatron Energon, docs/source/basic/flavors (CaptioningSample, VQASample); NeMo, avlm/data/energon
// (AVLMEnergonQASample); img2dataset, README.md (output format); datasets, docs/source/image_dataset.mdx (file_name);
// HuggingFaceM4/the_cauldron, README.md (texts); Common Voice and Fleurs on the hub (sentence, transcription).
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/record/media_names.h>
#include <antiphon/component/record/pieces.h>
#include <antiphon/component/record/turns.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <unordered_map>

namespace antiphon::captioned {
namespace {

using records::is_there;
using records::Json;
using records::Record;

struct CaptionedOptions {
  std::string question, answer_key;
};

const config::Table<CaptionedOptions>& captioned_table() {
  using O = CaptionedOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("captioned")
          .field("question", &O::question, "what is asked of records that have no question; empty: media alone")
          .field("answer_key", &O::answer_key,
                 "the key of the answer; empty: answers, answer, caption, text, sentence, transcription, transcript"));
  return *table;
}

constexpr std::array kQuestions{"question", "context"};
constexpr std::array kAnswers{"answers", "answer"};
constexpr std::array kCaptions{"caption", "text", "sentence", "transcription", "transcript"};
constexpr std::array kMedia{"image", "audio", "video"};
// Of records that say themselves who speaks.
constexpr std::array kOthers{"messages", "conversations", "instruction",    "query",
                             "chosen",   "candidates",    "audio_filepath", "completion"};

bool has_any(const Json& record, const auto& keys) {
  return std::ranges::any_of(keys, [&](const auto& key) { return is_there(record, key); });
}

bool has_media(const Json& record) {
  return std::ranges::any_of(
      kMedia, [&](const std::string& key) { return is_there(record, key) || is_there(record, key + "s"); });
}

// {"user", "assistant"}, each.
bool has_pairs(const Json& record) {
  const auto is_pair = [](const Json& one) {
    return one.is_object() && is_there(one, "user") && is_there(one, "assistant");
  };
  return records::has_list(record, "texts") && !record.at("texts").empty() &&
         std::ranges::all_of(record.at("texts"), is_pair);
}

// Of a record whose only medium stands under "file_name".
std::optional<Modality> kind_of_file(const Json& record) {
  if (has_media(record) || !is_there(record, "file_name") || !record.at("file_name").is_string()) return std::nullopt;
  return records::modality_of_file(record.at("file_name").get_ref<const std::string&>());
}

std::vector<std::string> of_pairs(const Json& record, const char* who) {
  std::vector<std::string> texts;
  for (const auto& pair : record.at("texts")) texts.push_back(records::text_of(pair, who, "an element of 'texts'"));
  return texts;
}

// A text, or a list of them.
std::vector<std::string> texts_in(const Json& value, const std::string& key) {
  const auto is_text = [](const Json& one) { return one.is_string(); };
  if (value.is_string()) return {value.get<std::string>()};
  if (!value.is_array() || value.empty() || !std::ranges::all_of(value, is_text))
    fail(ErrorKind::data, fmt::format("'{}' is neither a text nor a list of texts", key));
  return value.get<std::vector<std::string>>();
}

// Of several answers to one question the most frequent one, of these the first.
std::string agreed(const std::vector<std::string>& answers) {
  std::unordered_map<std::string_view, int64_t> counts;
  for (const auto& one : answers) ++counts[one];
  return *std::ranges::max_element(answers, {}, [&](const auto& one) { return counts[one]; });
}

}  // namespace

class Captioned : public RecordFormat {
 public:
  explicit Captioned(const CaptionedOptions& options) : options_(options) {
    if (!options.answer_key.empty()) {
      answer_keys_ = {options.answer_key};
      return;
    }
    answer_keys_.assign(kAnswers.begin(), kAnswers.end());
    answer_keys_.insert(answer_keys_.end(), kCaptions.begin(), kCaptions.end());
  }
  std::string expects() const override { return "media with a 'caption' or 'text', or with 'question' and 'answer'"; }
  bool recognises(const Json& record) const override {
    const auto is_text = [&](const char* key) { return is_there(record, key) && record.at(key).is_string(); };
    const bool says = has_pairs(record) || (has_any(record, kQuestions) && has_any(record, kAnswers)) ||
                      std::ranges::any_of(kCaptions, is_text);
    return (has_media(record) || kind_of_file(record)) && !has_any(record, kOthers) && says;
  }
  std::set<std::string> keys() const override {
    auto keys = records::keys_beside_turns();
    keys.insert({"question", "context", "texts", "file_name", "answer_weights"});
    keys.insert(kAnswers.begin(), kAnswers.end()), keys.insert(kCaptions.begin(), kCaptions.end());
    keys.insert(answer_keys_.begin(), answer_keys_.end());
    keys.merge(records::piece_keys());
    return keys;
  }
  Sample read(const Json& object, const MediaFolder& folder) const override {
    if (const auto kind = kind_of_file(object)) {
      auto named = object;
      named[to_string(*kind)] = object.at("file_name"), named.erase("file_name");
      return read(named, folder);
    }
    if (!has_media(object)) fail(ErrorKind::data, "the record lists no media under 'image', 'audios' and the like");
    Record record(object, folder);
    const auto questions = questions_of(object), answers = answers_of(object);
    if (questions.size() == 1)
      add(questions[0], agreed(answers), record);
    else if (questions.size() != answers.size())
      fail(ErrorKind::data,
           fmt::format("the record has {} questions and {} answers", questions.size(), answers.size()));
    else
      for (size_t i = 0; i < questions.size(); ++i) add(questions[i], answers[i], record);
    record.media.place_unmarked(record.sample);
    records::read_pieces(object, record.sample);
    records::read_system(record);
    return finished(std::move(record));
  }

 private:
  static void add(const std::string& question, const std::string& answer, Record& record) {
    SampleTurn asked{"user", {}};
    if (!question.empty()) records::add_text(question, false, asked, record);
    record.sample.turns.push_back(std::move(asked));
    record.sample.turns.push_back({"assistant", {{answer}}});
  }
  std::vector<std::string> questions_of(const Json& object) const {
    if (has_pairs(object)) return of_pairs(object, "user");
    for (const char* key : kQuestions)
      if (is_there(object, key)) return texts_in(object.at(key), key);
    return {options_.question};
  }
  std::vector<std::string> answers_of(const Json& object) const {
    if (has_pairs(object)) return of_pairs(object, "assistant");
    for (const auto& key : answer_keys_)
      if (is_there(object, key)) return texts_in(object.at(key), key);
    fail(ErrorKind::data, "the record has no answer, caption or text",
         "name its key: format_options = { answer_key = \"…\" }");
  }
  CaptionedOptions options_;
  std::vector<std::string> answer_keys_;
};

}  // namespace antiphon::captioned

ANTIPHON_PLUGIN(captioned, "0.1.0") {
  using namespace antiphon::captioned;
  antiphon::register_component<antiphon::RecordFormat, Captioned>(
      registrar, "captioned", "media with a text, or with questions and answers, as captioning and VQA data have it",
      captioned_table());
}
