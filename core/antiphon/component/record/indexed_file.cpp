#include <antiphon/component/record/indexed_file.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/record/kept_index.h>

#include <algorithm>

namespace antiphon::records {
namespace {

constexpr std::string_view kBlank = " \t\r\n";
constexpr int64_t kRecordsPerMark = 32;
constexpr uint64_t kBytesPerMark = 64 << 10;
constexpr uint64_t kPassBlock = 1 << 20, kLookBlock = 64 << 10;  // read at once: all of a file, some records

bool is_blank(std::string_view text) { return text.find_first_not_of(kBlank) == std::string_view::npos; }

}  // namespace

size_t byte_order_mark(std::string_view text) { return text.starts_with("\xEF\xBB\xBF") ? 3 : 0; }

// Cuts a file from a record on, in pieces.
class IndexedFile::Cutting {
 public:
  Cutting(std::unique_ptr<RecordCutter> cutter, uint64_t at) : cutter_(std::move(cutter)), at_(at), span_{at, at} {}

  const RecordCutter& cutter() const { return *cutter_; }
  bool more() const { return more_; }  // something follows the last record

  // Visits the records that end in these bytes, which follow those before; false once a visit is.
  bool feed(std::string_view bytes, const Visit& visit) {
    while (!bytes.empty()) {
      if (cutter_->finished()) return more_ |= !is_blank(bytes), true;
      const auto end = cutter_->end_in(bytes);
      const auto part = bytes.substr(0, end);
      span_.blank = span_.blank && is_blank(part);
      at_ += part.size();
      if (end == std::string_view::npos) return true;
      span_.end = at_++;
      if (!visit(span_)) return false;
      span_ = {at_, at_};
      bytes.remove_prefix(end + 1);
    }
    return true;
  }
  // The last record, if the file ends with it.
  void finish(const Visit& visit) {
    span_.end = at_;
    if (!cutter_->finished() && span_.begin < span_.end) visit(span_);
  }

 private:
  std::unique_ptr<RecordCutter> cutter_;
  uint64_t at_;
  RecordSpan span_;
  bool more_ = false;
};

IndexedFile::IndexedFile(const std::filesystem::path& path, uint64_t begin, MakeCutter cutter, const std::string& kind)
    : file_(path, ErrorKind::data), cutter_(cutter) {
  if (restore(kind)) return;
  index(begin);
  keep(kind);
}

// The counts, then the marks. False if there is none, or if it cannot be one of this file.
bool IndexedFile::restore(const std::string& kind) {
  constexpr size_t kCounts = 2, kOfMark = 3;
  const auto kept = kept_index({file_.path()}, kind);
  if (!kept || kept->numbers.size() < kCounts + kOfMark || (kept->numbers.size() - kCounts) % kOfMark) return false;
  const auto& numbers = kept->numbers;
  for (size_t i = kCounts; i < numbers.size(); i += kOfMark) {
    const Mark mark{static_cast<uint64_t>(numbers[i]), numbers[i + 1], numbers[i + 2]};
    const bool follows = marks_.empty() ? mark.index == 0 : mark.index > marks_.back().index;
    if (!follows || mark.index >= numbers[0] || mark.offset >= file_.size()) return marks_.clear(), false;
    marks_.push_back(mark);
  }
  size_ = numbers[0], spans_ = numbers[1], fingerprint_ = kept->fingerprint;
  return true;
}

void IndexedFile::keep(const std::string& kind) const {
  KeptIndex index{fingerprint_, {size_, spans_}};
  for (const auto& mark : marks_)
    index.numbers.insert(index.numbers.end(), {static_cast<int64_t>(mark.offset), mark.index, mark.number});
  keep_index({file_.path()}, kind, index);
}

void IndexedFile::index(uint64_t begin) {
  ContentHash hash;
  Cutting cutting(cutter_(), begin);
  const Visit visit = [this](const RecordSpan& span) { return note(span), true; };
  for (uint64_t at = 0; at < file_.size();) {
    const auto bytes = file_.read(at, kPassBlock);
    hash.add(bytes);
    cutting.feed(std::string_view(bytes).substr(std::min<uint64_t>(bytes.size(), begin > at ? begin - at : 0)), visit);
    at += bytes.size();
  }
  cutting.finish(visit);
  check_whole(cutting.cutter(), cutting.more());
  fingerprint_ = hash.digits();
}

void IndexedFile::note(const RecordSpan& span) {
  ++spans_;
  if (span.blank) return;
  const bool due = marks_.empty() || size_ - marks_.back().index >= kRecordsPerMark ||
                   span.begin - marks_.back().offset >= kBytesPerMark;
  if (due) marks_.push_back({span.begin, size_, spans_});
  ++size_;
}

void IndexedFile::check_whole(const RecordCutter& cutter, bool more) const {
  const auto name = shown(file_.path().string());
  if (!cutter.finished() && !cutter.may_stop())
    fail(ErrorKind::data, fmt::format("{} is a list that does not end; {} records were found", name, size_),
         "fetch it again, or mend it");
  if (more)
    fail(ErrorKind::data, fmt::format("{} goes on after the end of its list of {} records", name, size_),
         "write one list, or one record a line");
  if (size_ == 0)
    fail(ErrorKind::data, fmt::format("{} holds no samples", name),
         "each line, or each element of one list, is a JSON object, see docs/data.md");
}

size_t IndexedFile::mark_of(int64_t index) const {
  const auto after = std::ranges::upper_bound(marks_, index, {}, &Mark::index);
  return static_cast<size_t>(after - marks_.begin()) - 1;
}

// The span of a record, and its number.
std::pair<RecordSpan, int64_t> IndexedFile::locate(int64_t index) const {
  const auto& mark = marks_[mark_of(index)];
  std::pair<RecordSpan, int64_t> found;
  int64_t here = mark.index, number = mark.number;
  const Visit visit = [&](const RecordSpan& span) {
    found = {span, number++};
    return span.blank || here++ != index;
  };
  Cutting cutting(cutter_(), mark.offset);
  for (uint64_t at = mark.offset; at < file_.size();) {
    const auto bytes = file_.read(at, kLookBlock);
    if (!cutting.feed(bytes, visit)) return found;
    at += bytes.size();
  }
  cutting.finish(visit);
  return found;
}

DataRecord IndexedFile::record(int64_t index) const {
  const auto [span, number] = locate(index);
  const auto size = span.end - span.begin;
  if (size > kMaxRecordBytes)
    fail(ErrorKind::data, fmt::format("the record has {}; at most {} are allowed",
                                      human_bytes(static_cast<double>(size)), human_bytes(kMaxRecordBytes)));
  return {file_.read(span.begin, size), number};
}

// Without a look at the file if there are no blank lines near the record.
int64_t IndexedFile::number(int64_t index) const {
  const auto at = mark_of(index);
  const auto& mark = marks_[at];
  const bool last = at + 1 == marks_.size();
  const int64_t records = (last ? size_ : marks_[at + 1].index) - mark.index;
  const int64_t spans = (last ? spans_ + 1 : marks_[at + 1].number) - mark.number;
  return records == spans ? mark.number + index - mark.index : locate(index).second;
}

}  // namespace antiphon::records
