#include <antiphon/model/tile_texts.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>

namespace antiphon::model {
namespace {

void put_number(std::string& text, std::string_view name, int64_t number) {
  const auto digits = std::to_string(number);
  for (size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += digits.size())
    text.replace(at, name.size(), digits);
}

std::string begin_of(std::string text, int64_t row, int64_t column) {
  put_number(text, "{row}", row), put_number(text, "{column}", column);
  return text;
}

}  // namespace

bool TileTexts::any() const {
  return !tile_begin.empty() || !tile_row_end.empty() || !tiles_end.empty() || !whole_begin.empty();
}

std::vector<std::string> TileTexts::before_parts(const Tiling& tiling, size_t parts) const {
  const int64_t tiles = tiling.rows * tiling.columns;
  if (tiles == 0) return std::vector<std::string>(parts, whole_begin);
  if (static_cast<int64_t>(parts) != tiles + 1)
    fail(ErrorKind::config,
         fmt::format("an item has {} parts, which are not a picture and its {} x {} tiles, so that tile_begin has no "
                     "place",
                     parts, tiling.rows, tiling.columns),
         "leave tile_begin, tile_row_end, tiles_end and whole_begin out");
  std::vector<std::string> texts;
  std::string row_end;  // of the row before
  for (int64_t row = 1; row <= tiling.rows; ++row, row_end = tile_row_end)
    for (int64_t column = 1; column <= tiling.columns; ++column, row_end.clear())
      texts.push_back(row_end + begin_of(tile_begin, row, column));
  texts.push_back(tile_row_end + tiles_end + whole_begin);
  return texts;
}

}  // namespace antiphon::model
