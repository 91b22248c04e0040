// A reward model out of preferences between two answers, the preferred one first: -log sigmoid of the difference of
// their scores. Source: Bradley & Terry 1952; Ouyang et al. 2022; trl/trainer/reward_trainer.py names the metrics and
// has the term that centres (Eisenstein et al. 2023).
#include <ATen/ATen.h>

#include <antiphon/component/objective.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::score {

struct ScoreOptions {
  double center = 0;
};

const config::Table<ScoreOptions>& score_table() {
  using O = ScoreOptions;
  static const auto* table = new config::Table<O>(config::Table<O>("score").field(
      "center", &O::center, "of the squared sum of a pair's scores, added: draws their mean to 0; 0.01 is usual",
      {.min = 0}));
  return *table;
}

class Score : public Objective {
 public:
  explicit Score(const ScoreOptions& options) : o_(options) {}
  ObjectiveNeeds needs() const override { return {.candidates = 2, .scores = 1}; }

  ObjectiveOutput forward(const ObjectiveInput& input) override {
    const auto pairs = static_cast<int64_t>(input.groups.size());
    const auto scores = input.scores_sk.view({pairs, 2});
    const auto margins = scores.select(1, 0) - scores.select(1, 1);
    auto losses = -at::log_sigmoid(margins);
    if (o_.center > 0) losses = losses + o_.center * scores.sum(1).square();
    const auto detached = scores.detach(), gaps = margins.detach();
    const auto n = static_cast<double>(pairs);
    return {losses.sum() / static_cast<double>(input.totals.groups),
            {{"rewards/accuracies", gaps.gt(0).sum(at::kFloat), n},
             {"rewards/margins", gaps.sum(), n},
             {"rewards/chosen", detached.select(1, 0).sum(), n},
             {"rewards/rejected", detached.select(1, 1).sum(), n}}};
  }

 private:
  ScoreOptions o_;
};

}  // namespace antiphon::score

ANTIPHON_PLUGIN(score, "0.1.0") {
  using namespace antiphon::score;
  antiphon::register_component<antiphon::Objective, Score>(
      registrar, "score", "a reward model out of preferences: Bradley-Terry", score_table());
}
