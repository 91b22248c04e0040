#include <antiphon/base/strings.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;

TEST_CASE("nearest finds what was meant and nothing else") {
  CHECK(nearest("hiden_size", {"hidden_size", "num_layers"}) == "hidden_size");
  CHECK(nearest("rnk", {"rank", "alpha"}) == "rank");
  CHECK(nearest("widht", {"depth", "width"}) == "width");
  CHECK(nearest("ab", {"ba"}) == "ba");
  CHECK(nearest("abcd", {"badc"}).empty());
  CHECK(nearest("completely_else", {"rank", "alpha"}).empty());
}

TEST_CASE("is_utf8 follows the Unicode table of well-formed sequences") {
  CHECK(is_utf8("plain"));
  CHECK(is_utf8("\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x8E\xB5"));
  CHECK_FALSE(is_utf8("\xC0\xAF"));          // overlong
  CHECK_FALSE(is_utf8("\xED\xA0\x80"));      // surrogate
  CHECK_FALSE(is_utf8("\xF4\x90\x80\x80"));  // beyond U+10FFFF
  CHECK_FALSE(is_utf8("\xE2\x82"));          // cut short
}

TEST_CASE("ends_in is of whole parts of a name") {
  for (const auto* end : {"a.bc.d", "bc.d", "d"}) CHECK(ends_in("a.bc.d", end));
  for (const auto* end : {"c.d", "bc", "a", ".d", "x.a.bc.d"}) CHECK_FALSE(ends_in("a.bc.d", end));
  CHECK((ends_in("", "") && !ends_in("a", "")));
}

TEST_CASE("glob_match") {
  CHECK(glob_match("layers.*.q_proj", "layers.3.self_attn.q_proj"));
  CHECK(glob_match("?_proj", "q_proj"));
  CHECK_FALSE(glob_match("layers.*.q_proj", "layers.3.self_attn.k_proj"));
  CHECK(glob_match("*", ""));
}

TEST_CASE("human units") {
  CHECK(human_count(134515008) == "134.5 M");
  CHECK(human_bytes(1536) == "1.5 KiB");
  CHECK(human_duration(3725) == "1h 02m 05s");
}
