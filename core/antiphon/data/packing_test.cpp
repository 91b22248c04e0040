// Batches chosen from samples that wait: what comes together, what is kept over a resumption, and how full they are.
#include <antiphon/data/packing.h>
#include <antiphon/data/test_loader.h>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <map>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;

namespace {

using Places = std::vector<size_t>;

PackingOptions packing(const std::string& method, int64_t look_ahead = 16, std::vector<int64_t> buckets = {}) {
  return {method, look_ahead, std::move(buckets)};
}

double fill_of(Loader& loader, int n, int64_t budget) {
  int64_t tokens = 0;
  for (int i = 0; i < n; ++i) {
    const auto batch = loader.next_batch();
    CHECK(batch.tokens() - batch.padding <= budget);
    tokens += batch.tokens() - batch.padding;
  }
  return static_cast<double>(tokens) / static_cast<double>(budget * n);
}

const std::vector<PackingOptions> kAll{packing("in_order"), packing("best_fit"), packing("buckets", 12, {22, 30})};

}  // namespace

TEST_CASE("packing: best fit takes the oldest, then the largest that fit, the older of equal ones") {
  CHECK(chosen(packing("best_fit"), {3, 6, 4, 6, 1}, 10) == Places{0, 1, 4});
  CHECK(chosen(packing("best_fit"), {10, 1}, 10) == Places{0});
  CHECK(chosen(packing("best_fit"), {1, 9, 9, 2}, 10) == Places{0, 1});
  CHECK(chosen(packing("best_fit"), {5}, 10) == Places{0});
}

TEST_CASE("packing: a bucket's samples come in order, up to its bound and with it") {
  const auto options = packing("buckets", 16, {4, 8});
  CHECK(chosen(options, {3, 6, 4, 5, 1, 9}, 10) == Places{0, 2, 4});
  CHECK(chosen(options, {5, 3, 8, 6, 4}, 20) == Places{0, 2, 3});
  CHECK(chosen(options, {9, 8, 20}, 30) == Places{0, 2});
}

TEST_CASE("packing: looking ahead fills batches better, and loses no sample") {
  Setup setup;
  auto o = setup.options({{lines("a", 50), 1}});
  constexpr int64_t kBudget = 170;
  const double in_order = fill_of(*setup.loader(o, kBudget), 60, kBudget);
  o.packing = packing("best_fit", 24);
  const double best_fit = fill_of(*setup.loader(o, kBudget), 60, kBudget);
  CHECK(best_fit > in_order + 0.02);
  auto loader = setup.loader(o, kBudget);
  std::map<std::string, int64_t> seen;
  for (int i = 0; i < 200; ++i)
    for (const auto& id : ids_of(loader->next_batch())) ++seen[id];
  CHECK(seen.size() == 50);
  const auto mean = static_cast<double>(loader->counts().good) / 50;
  for (const auto& [id, count] : seen) CHECK(std::abs(static_cast<double>(count) - mean) <= 2);
}

TEST_CASE("packing: with look-ahead the batches do not depend on threads and read-ahead") {
  Setup setup;
  auto o = setup.options({{lines("a", 30), 1}, {lines("b", 7) + "broken\n", 2}});
  o.max_bad_fraction = 1;
  for (const auto& method : kAll) {
    o.packing = method;
    std::optional<Ids> first;
    for (const int64_t threads : {1, 5})
      for (const int64_t prefetch : {1, 50}) {
        o.threads = threads, o.prefetch = prefetch;
        const auto got = batches(*setup.loader(o), 40);
        if (!first) first = got;
        CHECK(got == *first);
      }
  }
}

TEST_CASE("packing: restored after any batch, with samples held, the rest is the same") {
  Setup setup;
  auto o = setup.options({{lines("a", 12) + "broken\n" + lines("c", 5), 1}, {lines("b", 5), 3}});
  o.max_bad_fraction = 1, o.threads = 3;
  o.filter.max_tokens = 34;
  for (const auto& method : kAll) {
    o.packing = method;
    auto whole = setup.loader(o);
    std::vector<LoaderState> states{whole->state()};
    Ids all;
    for (int i = 0; i < 25; ++i) {
      all.push_back(ids_of(whole->next_batch()));
      states.push_back(whole->state());
    }
    if (method.looks_ahead()) CHECK(states[3].rows[0].held.size() > 3);
    CHECK(total(whole->counts().filtered) > 0);
    for (size_t from = 0; from < all.size(); from += 4) {
      auto again = setup.loader(o);
      again->restore(states[from]);
      CHECK(batches(*again, static_cast<int>(all.size() - from)) ==
            Ids(all.begin() + static_cast<long>(from), all.end()));
      CHECK(again->counts() == states.back().counts());
      CHECK(again->state().rows[0].order == states.back().rows[0].order);
      CHECK((again->state().rows[0].held == states.back().rows[0].held));
      auto at_once = setup.loader(o);  // killed again before its first batch
      at_once->restore(states[from]);
      CHECK((at_once->state().rows[0].held == states[from].rows[0].held));
    }
  }
}

