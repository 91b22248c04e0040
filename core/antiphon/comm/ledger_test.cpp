#include <antiphon/comm/ledger.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon::comm;

TEST_CASE("two ledgers part where their calls do") {
  Ledger one, other;
  for (auto* each : {&one, &other}) each->note("sum", "Float", {4}), each->note("gather", "Long", {0, 3, 5});
  CHECK(one.hash() == other.hash());
  CHECK(one.lines() == other.lines());
  CHECK(one.lines().find(": gather of 8 Long\n") != std::string::npos);
  one.note("sum", "Float", {7}), other.note("largest", "Float", {7});
  one.note("sum", "Float", {9}), other.note("sum", "Float", {9});
  CHECK(one.hash() != other.hash());
  CHECK(first_difference("process 0", one.lines(), "process 1", other.lines()) ==
        "call 3 is 'sum of 7 Float' in process 0 and 'largest of 7 Float' in process 1");
}

TEST_CASE("a call that one has and the other has not; pieces of other sizes; nothing at all") {
  Ledger one, other, pieces;
  one.note("sum", "Float", {4});
  CHECK(first_difference("a", one.lines(), "b", other.lines()) == "a or b has called nothing");
  other.note("sum", "Float", {4}), other.note("sum", "Float", {5});
  CHECK(first_difference("a", one.lines(), "b", other.lines()) == "call 2 is none in a and 'sum of 5 Float' in b");
  pieces.note("sum", "Float", {1, 3});
  CHECK(pieces.hash() != one.hash());
  CHECK(first_difference("a", one.lines(), "b", pieces.lines()) ==
        "call 1 is 'sum of 4 Float' in a and 'sum of 4 Float' in b");
}

TEST_CASE("of long ledgers the last calls are kept") {
  Ledger one, other;
  other.note("largest", "Float", {1});
  for (int64_t i = 0; i < 3 * Ledger::kKept; ++i) one.note("sum", "Float", {i}), other.note("sum", "Float", {i});
  other.note("sum", "Float", {1}), one.note("sum", "Float", {1}), one.note("sum", "Float", {1});
  const auto text = first_difference("a", one.lines(), "b", other.lines());
  CHECK(text.find("or one before it") != std::string::npos);
}
