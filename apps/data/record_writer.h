// Where converted records go: lines or a list with media beside them, archives or tables with media in them, a folder
// of lines and archives.
#pragma once
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <antiphon/component/sample.h>
#include <antiphon/data/options.h>
#include <nlohmann/json.hpp>

namespace antiphon::apps {

class RecordWriter {
 public:
  virtual ~RecordWriter() = default;
  // The sample that comes next.
  virtual void begin(const Sample& /*sample*/) {}
  // The medium's name in the record that follows.
  virtual std::string add(const MediaRef& ref) = 0;
  virtual void add_record(const nlohmann::ordered_json& record) = 0;
  // Whether all records must be of the same types, and are said before any is written: all of them are added twice.
  virtual bool is_table() const { return false; }
  // Between the two times.
  virtual void all_said() {}
  // What was written, under temporary names, beside the names that it gets.
  struct File {
    std::filesystem::path temporary, path;
    size_t count = 1;  // of files, if it is a folder
  };
  // How one of them is read.
  virtual data::SourceOptions source_of(const File& file) const { return {file.temporary.string()}; }
  virtual std::vector<File> finish() = 0;
  // Removes all that was written, after an error.
  virtual void discard() noexcept = 0;
};

// By the extension of `out`: .jsonl, .json (one list), .tar with at most `shard_samples` in each archive (0: one
// archive; else "out" is numbered, pairs-000000.tar), or what an installed data source writes. A name that ends in "/"
// is a folder of archives beside their lines, as programs that read `layout` have it. Error(config) for other names,
// and if anything is there already.
std::unique_ptr<RecordWriter> make_writer(const std::string& out, const std::string& layout, int64_t shard_samples);

}  // namespace antiphon::apps
