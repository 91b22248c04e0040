// Where the records of a data set are: lines of a file, elements of a list, members of an archive, rows of a table.
// What a record says is a record format's business (record_format.h).
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <antiphon/component/kind.h>
#include <antiphon/component/media_bytes.h>

namespace antiphon {

struct DataRecord {
  std::string bytes;   // JSON
  int64_t number = 0;  // where it stands, for messages: the line, element or row, from 1
  // Media that come with the record, by the names that it may use for them; other names are files.
  std::map<std::string, MediaBytes> media = {};
  bool closed = false;  // other names are none: what an archive says may not name files of the machine
};

// A record is JSON of at most 16 MiB: longer ones are an Error(data), or, of step(), are cut to one byte more.
constexpr uint64_t kMaxRecordBytes = 16 << 20;

// An open data set: either with a size and records by number, or with steps from its beginning to its end. Thread-safe.
// An Error(data) of record() concerns that record, which is then skipped; errors of other kinds, and of step(), end the
// run.
class Records {
 public:
  virtual ~Records() = default;
  // Nothing if it can only be read from its beginning to its end.
  virtual std::optional<int64_t> size() const = 0;
  // Record `index` of size(), and where it stands, which costs less.
  virtual DataRecord record(int64_t index) const;
  virtual int64_t number(int64_t index) const;
  // Without a size: the record at a position and the position after it. Positions are texts of the source's own, "" the
  // beginning; what was read to a position goes on from there in another process. Nothing at the end. A run goes
  // through all records once when it begins, and later to any of those positions (record/stepped.h).
  struct Step {
    DataRecord record;
    std::string next;
  };
  virtual std::optional<Step> step(const std::string& position) const;
  // Of the content: another one if any record has changed.
  virtual std::string fingerprint() const = 0;
};

// The beginning of a file: at most so many bytes of it. None if it is a folder, or a pattern of the source's own.
constexpr uint64_t kFileStartBytes = 64 << 10;
struct FileStart {
  const std::filesystem::path& path;
  std::string_view bytes;
};

// Writes a set anew: every record is described, then every record is added, in the same order.
class RecordSink {
 public:
  virtual ~RecordSink() = default;
  // What the set will hold. Media have their names alone.
  virtual void describe(const DataRecord& record) = 0;
  // Error(data) for what the form cannot hold; Error(config) if the file cannot be written.
  virtual void add(const DataRecord& record) = 0;
  // Without it, what was written is not a set.
  virtual void finish() = 0;
};

class DataSource {
 public:
  virtual ~DataSource() = default;
  // Whether it reads such a file. At most one of all sources should.
  virtual bool recognises(const FileStart& start) const = 0;
  // Error(data) if the file is missing or is not of its kind. May read all of it once, and keeps little of it.
  virtual std::unique_ptr<Records> open(const std::filesystem::path& path) const = 0;
  // The same set for one who wants none of these keys: a source of columns need not read them. Records may have them.
  virtual std::unique_ptr<Records> open_without(const std::filesystem::path& path,
                                                const std::set<std::string>& ignored) const;
  // The keys that records of the set may have, if they are known without reading any: the columns of a table.
  virtual std::optional<std::set<std::string>> columns(const std::filesystem::path& path) const;
  // Sets that it writes have names that end so (".parquet"); empty: it writes none.
  virtual std::string written_extension() const { return {}; }
  // Error(config) if the file cannot be made. Called only if it has an extension of its own.
  virtual std::unique_ptr<RecordSink> create(const std::filesystem::path& path) const;
};

template <>
struct KindOf<DataSource> : Kind<> {
  static constexpr const char* name = "data_source";
};

}  // namespace antiphon
