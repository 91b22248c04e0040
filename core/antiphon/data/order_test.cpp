#include <antiphon/data/order.h>

#include <catch2/catch_test_macros.hpp>

#include <map>
#include <set>

using namespace antiphon::data;

namespace {

std::vector<std::pair<size_t, int64_t>> draws(SampleOrder& order, int n) {
  std::vector<std::pair<size_t, int64_t>> out;
  for (int i = 0; i < n; ++i) {
    const auto draw = order.next();
    out.emplace_back(draw->source, draw->index);
  }
  return out;
}

}  // namespace

TEST_CASE("order: each epoch of a source holds each of its samples once, in an order of its own") {
  SampleOrder order({13, 5}, {1, 2}, 3, true);
  std::map<std::pair<size_t, int64_t>, std::vector<int64_t>> epochs;
  for (int i = 0; i < 400; ++i) {
    const auto draw = order.next();
    epochs[{draw->source, draw->epoch}].push_back(draw->index);
  }
  std::set<std::vector<int64_t>> orders;
  int complete = 0;
  for (const auto& [key, indices] : epochs) {
    const std::set<int64_t> distinct(indices.begin(), indices.end());
    CHECK(distinct.size() == indices.size());
    const size_t size = key.first == 0 ? 13 : 5;
    CHECK(*distinct.rbegin() < static_cast<int64_t>(size));
    if (indices.size() == size) ++complete;
    if (key.first == 0 && indices.size() == size) CHECK(orders.insert(indices).second);
  }
  CHECK(complete >= static_cast<int>(epochs.size()) - 2);
}

TEST_CASE("order: at any time each source has had its share, within one sample") {
  const std::vector<int64_t> sizes{100, 10, 37};
  const std::vector<double> weights{1, 3, 0.5};
  SampleOrder order(sizes, weights, 1, true);
  double total = 0;
  for (size_t i = 0; i < 3; ++i) total += weights[i] * static_cast<double>(sizes[i]);
  std::vector<int> counts(3);
  for (int n = 1; n <= 1000; ++n) {
    ++counts[order.next()->source];
    for (size_t i = 0; i < 3; ++i)
      CHECK(std::abs(counts[i] - n * weights[i] * static_cast<double>(sizes[i]) / total) <= 1.5);
  }
}

TEST_CASE("order: the seed decides, and without shuffling the files' own order") {
  SampleOrder a({20}, {1}, 7, true), b({20}, {1}, 7, true), c({20}, {1}, 8, true),
      high({20}, {1}, 7 + (uint64_t{1} << 40), true), plain({4}, {1}, 7, false);
  const auto of_a = draws(a, 60);
  CHECK(of_a == draws(b, 60));
  CHECK(of_a != draws(c, 60));
  CHECK(of_a != draws(high, 60));
  for (int i = 0; i < 12; ++i) CHECK(plain.next()->index == i % 4);
}

TEST_CASE("order: restoring any state draws what would have come") {
  SampleOrder order({11, 4, 1}, {1, 1, 2}, 5, true);
  std::vector<OrderState> states;
  std::vector<std::pair<size_t, int64_t>> all;
  for (int i = 0; i < 120; ++i) {
    states.push_back(order.state());
    const auto draw = order.next();
    CHECK(draw->before == states.back());
    all.emplace_back(draw->source, draw->index);
  }
  for (size_t from = 0; from < all.size(); from += 7) {
    SampleOrder again({11, 4, 1}, {1, 1, 2}, 5, true);
    draws(again, 3);
    again.restore(states[from]);
    CHECK(draws(again, static_cast<int>(all.size() - from)) ==
          std::vector(all.begin() + static_cast<long>(from), all.end()));
  }
}

