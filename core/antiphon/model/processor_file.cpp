#include <antiphon/model/processor_file.h>

#include <antiphon/component/pretrained.h>

namespace antiphon::model {
namespace {

// Tables of other readers; what a class is called; names of tokens and counts of places, which follow from the
// tokenizer's files and the tower.
const ForeignKeys& known() {
  static const auto* keys = new ForeignKeys{
      .other = {"image_processor", "feature_extractor", "video_processor", "audio_processor", "processor_class",
                "_processor_class", "auto_map", "image_token", "image_break_token", "image_end_token", "video_token",
                "audio_token", "audio_bos_token", "audio_eos_token", "num_additional_image_tokens", "image_seq_len",
                "image_seq_length", "blank_token", "decoder_type"}};
  return *keys;
}

// Accepts what config.json says; anything if it does not say it.
void add(ForeignKeys& keys, const std::string& key, const nlohmann::json* value, const std::string& place) {
  if (value)
    keys.fixed.push_back({key, {*value}, "config.json's " + place + " is what the tensors are for: correct the file"});
  else
    keys.other.push_back(key);
}

}  // namespace

void check_processor_file(const JsonTable& processor, const JsonTable& config) {
  if (!processor.exists()) return;
  auto keys = known();
  const auto tower = config.table("vision_config");
  add(keys, "patch_size", tower.find("patch_size"), "vision_config.patch_size");
  for (const char* key : {"spatial_merge_size", "vision_feature_select_strategy"})
    add(keys, key, config.find(key), key);
  check_keys(processor, keys);
}

}  // namespace antiphon::model
