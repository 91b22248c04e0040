// Records whose media lie in tar archives.
#pragma once
#include <memory>

#include <antiphon/component/data_source.h>
#include <antiphon/component/record/tar_index.h>

namespace antiphon::json_lines {

// Each text in a record that is the name of a member stands for that member. NeMo's names of pieces, "a-sub2.wav", are
// those of "a.wav".
class WithArchives : public Records {
 public:
  WithArchives(std::unique_ptr<Records> records, records::TarIndex index);
  std::optional<int64_t> size() const override { return records_->size(); }
  DataRecord record(int64_t index) const override;
  int64_t number(int64_t index) const override { return records_->number(index); }
  std::string fingerprint() const override;

 private:
  std::unique_ptr<Records> records_;
  records::TarIndex index_;
};

}  // namespace antiphon::json_lines
