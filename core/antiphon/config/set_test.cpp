#include <antiphon/base/error.h>
#include <antiphon/config/value.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::config;

namespace {

Value with(std::string_view toml, const std::string& assignment) {
  Value root = parse_toml(toml, "f.toml");
  apply_set(root, assignment);
  return root;
}

std::string refusal(std::string_view toml, const std::string& assignment) {
  Value root = parse_toml(toml, "f.toml");
  try {
    apply_set(root, assignment);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    CHECK(same(root, parse_toml(toml, "")));  // nothing is left half done
    return error.what();
  }
  return "no error";
}

void check_set(std::string_view before, const std::string& assignment, std::string_view after) {
  INFO(assignment);
  CHECK(same(with(before, assignment), parse_toml(after, "")));
}

}  // namespace

TEST_CASE("set: reads TOML values, and anything else as plain text") {
  check_set("", "a=1", "a = 1");
  check_set("", " a = 1.5 ", "a = 1.5");
  check_set("", "a=1e-4", "a = 1e-4");
  check_set("", "a=true", "a = true");
  check_set("", "a=-inf", "a = -inf");
  check_set("", "a=hello", "a = 'hello'");
  check_set("", "a=hello world", "a = 'hello world'");
  check_set("", "a=\"1\"", "a = '1'");
  check_set("", "a='x y'", "a = 'x y'");
  check_set("", "a=\"\\u00e9\"", "a = 'é'");
  check_set("", "a=[1, 2]", "a = [1, 2]");
  check_set("", "a={b = 1}", "a = {b = 1}");
  check_set("", "a=", "a = ''");
  check_set("", "a=b=c", "a = 'b=c'");
  check_set("", "a=models/x-1", "a = 'models/x-1'");
  check_set("", "a=2024-05-01", "a = '2024-05-01'");
  check_set("", "a=007", "a = '007'");
  // Nothing of the text may vanish as a comment or as a second key.
  check_set("", "a=1 # no comment", "a = '1 # no comment'");
  check_set("", "a=1, b = 2", "a = '1, b = 2'");
  check_set("", "a=1\nb=2", "a = \"1\\nb=2\"");
  check_set("", "a=1}\nv2 = {b = 2", "a = \"1}\\nv2 = {b = 2\"");
}

TEST_CASE("set: makes tables on the way and replaces what is there") {
  check_set("", "train.optimizer.lr=0.1", "[train.optimizer]\nlr = 0.1");
  check_set("[train]\nsteps = 1\nx = 2", "train.steps=5", "[train]\nsteps = 5\nx = 2");
  check_set("a = {b = 1}", "a=3", "a = 3");
  check_set("a = {b = 1}", "a={c=2}", "a = {c = 2}");
  check_set("", "\"a.b\".c=1", "[\"a.b\"]\nc = 1");
  check_set("", "'a=b'=1", "'a=b' = 1");
}

TEST_CASE("set: reaches into lists") {
  check_set("a = [1, 2, 3]", "a.1=9", "a = [1, 9, 3]");
  check_set("[[a]]\nb = 1\n[[a]]\nb = 2", "a.1.b=9", "[[a]]\nb = 1\n[[a]]\nb = 9");
  check_set("a = [{}]", "a.0.b.c=1", "a = [{b = {c = 1}}]");
  check_set("a = {0 = 'table'}", "a.0=1", "a = {0 = 1}");
}

TEST_CASE("set: says where a value came from") {
  const Value root = with("", "a.b=[1]");
  const Value* value = root.find("a")->find("b");
  CHECK(value->where.str() == "--set a.b");
  CHECK((*value->get_if<Value::Array>())[0].where.str() == "--set a.b");
}

TEST_CASE("set: refuses") {
  CHECK(refusal("", "a") == "--set a: there is no '='\n  fix: write it like --set train.steps=100");
  CHECK(refusal("", "") == "--set : there is no '='\n  fix: write it like --set train.steps=100");
  const std::string key_fix = "\n  fix: write it like train.steps=100 or a.0.b=c";
  CHECK(refusal("", "=1") == "--set =1: \"\" is not a key" + key_fix);
  CHECK(refusal("", "a..b=1") == "--set a..b=1: \"a..b\" is not a key" + key_fix);
  CHECK(refusal("", "a b=1") == "--set a b=1: \"a b\" is not a key" + key_fix);
  CHECK(refusal("", "a\nb=1") == "--set a\\x0ab=1: \"a\\nb\" is not a key" + key_fix);
  CHECK(refusal("", "[a]\nb=1") == "--set [a]\\x0ab=1: \"[a]\\nb\" is not a key" + key_fix);
  CHECK(refusal("", "'a'\nb=1") == "--set 'a'\\x0ab=1: \"'a'\\nb\" is not a key" + key_fix);
  CHECK(refusal("", "['a']\nb=1") == "--set ['a']\\x0ab=1: \"['a']\\nb\" is not a key" + key_fix);
  CHECK(refusal("", "a[0]=1") == "--set a[0]=1: \"a[0]\" is not a key" + key_fix);
  const std::string value_fix =
      " is not a TOML value\n  fix: close quotes and brackets; inside a shell, quote the whole assignment";
  CHECK(refusal("", "a=[1, 2") == "--set a=[1, 2: \"[1, 2\"" + value_fix);
  CHECK(refusal("", "a=\"x") == "--set a=\"x: \"\\\"x\"" + value_fix);
  CHECK(refusal("", "a={b}") == "--set a={b}: \"{b}\"" + value_fix);
  CHECK(refusal("", "a=\xff") == "--set a=\\xff: the value is not UTF-8 text");
  CHECK(refusal("a = 1", "a.b=2") == "--set a.b=2: 'a' is integer 1 (f.toml:1:1), so it has no 'b'");
  CHECK(refusal("[t]\na = 'x'", "t.a.b.c=2") ==
        "--set t.a.b.c=2: 't.a' is string \"x\" (f.toml:2:1), so it has no 'b'");
  CHECK(refusal("a = [1]", "a.1=2") == "--set a.1=2: 'a' has 1 element(s); there is no index 1");
  CHECK(refusal("a = [1]", "a.b=2") == "--set a.b=2: 'a' is a list, and 'b' is not an index into it\n  fix: write a.0");
  CHECK(refusal("a = [1]", "a.-1=2") ==
        "--set a.-1=2: 'a' is a list, and '-1' is not an index into it\n  fix: write a.0");
  CHECK(refusal("a = [1]", "a.99999999999999999999=2").find("is not an index") != std::string::npos);
  CHECK(refusal("b = [1]", "x.y.0.z=1") == "no error");  // a new table, whose key is "0"
}