TEST_CASE("order: after a change the new shares hold from there on, and over a resumption") {
  SampleOrder before({100, 100}, {1, 1}, 1, true);
  draws(before, 200);
  const auto first_80 = [](SampleOrder& order) {
    int first = 0;
    for (const auto& [source, index] : draws(order, 80)) first += source == 0;
    return first;
  };
  SampleOrder heavier({100, 100}, {1, 3}, 1, true), larger({100, 900}, {1, 1}, 1, true);
  heavier.restore(before.state(), true), larger.restore(before.state(), true);
  const auto state = heavier.state();
  CHECK(state.drawn == before.state().drawn);
  CHECK(first_80(heavier) == 20);
  CHECK(first_80(larger) == 8);
  SampleOrder resumed({100, 100}, {1, 3}, 1, true), unchanged({100, 100}, {1, 3}, 1, true);
  resumed.restore(state);
  CHECK(first_80(resumed) == 20);
  unchanged.restore(before.state());  // as if the weights had been these all along: the second is behind
  CHECK(first_80(unchanged) == 0);
}

TEST_CASE("order: with a temperature T sources come at rates of their samples to the power of 1 / T") {
  const std::vector<int64_t> sizes{10000, 100};
  const auto shares = [&](double temperature) {
    const auto rates = rates_of(sizes, {1, 1}, {Blend::Kind::by_size, temperature});
    SampleOrder order(std::make_shared<Permutations>(Sources{sizes, rates, 1, true}), 0, 1);
    int second = 0;
    for (int i = 0; i < 1100; ++i) second += order.next()->source == 1;
    return second;
  };
  CHECK(shares(1) == 11);                    // 1 of 101
  CHECK(shares(2) == 100);                   // 10 of 110
  CHECK(std::abs(shares(1000) - 550) <= 3);  // nearly as often
  CHECK(rates_of({3, 4}, {2, 0.5}) == std::vector<double>{6, 2});
  CHECK(rates_of({9, 4}, {2, 1}, {Blend::Kind::by_size, 2}) == std::vector<double>{6, 2});
  CHECK(rates_of({900, 4}, {2, 0.5}, {Blend::Kind::by_weight}) == std::vector<double>{2, 0.5});
}

TEST_CASE("order: in turn, one of each source, whatever their sizes") {
  const std::vector<int64_t> sizes{100, 3, 7};
  SampleOrder order(
      std::make_shared<Permutations>(Sources{sizes, rates_of(sizes, {1, 1, 1}, {Blend::Kind::in_turn}), 1, true}), 0,
      1);
  for (size_t i = 0; i < 90; ++i) CHECK(order.next()->source == i % 3);
}

TEST_CASE("order: a source ends after its epochs, and the order with the last of them") {
  const std::vector<int64_t> sizes{5, 3};
  const auto permutations = [&](std::vector<int64_t> epochs) {
    return std::make_shared<Permutations>(Sources{sizes, rates_of(sizes, {1, 1}), 4, true, std::move(epochs)});
  };
  std::map<std::pair<size_t, int64_t>, int> seen;
  SampleOrder order(permutations({2, 5}), 0, 1);
  while (const auto draw = order.next()) ++seen[{draw->source, draw->index}];
  CHECK(seen.size() == 8);
  for (const auto& [sample, count] : seen) CHECK(count == (sample.first == 0 ? 2 : 5));
  CHECK_FALSE(order.next());
  CHECK(order.state().draws() == 25);
  // One without an end goes on alone.
  SampleOrder open(permutations({1, 0}), 0, 1);
  int first = 0;
  for (int i = 0; i < 200; ++i) first += open.next()->source == 0;
  CHECK(first == 5);
  // Rows share what there is, and each goes on from where it was, at the end, too.
  std::map<std::pair<size_t, int64_t>, int> shared;
  for (int64_t row = 0; row < 4; ++row) {
    SampleOrder own(permutations({2, 5}), row, 4);
    int64_t drawn = 0;
    for (; const auto draw = own.next(); ++drawn) {
      ++shared[{draw->source, draw->index}];
      CHECK(draw->before.draws() == row + 4 * drawn);
      CHECK(draw->after.draws() == row + 4 * (drawn + 1));
    }
    SampleOrder again(permutations({2, 5}), row, 4);
    again.restore(own.state());
    CHECK_FALSE(again.next());
    // With more epochs than before it goes on where the data had ended.
    SampleOrder more(permutations({3, 5}), row, 4);
    more.restore(own.state(), true);
    CHECK(more.state().over == 0);
    int64_t rest = 0;
    while (more.next()) ++rest;
    CHECK((rest == 1 || rest == 2));
  }
  CHECK(shared == seen);
}
