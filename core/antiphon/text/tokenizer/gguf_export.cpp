#include <antiphon/text/tokenizer/gguf_export.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/gguf.h>
#include <antiphon/text/tokenizer/gguf_pre.h>
#include <antiphon/text/tokenizer/gguf_tokenizer.h>
#include <antiphon/text/tokenizer/piece_table.h>
#include <antiphon/text/tokenizer/token_spelling.h>
#include <antiphon/text/tokenizer/tokenizer_source.h>

namespace antiphon::text {
namespace {

using nlohmann::json;

[[noreturn]] void refuse_vocabulary(const TokenizerSource& source, const std::string& what) {
  fail(ErrorKind::config, fmt::format("the tokenizer of {} has no GGUF form: {}", source.name, what),
       "export a Hugging Face directory: leave --format out");
}

// The steps of a pre-tokenizer as gguf_pre.h has them.
GgufPre steps_of(const TokenizerSource& source) {
  GgufPre steps;
  auto list = source.file["pre_tokenizer"];
  list = list["type"] == "Sequence" ? list["pretokenizers"] : json::array({list});
  for (const auto& step : list) {
    if (step["type"] == "Split" && step["pattern"].contains("Regex"))
      steps.patterns.push_back(step["pattern"]["Regex"].get<std::string>());
    else if (step["type"] == "Digits" && step.value("individual_digits", false))
      steps.patterns.emplace_back(R"(\p{N})");
    else if (step["type"] == "ByteLevel" && !step.value("add_prefix_space", true))
      steps.then_gpt2 = step.value("use_regex", true);
    else
      refuse_vocabulary(source, fmt::format("its pre-tokenizer has the step {}", step.dump()));
  }
  const auto normalizer = source.file.value("normalizer", json());
  steps.nfc = normalizer.is_object() && normalizer["type"] == "NFC";
  if (!normalizer.is_null() && !steps.nfc) refuse_vocabulary(source, "it has a normalizer");
  return steps;
}

// Whether a post-processor, or one of a list of them, puts a special token before a text (TemplateProcessing).
bool begins_with(const json& processor, const json& token) {
  const auto text = token.is_object() ? token.value("content", json()) : token;
  if (!processor.is_object() || !text.is_string()) return false;
  for (const auto& part : processor.value("processors", json::array()))
    if (begins_with(part, token)) return true;
  const auto single = processor.value("single", json::array());
  if (!single.is_array() || single.empty() || !single[0].is_object()) return false;
  return single[0].value("SpecialToken", json::object()).value("id", json()) == text;
}

void name_ids(const TokenizerSource& source, GgufVocabulary& out) {
  const std::map<std::string, int64_t> by_token = [&] {
    std::map<std::string, int64_t> made;
    for (size_t id = 0; id < out.tokens.size(); ++id) made[out.tokens[id]] = static_cast<int64_t>(id);
    return made;
  }();
  for (const auto& [name, key] :
       {std::pair("bos_token", "bos_token_id"), std::pair("eos_token", "eos_token_id"),
        std::pair("unk_token", "unknown_token_id"), std::pair("pad_token", "padding_token_id")}) {
    const auto value = source.config.value(name, json());
    const auto text = value.is_object() ? value.value("content", json()) : value;
    if (!text.is_string()) continue;
    if (const auto found = by_token.find(text.get<std::string>()); found != by_token.end())
      out.ids[key] = found->second;
  }
  const auto said = source.config.find("add_bos_token");
  out.add_bos =
      said != source.config.end() && said->is_boolean()
          ? said->get<bool>()
          : begins_with(source.file.value("post_processor", json()), source.config.value("bos_token", json()));
  out.add_eos = source.config.value("add_eos_token", json(false)) == true;
}

class VocabularyWriter {
 public:
  VocabularyWriter(const TokenizerSource& source, size_t rows) : source_(source), rows_(rows) {}

  GgufVocabulary run() {
    const auto& model = source_.file["model"];
    if (model.value("type", "BPE") != "BPE" || !model.contains("merges"))
      refuse_vocabulary(source_, "it is not BPE with merges");
    if (model.contains("end_of_word_suffix") && !model["end_of_word_suffix"].is_null() &&
        model["end_of_word_suffix"] != "")
      refuse_vocabulary(source_, "its words end with " + model["end_of_word_suffix"].dump());
    for (const auto& [token, id] : model["vocab"].items()) put(token, id.get<size_t>(), PieceKind::normal);
    for (const auto& token : source_.file["added_tokens"])
      put(token["content"].get<std::string>(), token["id"].get<size_t>(),
          token.value("special", false) ? PieceKind::control : PieceKind::user_defined);
    fill();
    for (const auto& merge : model["merges"])
      out_.merges.push_back(merge.is_array() ? merge[0].get<std::string>() + " " + merge[1].get<std::string>()
                                             : merge.get<std::string>());
    model.value("byte_fallback", false) ? over_characters() : over_bytes();
    name_ids(source_, out_);
    return std::move(out_);
  }

