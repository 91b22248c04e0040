#include <antiphon/backbone/grid_positions.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

namespace antiphon::backbone {
namespace {

class Places {
 public:
  explicit Places(int64_t tokens) : all_(at::empty({3, tokens}, at::kLong)) {
    for (int64_t axis = 0; axis < 3; ++axis) axes_[static_cast<size_t>(axis)] = all_[axis].mutable_data_ptr<int64_t>();
  }

  void add_text(int64_t until) {
    while (token_ < until) put(next_, next_, next_), ++next_;
  }

  void add(const MediaSpan& span, AfterMedium after) {
    const int64_t begin = next_;
    for (size_t k = 0; k < span.parts.size(); ++k) {
      const auto time = part_time(k, span.part_step);
      const auto& [rows, columns] = span.parts[k];
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) put(begin + time, begin + i, begin + j);
      next_ = std::max(next_, begin + std::max(rows, columns));
      if (after == AfterMedium::largest) next_ = std::max(next_, begin + time + 1);
    }
  }

  // As get_rope_index does it (transformers: models/qwen2_5_omni/modeling_qwen2_5_omni.py).
  void add_with_sound(const MediaSpan& span) {
    const auto cells = cells_of(span);
    next_ = std::max<int64_t>(next_, 1);
    put(next_ - 1, next_ - 1, next_ - 1);
    const int64_t begin = next_;
    std::array<int64_t, 2> done{};  // of what is seen and of what is heard
    for (size_t run = 0; run < span.runs.size(); ++run) {
      auto& from = done[run % 2];
      if (span.runs[run] > 0) next_ = begin;
      for (const int64_t end = from + span.runs[run]; from < end; ++from)
        put_and_pass(begin, run % 2 ? Cell{from, from, from} : cells.at(static_cast<size_t>(from)));
    }
    put(next_, next_, next_);
  }

  at::Tensor all() const { return all_; }

 private:
  using Cell = std::array<int64_t, 3>;  // time, row and column behind the beginning of a medium

  static std::vector<Cell> cells_of(const MediaSpan& span) {
    std::vector<Cell> cells;
    for (size_t k = 0; k < span.parts.size(); ++k)
      for (int64_t i = 0; i < span.parts[k].rows; ++i)
        for (int64_t j = 0; j < span.parts[k].columns; ++j) cells.push_back({part_time(k, span.part_step), i, j});
    return cells;
  }

  void put_and_pass(int64_t begin, const Cell& cell) {
    put(begin + cell[0], begin + cell[1], begin + cell[2]);
    next_ = std::max(next_, begin + std::ranges::max(cell) + 1);
  }

  void put(int64_t time, int64_t row, int64_t column) {
    axes_[0][token_] = time, axes_[1][token_] = row, axes_[2][token_] = column;
    ++token_;
  }

  at::Tensor all_;
  std::array<int64_t*, 3> axes_{};
  int64_t token_ = 0, next_ = 0;
};

}  // namespace

at::Tensor grid_positions(const SampleLayout& layout, AfterMedium after) {
  Places places(layout.tokens);
  for (const auto& span : layout.media) {
    const bool with_sound = !span.runs.empty();
    if (!with_sound && (!span.is_of_parts() || span.part_step.step == 0)) continue;
    places.add_text(span.begin);
    if (with_sound)
      places.add_with_sound(span);
    else
      places.add(span, after);
  }
  places.add_text(layout.tokens);
  return places.all();
}

}  // namespace antiphon::backbone
