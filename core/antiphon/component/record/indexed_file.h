// Records of a text file by their number, with an index of a few of them: files of any size in little memory.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <antiphon/base/files.h>
#include <antiphon/component/data_source.h>

namespace antiphon::records {

// Cuts a text into records while its bytes come by in order, the first record first.
class RecordCutter {
 public:
  virtual ~RecordCutter() = default;
  // Where the open record ends within these bytes, which go on from those before: at a separator, a byte that belongs
  // to no record. npos if it goes on.
  virtual size_t end_in(std::string_view bytes) = 0;
  // Whether the last record has ended, so that only white space may follow.
  virtual bool finished() const { return false; }
  // Whether a file may end within a record, which is then complete.
  virtual bool may_stop() const { return true; }
};

// Where records stand in a file.
struct RecordSpan {
  uint64_t begin = 0, end = 0;
  bool blank = true;  // nothing but white space: counted in numbers, and no record
};

class IndexedFile : public Records {
 public:
  using MakeCutter = std::unique_ptr<RecordCutter> (*)();
  // Reads the file once, from whose byte `begin` on the cutter cuts, unless an index of it is kept (kept_index.h) under
  // the name `kind` of this cutting. Keeps 24 bytes for each 32 records, or for each 64
  // KiB if these are fewer. Error(data) if there is no record, or if the file ends too early or too late.
  IndexedFile(const std::filesystem::path& path, uint64_t begin, MakeCutter cutter, const std::string& kind);

  std::optional<int64_t> size() const override { return size_; }
  DataRecord record(int64_t index) const override;
  int64_t number(int64_t index) const override;
  std::string fingerprint() const override { return fingerprint_; }  // content_hash() of the file

 private:
  // A record of the index: its place, which of the records it is, and which of these and the blank ones.
  struct Mark {
    uint64_t offset;
    int64_t index, number;
  };
  using Visit = std::function<bool(const RecordSpan&)>;
  class Cutting;
  void index(uint64_t begin);
  bool restore(const std::string& kind);
  void keep(const std::string& kind) const;
  void note(const RecordSpan& span);
  void check_whole(const RecordCutter& cutter, bool more) const;
  size_t mark_of(int64_t index) const;
  std::pair<RecordSpan, int64_t> locate(int64_t index) const;

  OpenFile file_;
  MakeCutter cutter_;
  std::vector<Mark> marks_;
  int64_t size_ = 0, spans_ = 0;
  std::string fingerprint_;
};

// How many bytes of the beginning of a text are its byte order mark.
size_t byte_order_mark(std::string_view text);

}  // namespace antiphon::records
