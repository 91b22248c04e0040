#include "cursors.h"

#include <utility>

namespace antiphon::parquet_table {

std::unique_ptr<Cursor> Cursors::take(const TableFile& table, int group, int64_t row) {
  std::scoped_lock lock(mutex_);
  auto best = kept_.end();
  for (auto it = kept_.begin(); it != kept_.end(); ++it)
    if ((*it)->table == &table && (*it)->group == group && (*it)->begin <= row &&
        (best == kept_.end() || (*it)->begin > (*best)->begin))
      best = it;
  if (best == kept_.end()) return nullptr;
  auto cursor = std::move(*best);
  kept_.erase(best);
  return cursor;
}

void Cursors::keep(std::unique_ptr<Cursor> cursor) {
  std::scoped_lock lock(mutex_);
  kept_.push_front(std::move(cursor));
  while (kept_.size() > 1 && counted_.bytes_allocated() > kept_bytes_) kept_.pop_back();
}

void Cursors::close(const TableFile& table) {
  std::scoped_lock lock(mutex_);
  kept_.remove_if([&](const auto& cursor) { return cursor->table == &table; });
}

void Cursors::close_all() {
  std::scoped_lock lock(mutex_);
  kept_.clear();
}

}  // namespace antiphon::parquet_table
