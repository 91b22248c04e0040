#include <antiphon/train/progress.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/train/options.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace antiphon::train {
namespace {

using nlohmann::json;
constexpr int64_t kMaxCount = int64_t{1} << 53;  // of samples and tokens
constexpr size_t kMaxRows = 65536;               // train.accumulate
constexpr size_t kMaxHeld = 65536;               // samples that a row holds

class Reader {
 public:
  Reader(const json& object, const std::filesystem::path& file) : object_(object), file_(file) {
    if (!object.is_object()) refuse("the whole", "an object", object);
  }

  bool has(const char* key) const { return object_.contains(key); }
  bool holds(const char* key) const { return has(key) && !object_[key].is_null(); }
  int64_t count(const char* key, int64_t most) const { return count_of(at(key), key, most); }
  double number(const char* key) const {
    const auto& value = at(key);
    if (!value.is_number() || !std::isfinite(value.get<double>())) refuse(key, "a number", value);
    return value.get<double>();
  }
  double seconds(const char* key) const {
    const double value = number(key);
    if (value < 0) refuse(key, "seconds from 0 on", at(key));
    return value;
  }
  std::string text(const char* key) const {
    const auto& value = at(key);
    if (!value.is_string()) refuse(key, "a text", value);
    return value.get<std::string>();
  }
  std::vector<int64_t> counts(const char* key) const {
    const auto& value = at(key);
    if (!value.is_array()) refuse(key, "a list of counts", value);
    std::vector<int64_t> all;
    for (const auto& one : value) all.push_back(count_of(one, key, kMaxCount));
    return all;
  }
  std::vector<std::vector<int64_t>> lists(const char* key, size_t most) const {
    const auto& value = at(key);
    if (!value.is_array() || value.size() > most) refuse(key, "a list of lists", value);
    std::vector<std::vector<int64_t>> all(value.size());
    for (size_t i = 0; i < value.size(); ++i) {
      if (!value[i].is_array()) refuse(key, "a list of lists", value);
      for (const auto& one : value[i]) all[i].push_back(count_of(one, key, kMaxCount));
    }
    return all;
  }
  std::vector<Reader> objects(const char* key, size_t most, size_t least = 1) const {
    const auto& value = at(key);
    if (!value.is_array() || value.size() < least || value.size() > most) refuse(key, "a list of objects", value);
    std::vector<Reader> all;
    for (const auto& one : value) all.emplace_back(one, file_);
    return all;
  }
  Reader inner(const char* key) const {
    if (!at(key).is_object()) refuse(key, "an object", at(key));
    return Reader(at(key), file_);
  }
  [[noreturn]] void refuse(const char* key, const std::string& expected, const json& got) const {
    fail(ErrorKind::weights,
         fmt::format("{}: {} is {}; expected {}", shown(file_.string()), key,
                     shown(got.dump(-1, ' ', true, json::error_handler_t::replace), 40), expected),
         "use another checkpoint of the run");
  }

 private:
  const json& at(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end())
      fail(ErrorKind::weights, fmt::format("{}: {} is missing", shown(file_.string()), key),
           "use another checkpoint of the run");
    return *found;
  }
  int64_t count_of(const json& value, const char* key, int64_t most) const {
    const bool good = value.is_number_unsigned() && value.get<uint64_t>() <= static_cast<uint64_t>(most);
    if (!good) refuse(key, fmt::format("a whole number from 0 to {}", most), value);
    return value.get<int64_t>();
  }

  const json& object_;
  const std::filesystem::path& file_;
};

RunClock clock_of(const Reader& reader) {
  return {reader.seconds("elapsed"), reader.seconds("first_step"), reader.seconds("limit"),
          reader.count("planned_steps", kMaxSteps), reader.count("max_steps", kMaxSteps)};
}

// Each sample drawn was a good or a bad one; after a change of the rows the counts begin anew.
void check_drawn(const Reader& reader, const data::RowState& row, int64_t number, int64_t rows) {
  const auto& [order, counts, samples] = row;
  bool after = order.base.empty() || order.base.size() == order.drawn.size();
  for (size_t i = 0; after && i < order.base.size(); ++i) after = order.base[i] <= order.drawn[i];
  if (!after) reader.refuse("loader.base", "counts of what had been drawn before", order.base);
  auto drawn = static_cast<double>(order.over);
  for (const auto count : order.drawn) drawn += static_cast<double>(count);
  const auto held = static_cast<int64_t>(samples.size());
  const int64_t own = counts.good + counts.bad + data::total(counts.filtered) + held;
  const double expected = static_cast<double>(number) + static_cast<double>(rows) * static_cast<double>(own);
  for (const auto count : order.base) drawn -= static_cast<double>(count);
  if (order.base.empty() ? drawn != expected : drawn < 0)
    reader.refuse("loader.drawn",
                  fmt::format("{} good, {} bad, {} filtered and {} held samples in all", counts.good, counts.bad,
                              data::total(counts.filtered), held),
                  order.drawn);
}

data::FilterCounts filtered_of(const Reader& reader) {
  data::FilterCounts counts{};
  const auto given = reader.counts("filtered");
  if (given.size() != counts.size()) reader.refuse("filtered", fmt::format("{} counts", counts.size()), given);
  std::ranges::copy(given, counts.begin());
  return counts;
}

// Each a source, a record, an epoch and the number of the draw.
std::vector<data::HeldSample> held_of(const Reader& reader, size_t sources) {
  std::vector<data::HeldSample> held;
  for (const auto& one : reader.lists("held", kMaxHeld)) {
    if (one.size() != 4 || one[0] >= static_cast<int64_t>(sources))
      reader.refuse("held", "lists of a source, a record, an epoch and a draw", one);
    held.push_back({one[0], one[1], one[2], one[3]});
  }
  return held;
}