TEST_CASE("packing: the state says how every draw ended: in a batch, bad, filtered or held") {
  Setup setup;
  auto o = setup.options({{lines("a", 30) + "broken\n", 1}, {lines("b", 7), 2}});
  o.max_bad_fraction = 1, o.filter.max_tokens = 34;
  for (const auto& method : kAll) {
    o.packing = method;
    auto loader = setup.loader(o, 128, 1, {3, 0, 3});
    for (int step = 0; step < 12; ++step) {
      batches(*loader, 3);
      const auto state = loader->state();
      for (size_t row = 0; row < 3; ++row) {
        const auto& [order, counts, held] = state.rows[row];
        const auto drawn = counts.good + counts.bad + total(counts.filtered) + static_cast<int64_t>(held.size());
        CHECK(order.draws() == static_cast<int64_t>(row) + 3 * drawn);
        CHECK(static_cast<int64_t>(held.size()) <= state.most_held);
      }
    }
  }
}

TEST_CASE("packing: samples that are held are dealt out if the rows change, and each that is not drawn again once") {
  Setup setup;
  auto o = setup.options({{lines("a", 600), 1}});
  o.packing = packing("best_fit", 12);
  auto four = setup.loader(o, 128, 1, {4, 0, 4});
  std::map<std::string, int> seen;
  for (int i = 0; i < 12; ++i)
    for (const auto& id : ids_of(four->next_batch())) ++seen[id];
  const auto state = four->state();
  int64_t earliest = state.rows[0].order.draws(), latest = 0;
  for (const auto& row : state.rows)
    earliest = std::min(earliest, row.order.draws()), latest = std::max(latest, row.order.draws());
  int64_t waited = 0;  // from before the earliest place: these are not drawn again
  for (const auto& row : state.rows)
    waited += std::ranges::count_if(row.held, [&](const auto& held) { return held.number < earliest; });
  CHECK(waited > 10);
  for (const int64_t rows : {2, 3}) {
    auto after = seen;
    int64_t dealt = 0;
    std::vector<std::string> ids;
    for (int64_t row = 0; row < rows; ++row) {
      auto own = setup.loader(o, 128, 1, {rows, row, 1});
      own->restore(state, true);
      dealt += std::ssize(own->state().rows[0].held);
      while (own->counts().good < 260 / rows)
        for (const auto& id : ids_of(own->next_batch())) ++after[id];
    }
    CHECK(dealt == waited);
    // All that was drawn before the earliest place came once; what lies between the two may come twice.
    CHECK(after.size() > static_cast<size_t>(latest));
    int64_t twice = 0;
    for (const auto& [id, count] : after) {
      CHECK(count <= 2);
      twice += count == 2;
    }
    CHECK(twice <= latest - earliest);
  }
}

TEST_CASE("packing: a run goes on only if what it held is there") {
  Setup setup;
  auto o = setup.options({{lines("a", 30), 1}});
  o.packing = packing("best_fit");
  auto loader = setup.loader(o);
  batches(*loader, 3);
  auto state = loader->state();
  state.rows[0].held[2].index = 30;
  const auto error = failure([&] { setup.loader(o)->restore(state); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::weights);
  CHECK(error->message() == "the run held sample 30 of source 0, which there is not");
  CHECK_NOTHROW(setup.loader(o)->restore(state, true));
}

TEST_CASE("packing: at the end of the data every sample has come as often as its source's epochs say") {
  Setup setup;
  auto o = setup.options({{lines("a", 13), 1}, {lines("b", 5) + "broken\n", 1}});
  o.train.sources[0].epochs = 2, o.train.sources[1].epochs = 3, o.max_bad_fraction = 1;
  for (const auto& method : kAll) {
    o.packing = method;
    auto loader = setup.loader(o, 128, 1, {3, 0, 3});
    std::map<std::string, int> seen;
    for (int ended = 0; ended < 3;) {  // rows in a row that have nothing more
      const auto batch = loader->next_batch();
      ended = batch.sequences.empty() ? ended + 1 : 0;
      if (batch.sequences.empty()) CHECK((batch.tokens() == kPackMultiple && batch.padding == kPackMultiple));
      CHECK(batch.lengths.size() == batch.sequences.size() + (batch.padding > 0));
      for (const auto& id : ids_of(batch)) ++seen[id];
    }
    CHECK(seen.size() == 18);
    for (const auto& [id, count] : seen) CHECK(count == (id[0] == 'a' ? 2 : 3));
    CHECK(loader->counts().bad == 3);
    auto again = setup.loader(o, 128, 1, {3, 0, 3});
    again->restore(loader->state());
    CHECK(again->next_batch().sequences.empty());
  }
}

TEST_CASE("packing: options that do not go together are refused") {
  const auto refused = [](const PackingOptions& options) {
    config::Problems problems;
    check_packing(options, problems);
    return problems.size();
  };
  for (const auto& method : kAll) CHECK(refused(method) == 0);
  CHECK(refused(packing("buckets", 16, {})) == 1);
  CHECK(refused(packing("best_fit", 16, {8})) == 1);
  CHECK(refused(packing("buckets", 16, {8, 8})) == 1);
  CHECK(refused(packing("buckets", 16, {8, 4})) == 1);
}
