#include <antiphon/base/shown.h>

#include <antiphon/base/fail_lines.h>
#include <antiphon/base/strings.h>

#include <algorithm>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;

TEST_CASE("what steers a terminal is escaped, letters of every script are not") {
  CHECK(shown("a/b c.png") == "a/b c.png");
  CHECK(shown("\x1b[31m\a") == "\\x1b[31m\\x07");
  CHECK(shown(std::string_view("\0\x7f", 2)) == "\\x00\\x7f");
  CHECK(shown("one\nerror: forged\r\t") == "one\\x0aerror: forged\\x0d\\x09");
  CHECK(shown("\xC2\x9B"
              "31m") == "\\u{9b}31m");  // the C1 form of ESC [
  CHECK(shown("\u202Egnp.exe\u2066") == "\\u{202e}gnp.exe\\u{2066}");
  CHECK(shown("\u200B\u2028\uFEFF\U000E0041\uFFFE") == "\\u{200b}\\u{2028}\\u{feff}\\u{e0041}\\u{fffe}");
  CHECK(shown("é 世 한 ا ש 🎵 \u2764\uFE0F") == "é 世 한 ا ש 🎵 \u2764\uFE0F");
}

TEST_CASE("bytes that are not UTF-8 are shown one by one") {
  CHECK(shown("a\xFF\xC0\xAFz") == "a\\xff\\xc0\\xafz");
  CHECK(shown("\xE4\xB8") == "\\xe4\\xb8");
  CHECK(shown("\xED\xA0\x80") == "\\xed\\xa0\\x80");
}

TEST_CASE("long text is cut in the middle, between letters, once") {
  const std::string fits(kNameLetters, 'x');
  CHECK(shown(fits) == fits);
  std::string path = "/begin/";
  for (int i = 0; i < 100'000; ++i) path += "世";
  const auto once = shown(path + "/end.png");
  CHECK(once.starts_with("/begin/世"));
  CHECK(once.ends_with("世/end.png"));
  CHECK(once.find(" letters left out)") != std::string::npos);
  CHECK(is_utf8(once));
  CHECK(std::count_if(once.begin(), once.end(), [](char c) { return (c & 0xC0) != 0x80; }) <= 200);
  CHECK(shown(once) == once);
  CHECK(shown(std::string(3000, '\x1b'), kWordsLetters).size() < 600);
}

TEST_CASE("text of several lines keeps them, and none but the first begins at the margin") {
  CHECK(shown_lines("a\n  fix: b\tc") == "a\n  fix: b\tc");
  CHECK(shown_lines("a\nerror: forged\n\nz") == "a\n  error: forged\n\n  z");
  CHECK(shown_lines("a\r\nb\x1b[2J") == "a\\x0d\n  b\\x1b[2J");
  CHECK(shown_lines(std::string(5000, 'a') + "\n" + std::string(5000, 'b')).size() < 2 * 2000 + 20);
}

TEST_CASE("an error is safe to print whatever was put into it") {
  std::string text;
  try {
    with_context("reading \xFF\n" + std::string(1'000'000, 'p'),
                 [] { fail(ErrorKind::data, "cannot open x\nerror: forged\x1b[2J", "mend\nit"); });
  } catch (const Error& error) {
    text = error.what();
  }
  CHECK(text.starts_with("cannot open x\\x0aerror: forged\\x1b[2J\n  while reading \\xff\\x0appp"));
  CHECK(text.ends_with("\n  fix: mend\\x0ait"));
  CHECK(split(text, '\n').size() == 3);
  CHECK(text.size() < 3000);
}

TEST_CASE("an error of several lines keeps its own") {
  try {
    fail_lines(ErrorKind::weights, {"2 are missing:", "  a\nb", "  c"}, "fix");
  } catch (const Error& error) {
    CHECK(std::string(error.what()) == "2 are missing:\n  a\\x0ab\n  c\n  fix: fix");
    CHECK(lines_of(error) == std::vector<std::string>{"2 are missing:", "  a\\x0ab", "  c"});
  }
}
