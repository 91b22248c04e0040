// Documents: text with pictures between, which a model learns to go on with.
//   {"texts": ["…", null], "images": [null, "a.png"]}: one of both at each place
//   {"text_list": ["…"], "image_info": [{"image_name", "matched_text_index", "matched_sim"?}]}: each picture before the
//   sentence that it belongs to, or after it, sentences with a space between
//   {"text": "…"}: without pictures, if the format is named
//
// Sources: Laurençon et al. 2023 (OBELICS); Zhu et al. 2023 (Multimodal C4); open_flamingo, train/data.py (the order);
// NeMo, collections/multimodal/data/energon (image_following_text: pictures after their sentence).
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/record/record_keys.h>
#include <antiphon/component/record/turns.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>
#include <map>

namespace antiphon::interleaved {
namespace {

using records::has_list;
using records::Json;
using records::list_at;

struct InterleavedOptions {
  double least_similarity = -1;
  std::string pictures = "before";
};

const config::Table<InterleavedOptions>& interleaved_table() {
  using O = InterleavedOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("interleaved")
          .field("least_similarity", &O::least_similarity,
                 "pictures whose matched_sim with their sentence is less are left out (0.24 in OpenFlamingo)",
                 {.min = -1, .max = 1})
          .field("pictures", &O::pictures, "where pictures stand that belong to a sentence: before it or after it",
                 {.choices = {"before", "after"}}));
  return *table;
}

std::string string_in(const Json& value, const char* key) {
  if (!value.is_string()) fail(ErrorKind::data, fmt::format("'{}' lists something that is not text", key));
  return value.get<std::string>();
}

bool is_plain_text(const Json& record) {
  const auto text = record.find("text");
  return text != record.end() && text->is_string() && !has_list(record, "text_list");
}

// Not pairs of a question and its answer.
bool has_places(const Json& record) {
  return has_list(record, "texts") && has_list(record, "images") &&
         std::ranges::none_of(record.at("texts"), [](const Json& text) { return text.is_object(); });
}

// A document that is being read.
struct Document {
  const records::RecordMedia media;
  Sample sample = {};
  SampleTurn turn{"document", {}};

  void add_text(std::string text) {
    if (!text.empty()) turn.parts.push_back({std::move(text)});
  }
  void add_picture(const std::string& path) { turn.parts.push_back({{}, media.add(sample, Modality::image, path)}); }
};

void read_places(const Json& record, Document& document) {
  const auto &texts = list_at(record, "texts"), &pictures = list_at(record, "images");
  if (texts.size() != pictures.size())
    fail(ErrorKind::data,
         fmt::format("the record has {} texts and {} images; each place has one of both, and null for the other",
                     texts.size(), pictures.size()));
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].is_null() == pictures[i].is_null())
      fail(ErrorKind::data, fmt::format("place {} has {}; expected a text or an image", i,
                                        texts[i].is_null() ? "neither a text nor an image" : "both"));
    if (texts[i].is_null())
      document.add_picture(string_in(records::path_within(pictures[i]), "images"));
    else
      document.add_text(string_in(texts[i], "texts"));
  }
}

// The paths of pictures, by the number of their sentence.
std::multimap<int64_t, std::string> matched(const Json& record, size_t sentences, double least,
                                            std::set<std::string>& unread) {
  std::multimap<int64_t, std::string> all;
  for (const auto& picture : list_at(record, "image_info")) {
    if (!picture.is_object()) fail(ErrorKind::data, "'image_info' lists something that is not an object");
    records::check_keys(picture, {"image_name", "raw_url", "matched_text_index", "matched_sim", "face_detections"},
                        "image_info: ", unread);
    const auto& name = records::text_of(picture, "image_name", "a picture of 'image_info'");
    const auto index = picture.find("matched_text_index"), similar = picture.find("matched_sim");
    if (index == picture.end() || !index->is_number_integer() || index->get<int64_t>() < 0 ||
        index->get<int64_t>() >= static_cast<int64_t>(sentences))
      fail(ErrorKind::data,
           fmt::format("'matched_text_index' of a picture is not the number of one of {} sentences", sentences));
    if (similar != picture.end() && !similar->is_number())
      fail(ErrorKind::data, "'matched_sim' of a picture is not a number");
    if (similar == picture.end() || similar->get<double>() >= least) all.emplace(index->get<int64_t>(), name);
  }
  return all;
}

void read_sentences(const Json& record, const InterleavedOptions& options, Document& document) {
  const auto& sentences = list_at(record, "text_list");
  const auto pictures = matched(record, sentences.size(), options.least_similarity, document.sample.unread);
  for (size_t i = 0; i < sentences.size(); ++i) {
    if (i > 0) document.add_text(" ");
    const auto sentence = string_in(sentences[i], "text_list");
    if (options.pictures == "after") document.add_text(sentence);
    const auto [first, last] = pictures.equal_range(static_cast<int64_t>(i));
    for (auto it = first; it != last; ++it) document.add_picture(it->second);
    if (options.pictures == "before") document.add_text(sentence);
  }
}

}  // namespace

class Interleaved : public RecordFormat {
 public:
  explicit Interleaved(const InterleavedOptions& options) : options_(options) {}
  std::string expects() const override {
    return "lists 'texts' and 'images', or 'text_list' and 'image_info', or, if the format is named, a 'text' alone";
  }
  // A text alone may have lost what it belongs to.
  bool recognises(const Json& record) const override {
    return has_places(record) || (has_list(record, "text_list") && has_list(record, "image_info"));
  }
  std::set<std::string> keys() const override {
    return {"text",
            "texts",
            "images",
            "metadata",
            "general_metadata",
            "text_list",
            "image_info",
            "similarity_matrix",
            "could_have_url_duplicate"};
  }
  Sample read(const Json& record, const MediaFolder& folder) const override {
    static const Json no_lists = Json::object();  // of paths beside turns
    Document document{records::RecordMedia(no_lists, folder)};
    if (has_list(record, "texts"))
      read_places(record, document);
    else if (is_plain_text(record))
      document.add_text(record.at("text").get<std::string>());
    else
      read_sentences(record, options_, document);
    if (document.turn.parts.empty()) fail(ErrorKind::data, "the document is empty");
    document.sample.turns.push_back(std::move(document.turn));
    return std::move(document.sample);
  }

 private:
  InterleavedOptions options_;
};

}  // namespace antiphon::interleaved

ANTIPHON_PLUGIN(interleaved, "0.1.0") {
  using namespace antiphon::interleaved;
  antiphon::register_component<antiphon::RecordFormat, Interleaved>(
      registrar, "interleaved", "documents of text with pictures between, as OBELICS and MMC4 have them",
      interleaved_table());
}
