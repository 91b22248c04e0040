#include <antiphon/config/value.h>

#include <antiphon/base/error.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::config;

TEST_CASE("a value knows its type and place") {
  const Value root = parse_toml("a = 1\n[b]\n  c = [1.5, 'x']\n", "f.toml");
  CHECK(root.find("a")->where.str() == "f.toml:1:1");
  CHECK(root.find("b")->where.str() == "f.toml:2:2");
  CHECK(root.find("b")->find("c")->where.str() == "f.toml:3:3");
  CHECK((*root.find("b")->find("c")->get_if<Value::Array>())[1].where.str() == "f.toml:3:13");
  CHECK(root.find("a")->type_name() == "integer");
  CHECK(root.find("b")->type_name() == "table");
  CHECK(root.find("nope") == nullptr);
  CHECK(root.find("a")->find("b") == nullptr);
  CHECK(Value().type_name() == "nothing");
  CHECK(Location().str().empty());
}

TEST_CASE("same compares data and not places") {
  CHECK(same(parse_toml("a = [nan, 1.0, {b = 'x'}]", "f"), parse_toml("\n\na = [ nan, 1.0, {b = \"x\"} ]", "g")));
  CHECK_FALSE(same(Value(1), Value(1.0)));
  CHECK_FALSE(same(Value(Value::Array{1, 2}), Value(Value::Array{1})));
  CHECK_FALSE(same(Value(Value::Table{{"a", 1}}), Value(Value::Table{{"b", 1}})));
  CHECK_FALSE(same(Value(true), Value(false)));
}

TEST_CASE("merge goes into tables and replaces all else") {
  Value base = parse_toml("a = 1\nlist = [1, 2]\n[t]\nx = 1\ny = 2\n[s]\nz = 1\n", "base");
  merge(base, parse_toml("s = 3\nlist = [9]\n[t]\ny = 'two'\n", "over"));
  CHECK(same(base, parse_toml("a = 1\nlist = [9]\ns = 3\n[t]\nx = 1\ny = 'two'\n", "")));
  CHECK(base.find("t")->find("y")->where.str() == "over:4:1");
  CHECK(base.find("t")->find("x")->where.str() == "base:4:1");
}

TEST_CASE("json has every type") {
  CHECK(to_json(parse_toml("a = [1, 2.5, true, 'é\"', inf, -inf, nan]\nt = {}", ""), -1) ==
        R"({"a":[1,2.5,true,"é\"","inf","-inf","nan"],"t":{}})");
  CHECK(to_json(Value(), -1) == "null");
}
