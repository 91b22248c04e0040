#include "gzip_lines.h"

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/record/indexed_file.h>

#include <algorithm>
#include <charconv>

namespace antiphon::json_lines {
namespace {

constexpr size_t kMostIdle = 16;

struct LinePlace {
  uint64_t offset = 0;
  int64_t lines = 0;
};

LinePlace place_of(const std::string& position) {
  LinePlace place;
  const char *begin = position.data(), *end = begin + position.size();
  const auto offset = std::from_chars(begin, end, place.offset);
  if (!position.empty() && (offset.ptr == end || std::from_chars(offset.ptr + 1, end, place.lines).ptr != end))
    fail(ErrorKind::internal, fmt::format("'{}' is not a position of a packed file's lines", position));
  return place;
}

}  // namespace

// A reader, and what it has read beyond the last line that was taken.
class GzipLines::Cursor {
 public:
  Cursor(const GzipLines& lines, const GzipPlace& from) : lines_(lines), reader_(lines.file_, from), at_(from.text) {}

  uint64_t offset() const { return at_; }  // of the next line
  void skip(uint64_t bytes) {
    while (bytes > 0 && more()) bytes -= take(bytes).size();
  }
  // Without its end; nothing at the end of the file. One byte more than is allowed stands for all of a longer line.
  std::optional<std::string> line() {
    if (!more()) return std::nullopt;
    if (at_ == 0) skip(records::byte_order_mark(rest_));
    std::string line;
    for (bool ended = false; !ended && more();) {
      const auto end = rest_.find('\n');
      ended = end != std::string_view::npos;
      const auto part = take(ended ? end + 1 : rest_.size());
      line.append(part.substr(0, std::min<size_t>(part.size() - ended, kMaxRecordBytes + 1 - line.size())));
    }
    return line;
  }

 private:
  bool more() {
    if (!rest_.empty()) return true;
    rest_ = reader_.next();
    lines_.note(reader_, at_ + rest_.size());
    return !rest_.empty();
  }
  std::string_view take(uint64_t most) {
    const auto part = rest_.substr(0, most);
    rest_.remove_prefix(part.size()), at_ += part.size();
    return part;
  }
  const GzipLines& lines_;
  GzipReader reader_;
  std::string_view rest_;
  uint64_t at_;
};

class GzipLines::Idle {
 public:
  std::unique_ptr<Cursor> take(const GzipLines& lines, uint64_t offset) {
    const std::scoped_lock lock(mutex_);
    const auto found = std::ranges::find_if(
        entries_, [&](const Entry& entry) { return entry.lines == &lines && entry.cursor->offset() == offset; });
    if (found == entries_.end()) return nullptr;
    auto cursor = std::move(found->cursor);
    return entries_.erase(found), std::move(cursor);
  }
  void put(const GzipLines& lines, std::unique_ptr<Cursor> cursor) {
    const std::scoped_lock lock(mutex_);
    entries_.push_back({&lines, std::move(cursor)});
    if (entries_.size() > kMostIdle) entries_.erase(entries_.begin());
  }
  void drop(const GzipLines& lines) {
    const std::scoped_lock lock(mutex_);
    std::erase_if(entries_, [&](const Entry& entry) { return entry.lines == &lines; });
  }

 private:
  struct Entry {
    const GzipLines* lines;
    std::unique_ptr<Cursor> cursor;
  };
  std::mutex mutex_;
  std::vector<Entry> entries_;  // the oldest first
};

std::shared_ptr<GzipLines::Idle> GzipLines::make_idle() { return std::make_shared<Idle>(); }

GzipLines::GzipLines(const std::filesystem::path& path, std::shared_ptr<Idle> idle, size_t most_places, uint64_t apart)
    : file_(path), idle_(std::move(idle)), places_(most_places, apart) {
  places_.add({});
}

GzipLines::~GzipLines() { idle_->drop(*this); }

void GzipLines::note(GzipReader& reader, uint64_t text) const {
  const std::scoped_lock lock(mutex_);
  if (!places_.is_due(text)) return;
  if (auto place = reader.place()) places_.add(std::move(*place));
}

std::unique_ptr<GzipLines::Cursor> GzipLines::cursor_at(uint64_t offset) const {
  if (auto cursor = idle_->take(*this, offset)) return cursor;
  GzipPlace from;
  {
    const std::scoped_lock lock(mutex_);
    from = places_[places_.before(offset)];
  }
  auto cursor = std::make_unique<Cursor>(*this, from);
  cursor->skip(offset - from.text);
  return cursor;
}

std::optional<Records::Step> GzipLines::step(const std::string& position) const {
  auto [offset, lines] = place_of(position);
  auto cursor = cursor_at(offset);
  for (auto line = cursor->line(); line; line = cursor->line()) {
    ++lines;
    if (line->find_first_not_of(" \t\r") == std::string::npos) continue;
    Step step{{std::move(*line), lines}, fmt::format("{} {}", cursor->offset(), lines)};
    idle_->put(*this, std::move(cursor));
    return step;
  }
  return std::nullopt;
}

}  // namespace antiphon::json_lines
