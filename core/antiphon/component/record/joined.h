// Several sets of records, one behind the other.
#pragma once
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include <antiphon/component/data_source.h>

namespace antiphon::records {

// The files as one set, each opened by `open_one`; a single file is that set itself.
template <class Open>
std::unique_ptr<Records> open_joined(const std::vector<std::filesystem::path>& files, const Open& open_one);

// All must have a size and at least one record. Numbers go on from set to set.
class Joined : public Records {
 public:
  explicit Joined(std::vector<std::unique_ptr<Records>> parts);
  std::optional<int64_t> size() const override { return size_; }
  DataRecord record(int64_t index) const override;
  int64_t number(int64_t index) const override;
  std::string fingerprint() const override { return fingerprint_; }

 private:
  struct Part {
    std::unique_ptr<Records> records;
    int64_t first, numbers;  // the index of its first record, and the numbers before it
  };
  const Part& part_of(int64_t index) const;
  std::vector<Part> parts_;
  int64_t size_ = 0;
  std::string fingerprint_;
};

template <class Open>
std::unique_ptr<Records> open_joined(const std::vector<std::filesystem::path>& files, const Open& open_one) {
  if (files.size() == 1) return open_one(files.front());
  std::vector<std::unique_ptr<Records>> parts;
  for (const auto& file : files) parts.push_back(open_one(file));
  return std::make_unique<Joined>(std::move(parts));
}

}  // namespace antiphon::records
