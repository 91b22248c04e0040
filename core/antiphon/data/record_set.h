// The one door to a data set: its records as samples.
#pragma once
#include <antiphon/component/data_source.h>
#include <antiphon/data/options.h>
#include <antiphon/data/record_reader.h>

namespace antiphon::data {

class RecordSet {
 public:
  // Opens the source; "auto" asks the installed plugins by the file's beginning.
  // `candidates`: answers that the objective compares, see RecordReader. Error(data) if the file is missing, holds no
  // sample, if no plugin or more than one reads it, or if no record has a key that is renamed or ignored.
  explicit RecordSet(const SourceOptions& source, int64_t candidates = 1);

  // Logs how many records there are, and what reads them.
  void tell() const;
  const std::filesystem::path& path() const { return path_; }
  int64_t size() const { return size_; }
  // Where sample `index` stands, from 1: its line, or the number of the element.
  int64_t line(int64_t index) const { return records_->number(index); }
  // The sample at this line; nothing if there is none.
  std::optional<int64_t> at_line(int64_t line) const;
  // `draw`: MediaFolder::draw. Error(data) without the place, which the caller adds. Thread-safe.
  Sample sample(int64_t index, uint64_t draw = 0) const;
  // Of the content and of how it is read, to notice on resume that it has changed.
  std::string fingerprint() const;

 private:
  void check_names(const DataSource& source) const;
  std::vector<std::string> look_for(std::set<std::string>& keys) const;
  std::string formats() const;
  std::filesystem::path path_, media_folder_;
  std::string format_, options_, source_options_, read_by_;  // options_: those of the format, if any are given
  std::string limited_;                                      // to how many records, if that is fewer than there are
  std::unique_ptr<Records> records_;
  RecordReader reader_;
  int64_t size_ = 0;
};

// Writes a set by the installed source whose files end as this name does; null if there is none. Error(config) if the
// file cannot be made.
std::unique_ptr<RecordSink> create_set(const std::filesystem::path& path, const std::string& extension);

}  // namespace antiphon::data
