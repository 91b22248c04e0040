// The batches of a step whose objective learns from what the model writes: prompts are answered, answers are scored.
// What is trained on are the ids as they were drawn, with the token that ended them. Sources: Shao et al. 2024 (GRPO),
// section 4.1; docs/decisions/0019.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include <antiphon/data/prepare.h>
#include <antiphon/engine/answer_so_far.h>
#include <antiphon/run/loaded_model.h>
#include <antiphon/run/training_slots.h>
#include <antiphon/train/step_metrics.h>

namespace antiphon::run {

// How many answers the objective wants the model to write, and how long they may be; nothing if it learns from data.
std::optional<data::AnswerRoom> answer_room(const RunConfig& config, const Objective& objective);

class RollOut {
 public:
  // `loaded` must outlive it. `room`: how many answers to each prompt, and how long they may be.
  RollOut(LoadedModel& loaded, std::vector<WeightedReward> rewards, const data::AnswerRoom& room);

  // The groups of one row of a step, each with its answers, packed. Random numbers depend on `seed` and the answer's
  // place alone.
  // Adds to the step's metrics what each reward gave, the share of answers that were cut, and tokens a second.
  // Error(data) if the model computes what is not finite; Error(plugin) for rewards of another number, or infinite.
  model::Batch operator()(std::vector<data::PreparedGroup> prompts, int64_t step, uint64_t seed,
                          train::StepMetrics& metrics);
  // Those since the last call of the first train.rollout.shown answers of each step, for people: id, question,
  // expected, written, reward, and whether it ended.
  std::vector<nlohmann::json> shown();

 private:
  std::vector<engine::Answer> write(const std::vector<data::PreparedGroup>& prompts, uint64_t seed) const;
  std::vector<double> score(const std::vector<WrittenAnswer>& answers, train::StepMetrics& metrics) const;
  data::Prepared learnt(const data::Prepared& prompt, const engine::Answer& answer, double value, size_t number) const;
  void show(const WrittenAnswer& answer, double value);

  LoadedModel& loaded_;
  std::vector<WeightedReward> rewards_;
  data::AnswerRoom room_;
  std::vector<nlohmann::json> shown_;
  int64_t step_ = -1, left_to_show_ = 0;  // of which step, how many answers
};

}  // namespace antiphon::run
