// Where converted records go: lines or a list with media beside them, archives or tables with media in them.
#pragma once
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <antiphon/component/sample.h>

namespace antiphon::apps {

class RecordWriter {
 public:
  virtual ~RecordWriter() = default;
  // The medium's name in the record that follows.
  virtual std::string add(const MediaRef& ref) = 0;
  virtual void add_record(const std::string& json) = 0;
  // Whether all records must be of the same types, and are said before any is written: all of them are added twice.
  virtual bool is_table() const { return false; }
  // Between the two times.
  virtual void all_said() {}
  // What was written, under temporary names, beside the names that it gets.
  struct File {
    std::filesystem::path temporary, path;
  };
  virtual std::vector<File> finish() = 0;
  // Removes all that was written, after an error.
  virtual void discard() noexcept = 0;
};

// By the extension of `out`: .jsonl, .json (one list), .tar with at most `shard_samples` in each archive (0: one
// archive; else "out" is numbered, pairs-000000.tar), or what an installed data source writes. Error(config) for other
// extensions, and if anything is there already.
std::unique_ptr<RecordWriter> make_writer(const std::filesystem::path& out, int64_t shard_samples);

}  // namespace antiphon::apps
