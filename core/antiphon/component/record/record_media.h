// Media that a record names beside its turns ("image", "images", "audio", …), and the marks that stand for them.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <antiphon/component/record_format.h>

namespace antiphon::records {

using Json = nlohmann::ordered_json;

std::optional<Modality> modality_of(std::string_view name);  // "image", "audio", "video"
// What names a medium: the path of Hugging Face's {"path", "bytes": null}, else the value itself.
const Json& path_within(const Json& value);

class RecordMedia {
 public:
  // Error(data) if a list holds anything but paths, or more than a sample may have. `record` is an object.
  RecordMedia(const Json& record, const MediaFolder& folder);

  // Appends to sample.media; returns the index. `name`: a path, a data: URL, or a name that came with the record.
  // Error(data) for addresses of the network, for what no file can be called, and beyond 4,096 media.
  int64_t add(Sample& sample, Modality modality, const std::string& name, std::string stream = {}) const;
  // A user's text as parts: the k-th <image> takes the k-th path of its kind. Marks of kinds without a list are text.
  // `drop_line_end`: a line end right after a mark is not part of the text (LLaVA).
  void add_text(std::string_view text, bool drop_line_end, SampleTurn& turn, Sample& sample);
  // From now on an <image> in a text marks a video, as in LLaVA-Video's data; nothing if other media are listed, or no
  // videos.
  void mark_videos_as_images();
  // The next path of the kind; nullopt if the record lists none. Error(data) if all are taken.
  std::optional<int64_t> take(Modality modality, Sample& sample);
  // Media of kinds without a mark go before the first user turn (ms-swift).
  void place_unmarked(Sample& sample);
  // Error(data) unless every path was taken.
  void check_all_taken() const;

 private:
  struct Kind {
    Modality modality;
    std::string mark;                // "<image>"
    std::vector<std::string> paths;  // if the record has such a list
    size_t next = 0;
    bool listed = false;
    size_t at = 0;  // of its next mark in the text that is being split
  };
  int64_t take_next(Kind& kind, Sample& sample);
  const MediaFolder& folder_;
  std::vector<Kind> kinds_;
};

}  // namespace antiphon::records
