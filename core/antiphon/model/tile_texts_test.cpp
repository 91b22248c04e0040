// Texts among the embeddings of a picture in tiles, and where they go.
#include <antiphon/base/error.h>
#include <antiphon/model/stream.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::model;

namespace {

const TileTexts kTexts{"<{row},{column}>", "/", "#", "<whole>"};

// Of three vectors for the whole, and one for each tile.
StreamItem item_of(const Tiling& tiling) {
  StreamItem item;
  const auto tiles = static_cast<size_t>(tiling.rows * tiling.columns);
  item.tiling = tiling, item.grids.assign(tiles + 1, {1, 1}), item.part_tokens.assign(tiles + 1, 1);
  item.grids.front() = {1, 3}, item.part_tokens.front() = 3;
  item.tokens = static_cast<int64_t>(tiles) + 3;
  return item;
}

}  // namespace

TEST_CASE("texts stand before tiles and after rows of them, and before the whole") {
  CHECK(kTexts.before_parts({2, 2, 9, 9}, 5) ==
        std::vector<std::string>{"<1,1>", "<1,2>", "/<2,1>", "<2,2>", "/#<whole>"});
  CHECK(kTexts.before_parts({1, 3, 9, 9}, 4) == std::vector<std::string>{"<1,1>", "<1,2>", "<1,3>", "/#<whole>"});
  CHECK(kTexts.before_parts({}, 1) == std::vector<std::string>{"<whole>"});
  CHECK(kTexts.before_parts({}, 2) == std::vector<std::string>{"<whole>", "<whole>"});
  CHECK(TileTexts{"{row}{row}", "", "", ""}.before_parts({12, 1, 9, 9}, 13)[11] == "1212");
  CHECK_THROWS_AS(kTexts.before_parts({2, 2, 9, 9}, 4), Error);
}

TEST_CASE("any of them is some") {
  CHECK_FALSE(TileTexts{}.any());
  CHECK(TileTexts{"a", "", "", ""}.any());
  CHECK(TileTexts{"", "a", "", ""}.any());
  CHECK(TileTexts{"", "", "a", ""}.any());
  CHECK(TileTexts{"", "", "", "a"}.any());
}

TEST_CASE("the whole goes behind its tiles, with the tokens of its text") {
  auto item = item_of({1, 2, 9, 9});
  item.begin_parts({{5}, {6, 7}, {8}});
  CHECK(item.ids == std::vector<int64_t>{5, -1, 6, 7, -1, 8, -1, -1, -1});
  CHECK(item.whole_last == 3);
  CHECK(item.tokens == 9);
  CHECK(item.embeddings() == 5);
  CHECK(item.part_tokens == std::vector<int64_t>{9});
  CHECK(item.grids == std::vector<TokenGrid>{{1, 1}, {1, 1}, {1, 3}});
  CHECK_THROWS_AS(item.begin_parts({{5}, {6, 7}, {8}}), Error);  // there are tokens already
}

TEST_CASE("a picture without tiles stays in its order") {
  auto item = item_of({});
  item.begin_parts({{5}});
  CHECK(item.ids == std::vector<int64_t>{5, -1, -1, -1});
  CHECK(item.whole_last == 0);
}
