#include <antiphon/train/ramp.h>

#include <fmt/format.h>

#include <algorithm>

namespace antiphon::train {

int64_t Ramp::batches(int64_t taken) const {
  if (!any()) return all_;
  const int64_t rises = std::min(taken / options_.every, (all_ - options_.from) / options_.by + 1);
  return std::min(all_, options_.from + options_.by * rises);
}

std::string Ramp::describe() const {
  const auto& [from, by, every] = options_;
  const int64_t rises = (all_ - from + by - 1) / by;
  return fmt::format("{} batches at first, {} more every {} steps, {} from step {} on", from, by, every, all_,
                     rises * every + 1);
}

std::string Ramp::settings() const {
  if (!any()) return "";
  return fmt::format("; {} batches at first, {} more every {} steps", options_.from, options_.by, options_.every);
}

std::vector<int64_t> rows_of_step(int64_t batches, int64_t all, int64_t taken) {
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < batches; ++i) rows.push_back((i * all + taken % all) / batches);
  return rows;
}

void check_ramp(const TrainOptions& options, int64_t unit, config::Problems& problems) {
  const auto& [from, by, every] = options.ramp;
  if (from == 0) return;
  if (from > options.accumulate)
    problems.add({},
                 fmt::format("train.ramp.from = {} is more than the train.accumulate = {} batches of a step that it "
                             "leads to",
                             from, options.accumulate),
                 "choose a smaller one, or a larger train.accumulate");
  if (from % unit != 0 || by % unit != 0)
    problems.add({},
                 fmt::format("train.ramp.from = {} and train.ramp.by = {} are not both multiples of {}, and so many "
                             "processes, or stages of a pipeline, share the batches of each step",
                             from, by, unit),
                 fmt::format("give --set train.ramp.from={0} --set train.ramp.by={0}, or multiples of that", unit));
  if (options.max_minutes > 0)
    problems.add({},
                 "train.ramp beside train.max_minutes: the first steps say how many fit into the time, and these have "
                 "fewer batches than the later ones",
                 "leave one of them out");
}

}  // namespace antiphon::train
