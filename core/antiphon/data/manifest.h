// A file of JSON records, one per line or all in one list, with random access to its samples.
#pragma once
#include <antiphon/base/error.h>
#include <antiphon/data/sample.h>

namespace antiphon::data {

class Manifest {
 public:
  // Finds the records; parses none. Error(data) if the file is missing, has no record, or is a list that does not end.
  explicit Manifest(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  int64_t size() const { return static_cast<int64_t>(records_.size()); }
  // Line number of sample `index` in the file, from 1; in a list, the number of the element.
  int64_t line(int64_t index) const { return records_[static_cast<size_t>(index)].number; }
  // Error(data) without the place, which the caller adds. Thread-safe.
  Sample sample(int64_t index) const;
  // Hash of the whole file, to notice on resume that it has changed.
  const std::string& fingerprint() const { return fingerprint_; }

 private:
  struct Record {
    size_t begin, size;
    int64_t number;
  };
  std::filesystem::path path_;
  std::string bytes_, fingerprint_;
  std::vector<Record> records_;
};

}  // namespace antiphon::data
