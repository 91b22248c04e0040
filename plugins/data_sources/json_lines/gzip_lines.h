// Lines of a gzip file, one after the other: Lhotse and others keep their manifests as .jsonl.gz.
#pragma once
#include <memory>
#include <mutex>
#include <string>

#include <antiphon/component/data_source.h>
#include <antiphon/component/record/thinned_places.h>

#include "gzip_reader.h"

namespace antiphon::json_lines {

// A position is the number of bytes of the text before it and the number of its lines. Places of the file are kept,
// from which lines are reached, `apart` bytes of text or more from one to the next; every second one is forgotten if
// they are more than `most_places`, of 32 KiB each.
class GzipLines : public Records {
 public:
  // Readers that stand behind lines that were read, for the next ones: at most 16 of 170 KiB, of all files of a set.
  class Idle;
  static std::shared_ptr<Idle> make_idle();
  // Error(data) if the file is missing.
  explicit GzipLines(const std::filesystem::path& path, std::shared_ptr<Idle> idle = make_idle(),
                     size_t most_places = 1024, uint64_t apart = 1 << 20);
  ~GzipLines() override;
  std::optional<int64_t> size() const override { return std::nullopt; }
  std::optional<Step> step(const std::string& position) const override;
  std::string fingerprint() const override { return file_.hash(); }  // of the file as it is packed

 private:
  class Cursor;
  std::unique_ptr<Cursor> cursor_at(uint64_t offset) const;
  void note(GzipReader& reader, uint64_t text) const;

  HashedFile file_;
  std::shared_ptr<Idle> idle_;
  mutable std::mutex mutex_;
  mutable records::ThinnedPlaces<GzipPlace, &GzipPlace::text> places_;  // the beginning, and others
};

}  // namespace antiphon::json_lines
