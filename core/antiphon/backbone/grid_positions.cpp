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
      // The product is rounded to float32 before it is cut, as the reference does.
      const auto time = static_cast<int64_t>(static_cast<float>(k) * static_cast<float>(span.part_step));
      const auto& [rows, columns] = span.parts[k];
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) put(begin + time, begin + i, begin + j);
      next_ = std::max(next_, begin + std::max(rows, columns));
      if (after == AfterMedium::largest) next_ = std::max(next_, begin + time + 1);
    }
  }

  at::Tensor all() const { return all_; }

 private:
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
    if (!span.is_of_parts() || span.part_step == 0) continue;
    places.add_text(span.begin);
    places.add(span, after);
  }
  places.add_text(layout.tokens);
  return places.all();
}

}  // namespace antiphon::backbone