// What is absent was not kept by earlier versions, and is 0.
data::RowState row_of(const Reader& reader) {
  data::RowState row{
      {reader.counts("drawn"), reader.has("base") ? reader.counts("base") : std::vector<int64_t>()},
      {reader.count("good", kMaxCount), reader.count("bad", kMaxCount), reader.count("consecutive_bad", kMaxCount)}};
  if (reader.has("over")) row.order.over = reader.count("over", kMaxCount);
  if (reader.has("filtered")) row.counts.filtered = filtered_of(reader);
  if (reader.has("held")) row.held = held_of(reader, row.order.drawn.size());
  return row;
}

// In runs from before there were rows, the only one lies in the object itself.
data::LoaderState loader_of(const Reader& reader) {
  const auto readers = reader.has("rows") ? reader.objects("rows", kMaxRows) : std::vector<Reader>{reader};
  data::LoaderState state;
  for (const auto& one : readers) {
    const auto& row = state.rows.emplace_back(row_of(one));
    check_drawn(one, row, static_cast<int64_t>(state.rows.size()) - 1, static_cast<int64_t>(readers.size()));
    if (row.order.drawn.size() != state.rows.front().order.drawn.size())
      one.refuse("loader.drawn", "as many sources as in the other rows", row.order.drawn);
  }
  return state;
}

json to_json(const data::LoaderState& state) {
  auto rows = json::array();
  for (const auto& [order, counts, samples] : state.rows) {
    auto held = json::array();
    for (const auto& one : samples) held.push_back({one.source, one.index, one.epoch, one.number});
    rows.push_back({{"drawn", order.drawn},
                    {"base", order.base},
                    {"over", order.over},
                    {"filtered", counts.filtered},
                    {"held", held},
                    {"good", counts.good},
                    {"bad", counts.bad},
                    {"consecutive_bad", counts.consecutive_bad}});
  }
  return {{"rows", rows}};
}

json to_json(const std::vector<Measured>& measured) {
  auto list = json::array();
  for (const auto& [step, value] : measured) list.push_back({{"step", step}, {"value", value}});
  return list;
}

std::vector<Measured> measured_of(const Reader& reader, const char* key) {
  std::vector<Measured> measured;
  for (const auto& one : reader.objects(key, kMaxRows, /*least=*/0))
    measured.push_back({one.count("step", kMaxSteps), one.number("value")});
  return measured;
}

BestState best_of(const Reader& reader) {
  return {reader.text("metric"), measured_of(reader, "kept"), measured_of(reader, "best"),
          reader.count("waited", kMaxSteps)};
}

LossScale::State loss_scale_of(const Reader& reader) {
  const LossScale::State state{reader.number("scale"), reader.count("good_steps", kMaxSteps),
                               reader.count("overflows", kMaxSteps)};
  if (!(state.scale > 0 && state.scale <= std::numeric_limits<float>::max()))
    reader.refuse("scale", "a float32 number above 0", state.scale);
  return state;
}

json to_json(const std::optional<LossScale::State>& state) {
  if (!state) return nullptr;
  return {{"scale", state->scale}, {"good_steps", state->good_steps}, {"overflows", state->overflows}};
}

}  // namespace

json to_json(const Progress& progress) {
  const auto& clock = progress.clock;
  return {{"step", progress.step},
          {"trained_tokens", progress.trained_tokens},
          {"not_finite", progress.not_finite},
          {"loss_average", progress.loss_average},
          {"clock",
           {{"elapsed", clock.elapsed},
            {"first_step", clock.first_step},
            {"planned_steps", clock.planned_steps},
            {"max_steps", clock.max_steps},
            {"limit", clock.limit}}},
          {"loader", to_json(progress.loader)},
          {"data", progress.data},
          {"draws", progress.draws},
          {"reference", progress.reference},
          {"loss_scale", to_json(progress.loss_scale)},
          {"best",
           {{"metric", progress.best.metric},
            {"kept", to_json(progress.best.kept)},
            {"best", to_json(progress.best.best)},
            {"waited", progress.best.waited}}},
          {"unmeasured", progress.unmeasured ? 1 : 0},
          {"skipped", progress.skipped},
          {"rollbacks", progress.rollbacks},
          {"learnt_step", progress.learnt_step}};
}

Progress progress_of(const json& object, const std::filesystem::path& file) {
  const Reader reader(object, file);
  Progress progress;
  progress.step = reader.count("step", kMaxSteps);
  progress.trained_tokens = reader.count("trained_tokens", kMaxCount);
  progress.not_finite = reader.count("not_finite", kMaxSteps);
  progress.loss_average = reader.number("loss_average");
  progress.clock = clock_of(reader.inner("clock"));
  progress.loader = loader_of(reader.inner("loader"));
  progress.data = reader.text("data");
  if (reader.has("draws")) progress.draws = reader.text("draws");
  if (reader.has("reference")) progress.reference = reader.text("reference");
  if (reader.holds("loss_scale")) progress.loss_scale = loss_scale_of(reader.inner("loss_scale"));
  if (reader.has("best")) progress.best = best_of(reader.inner("best"));
  if (reader.has("unmeasured")) progress.unmeasured = reader.count("unmeasured", 1) > 0;
  if (reader.has("skipped")) progress.skipped = reader.count("skipped", kMaxSteps);
  if (reader.has("rollbacks")) progress.rollbacks = reader.count("rollbacks", kMaxSteps);
  progress.learnt_step = reader.has("learnt_step") ? reader.count("learnt_step", kMaxSteps) : progress.step;
  return progress;
}

}  // namespace antiphon::train
