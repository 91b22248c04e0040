// Records whose media lie in tar archives.
#pragma once
#include <memory>
#include <string>

#include <antiphon/component/data_source.h>
#include <antiphon/component/record/tar_index.h>

namespace antiphon::records {

// Each text in a record that is the name of a member stands for that member. NeMo's names of pieces, "a-sub2.wav", are
// those of "a.wav".
class WithArchives : public Records {
 public:
  WithArchives(std::unique_ptr<Records> records, TarIndex index);
  std::optional<int64_t> size() const override { return records_->size(); }
  DataRecord record(int64_t index) const override;
  int64_t number(int64_t index) const override { return records_->number(index); }
  std::string fingerprint() const override;

 private:
  std::unique_ptr<Records> records_;
  TarIndex index_;
};

// `archives`: a pattern of tar files (files_of()); empty: the records as they are.
std::unique_ptr<Records> with_archives(std::unique_ptr<Records> records, const std::string& archives);

}  // namespace antiphon::records
