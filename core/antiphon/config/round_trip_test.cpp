// What is written reads back to the same tree.
#include <antiphon/base/error.h>
#include <antiphon/config/value.h>

#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <limits>
#include <random>

using namespace antiphon;
using namespace antiphon::config;

namespace {

Value round_trip(const Value& value) { return parse_toml(to_toml(value), "round trip"); }

const std::string pieces[] = {"a",  "Z",  "0",    "_",  "-",      ".",    " ",      "\"",     "'",
                              "\\", "\n", "\t",   "\r", "\x01",   "\x7f", "#",      "=",      "[",
                              "]",  "é",  "日本", "🎵",  "\"\"\"", "'''",  "\u2028", "\\u00e9"};

class RandomTrees {
 public:
  explicit RandomTrees(uint64_t seed) : random_(seed) {}

  Value table(int depth) {
    Value::Table out;
    for (uint64_t n = below(5); n > 0; --n) out[text()] = any(depth + 1);
    return Value(std::move(out));
  }

 private:
  uint64_t below(uint64_t n) { return random_() % n; }

  std::string text() {
    std::string out;
    for (uint64_t n = below(6); n > 0; --n) out += pieces[below(std::size(pieces))];
    return out;
  }

  double number() {
    constexpr double special[] = {0.0,
                                  -0.0,
                                  1.0,
                                  -1e300,
                                  1e22,
                                  5e-324,
                                  0.1,
                                  std::numeric_limits<double>::infinity(),
                                  -std::numeric_limits<double>::infinity(),
                                  std::numeric_limits<double>::quiet_NaN()};
    const uint64_t bits = random_();
    double any = 0;
    static_assert(sizeof any == sizeof bits);
    std::memcpy(&any, &bits, sizeof any);
    return below(2) ? special[below(std::size(special))] : any;
  }

  Value list(int depth, bool of_tables) {
    Value::Array out;
    for (uint64_t n = below(4); n > 0; --n) out.push_back(of_tables ? table(depth + 1) : any(depth + 1));
    return Value(std::move(out));
  }

  Value any(int depth) {
    switch (below(depth > 4 ? 4 : 8)) {
      case 0: return Value(below(2) == 0);
      case 1: return Value(static_cast<int64_t>(random_()));
      case 2: return Value(number());
      case 3: return Value(text());
      case 4: return list(depth, true);
      case 5: return list(depth, false);
      default: return table(depth);
    }
  }

  std::mt19937_64 random_;
};

}  // namespace

TEST_CASE("every type survives being written and read") {
  const Value tree = parse_toml(R"(
t = true
f = false
least = -9223372036854775808
most = 9223372036854775807
hex = 0xFF
half = 0.5
whole = 2.0
tiny = 5e-324
huge = 1.7976931348623157e308
plus = inf
minus = -inf
none = nan
text = "quote \" backslash \\ newline \n tab \t bell \u0007 delete \u007f é 日本 🎵"
literal = 'C:\no\escape'
long = """
two
lines"""
"key with space" = 1
"" = 2
"quote\"d" = 3
"dotted.key" = 4
"é" = 5
empty_list = []
empty_table = {}
nested = [[1, 2], [], [[3.5]], ["x", { a = { b = [ { } ] } }]]
mixed = [1, "two", { three = 3 }]
[a.b.c]
d = 1
[a."b c"]
[[list]]
x = 1
[[list.inner]]
y = 1
[[list.inner]]
[list.table]
z = [ { p = 1 }, { q = 2 } ]
[[list]]
)",
                                "f");
  const Value again = round_trip(tree);
  CHECK(same(again, tree));
  CHECK(to_toml(again) == to_toml(tree));
  CHECK(again.find("literal")->get_if<std::string>()->compare("C:\\no\\escape") == 0);
  CHECK(*again.find("tiny")->get_if<double>() == 5e-324);
  CHECK(again.find("list")->get_if<Value::Array>()->size() == 2);
}

TEST_CASE("the text that is written") {
  CHECK(to_toml(parse_toml("b = 1\na = 'x'\nl = [{k = 1}, {k = 2}]\n[t.u]\nv = 1.0\n[e]\n", "")) ==
        "a = \"x\"\nb = 1\n\n[e]\n\n[[l]]\nk = 1\n\n[[l]]\nk = 2\n\n[t]\n\n[t.u]\nv = 1.0\n");
  CHECK(to_toml(Value(Value::Table{})).empty());
  // An unset member is left out.
  CHECK(to_toml(Value(Value::Table{{"a", Value()}, {"b", Value::Array{Value(), 1}}})) == "b = [1]\n");
}

TEST_CASE("what TOML cannot hold is refused") {
  CHECK_THROWS_AS(to_toml(Value(1)), Error);
  CHECK_THROWS_AS(to_toml(Value(Value::Table{{"a", "\xff"}})), Error);
  CHECK_THROWS_AS(to_toml(Value(Value::Table{{"\xff", 1}})), Error);
}

TEST_CASE("random trees survive") {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const Value tree = RandomTrees(seed).table(0);
    const std::string text = to_toml(tree);
    INFO("seed " << seed << "\n" << text);
    const Value again = parse_toml(text, "random");
    REQUIRE(same(again, tree));
    REQUIRE(to_toml(again) == text);
  }
}

// Files that are nearly right never crash or hang: each gives a tree or an Error.
TEST_CASE("mutated files give a tree or an error") {
  std::mt19937_64 random(7);
  size_t good = 0, bad = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    std::string text = to_toml(RandomTrees(seed).table(0));
    for (int n = 0; n < 3 && !text.empty(); ++n) {
      const size_t at = random() % text.size();
      if (random() % 2)
        text[at] = static_cast<char>(random());
      else
        text.insert(at, 1, "\"'[]{}=.,\n#\\"[random() % 12]);
    }
    try {
      parse_toml(text, "mutated");
      ++good;
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::config);
      ++bad;
    }
  }
  CHECK(good > 50);
  CHECK(bad > 500);
}

TEST_CASE("nesting is bounded") {
  const auto message = [](const std::string& text) {
    try {
      parse_toml(text, "deep");
      return std::string("no error");
    } catch (const Error& error) {
      return error.message();
    }
  };
  const auto dotted = [](int parts, const std::string& part) {
    std::string key = part;
    for (int i = 1; i < parts; ++i) key += "." + part;
    return key;
  };
  CHECK(message(dotted(64, "a") + " = 1") == "no error");
  CHECK(message(dotted(65, "a") + " = 1") == "deep:1:129: nested more than 64 levels deep");
  CHECK(message(dotted(200000, "a") + " = 1") == "deep: a dotted key has more than 1000 parts");
  CHECK(message("x = 'b'\n[" + dotted(200000, " \"a \\\" \" ") + "]") == "deep: a dotted key has more than 1000 parts");
  std::string brackets = "a = ";
  brackets.append(60, '[').append(60, ']');
  CHECK(message(brackets) == "no error");
  brackets.assign("a = ").append(100000, '[');
  CHECK(message(brackets).starts_with("deep:1:"));
  // Many dots that are not a key.
  std::string numbers = "a = [0.5";
  for (int i = 0; i < 3000; ++i) numbers += ",0.5";
  CHECK(message(numbers + "]") == "no error");
}