 private:
  void put(const std::string& token, size_t id, PieceKind kind) {
    if (id >= rows_)
      refuse_vocabulary(source_, fmt::format("\"{}\" has the id {}, and the embedding {} rows", token, id, rows_));
    if (id >= out_.tokens.size()) out_.tokens.resize(id + 1), out_.types.resize(id + 1);
    out_.tokens[id] = token;
    out_.types[id] = static_cast<int32_t>(kind);
  }
  void fill() {
    out_.tokens.resize(rows_), out_.types.resize(rows_);
    for (size_t id = 0; id < rows_; ++id)
      if (out_.tokens[id].empty()) put(fmt::format("[PAD{}]", id), id, PieceKind::unused);
  }
  void over_bytes() {
    out_.model = "gpt2";
    auto steps = steps_of(source_);
    steps.ignore_merges = source_.file["model"].value("ignore_merges", false);
    out_.pre = gguf_pre_name(steps);
    if (out_.pre.empty()) refuse_vocabulary(source_, "llama.cpp has no name for how it cuts words");
  }
  // A token's score falls with the place of the first merge that makes it, so that the same pairs join first.
  void over_characters() {
    out_.model = "llama";
    out_.scores.assign(rows_, -1e9F);
    std::map<std::string, float> place;
    for (const auto& merge : out_.merges) {
      const auto space = merge.find(' ');
      place.emplace(merge.substr(0, space) + merge.substr(space + 1), -static_cast<float>(place.size()));
    }
    for (size_t id = 0; id < rows_; ++id) {
      if (const auto found = place.find(out_.tokens[id]); found != place.end()) out_.scores[id] = found->second;
      if (named_byte(out_.tokens[id]) >= 0) out_.types[id] = static_cast<int32_t>(PieceKind::byte);
      if (out_.tokens[id] == source_.config.value("unk_token", json("<unk>")) || out_.tokens[id] == "<unk>")
        out_.types[id] = static_cast<int32_t>(PieceKind::unknown);
    }
    out_.merges.clear();
    const auto& words = source_.file["pre_tokenizer"];
    const auto normalizer = source_.file.value("normalizer", json()).dump();
    out_.add_space_prefix = words.is_object() ? words.value("prepend_scheme", "always") != "never"
                                              : normalizer.find("Prepend") != std::string::npos;
  }

  const TokenizerSource& source_;
  size_t rows_;
  GgufVocabulary out_;
};

GgufVocabulary of_table(const TokenizerSource& source, const PieceTable& table, size_t rows) {
  if (table.unigram) refuse_vocabulary(source, "it is Unigram");
  if (table.pieces.size() > rows)
    refuse_vocabulary(source, fmt::format("it has {} tokens, and the embedding {} rows", table.pieces.size(), rows));
  GgufVocabulary out{.model = "llama"};
  out.add_space_prefix = table.add_dummy_prefix;
  for (size_t id = 0; id < rows; ++id) {
    const bool there = id < table.pieces.size();
    out.tokens.push_back(there ? table.pieces[id].text : fmt::format("[PAD{}]", id));
    out.scores.push_back(there ? table.pieces[id].score : -1e9F);
    out.types.push_back(static_cast<int32_t>(there ? table.pieces[id].kind : PieceKind::unused));
  }
  for (const auto& token : source.file["added_tokens"])
    if (const auto id = token["id"].get<size_t>(); id >= table.pieces.size() && id < rows) {
      out.tokens[id] = token["content"].get<std::string>();
      out.types[id] =
          static_cast<int32_t>(token.value("special", false) ? PieceKind::control : PieceKind::user_defined);
    }
  name_ids(source, out);
  return out;
}

}  // namespace

GgufVocabulary gguf_vocabulary(const std::filesystem::path& place, int64_t rows) {
  const bool is_file = is_gguf(place);
  const auto files = is_file ? Tokenizer::Files{} : tokenizer_files(place);
  auto source = is_file ? gguf_tokenizer(place) : tokenizer_source(files);
  if (source.name.ends_with("(SentencePiece)"))
    return of_table(source, read_sentencepiece(files.other, files.other_name), static_cast<size_t>(rows));
  return VocabularyWriter(source, static_cast<size_t>(rows)).run();
}

}  // namespace antiphon::text
