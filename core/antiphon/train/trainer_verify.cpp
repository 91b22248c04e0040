// Steps that are computed twice from the same batches and seeds: train.verify. What differs is not the model's doing: a
// processor or a memory computes wrongly, or a plugin draws numbers of its own. Source of the idea: Megatron-LM,
// megatron/core/rerun_state_machine.py.
#include <fmt/format.h>

#include <antiphon/base/beacon.h>
#include <antiphon/base/log.h>
#include <antiphon/base/name_list.h>
#include <antiphon/base/progress.h>
#include <antiphon/base/trace.h>
#include <antiphon/comm/group.h>
#include <antiphon/train/gradient_prints.h>
#include <antiphon/train/trainer.h>

#include <bit>
#include <cmath>
#include <limits>
#include <utility>

namespace antiphon::train {
namespace {

// On a CPU to the bit.
bool same_loss(double loss, double again, bool exact) {
  if (exact) return std::bit_cast<int64_t>(loss) == std::bit_cast<int64_t>(again);
  return !(std::abs(loss - again) > 1e-3 * std::abs(loss));
}

std::string described(const std::vector<std::string>& names, double loss, double again, bool exact) {
  std::string text;
  if (!names.empty())
    text = fmt::format("gradients of {} tensors differ between the two, {}", names.size(), name_list(names));
  if (!same_loss(loss, again, exact))
    text += fmt::format("{}the loss was {:.9g} and then {:.9g}", text.empty() ? "" : "; ", loss, again);
  return text;
}

}  // namespace

// All processes go by the loss of all of them.
bool Trainer::is_verified(const StepResult& result) {
  const auto& [every, spike] = options_.verify;
  if (every > 0 && (step_ + 1) % every == 0) return true;
  if (spike == 0 || loss_average_ <= 0) return false;
  const double loss = agreement_.agree(ComputedRecord{result.loss, true, {}}).loss;
  if (!(loss > spike * loss_average_)) return false;
  finish_progress();
  log::warning(
      fmt::format("step {}: the loss is {:.4f}, {:.1f} times the average of the last ones; it is computed again",
                  step_ + 1, loss, loss / loss_average_));
  return true;
}

void Trainer::forget_pass() {
  for (const auto& parameter : placement_.own(model_.trainable_parameters())) parameter.tensor->mutable_grad().reset();
  put_statistics_back();
  keep_statistics();
}

// `again`: the step's result as it was before it was computed to this loss.
void Trainer::verify(std::vector<model::Batch> batches, StepResult again, double loss) {
  const profile::StepFlops::Pause pause(flops_);
  const TraceScope scope("verification");
  const beacon::Slow slow("computing the step again");
  const auto trained = placement_.own(model_.trainable_parameters());
  const bool exact = model_.lm().device().is_cpu();
  const auto first = gradient_prints(trained, exact);
  forget_pass();
  compute_once(batches, again);
  ++verified_;
  const auto what = described(differing(first, gradient_prints(trained, exact)), loss, again.loss, exact);
  // Who found a difference says so by a loss that is none.
  const double found = what.empty() ? 0 : std::numeric_limits<double>::quiet_NaN();
  const auto in = agreement_.agree(ComputedRecord{found, true, {}}).not_finite;
  if (what.empty() && in.empty()) return;
  std::string where;
  if (agreement_.group()) {
    std::vector<std::string> ranks;
    for (const int rank : in) ranks.push_back(std::to_string(rank));
    where = " in process " + name_list(ranks);
  }
  fail(ErrorKind::hardware,
       fmt::format("step {} was computed twice from the same batches, and not to the same{}{}{}", step_ + 1, where,
                   what.empty() ? "" : ": ", what),
       "its update was not made and no checkpoint written. A processor or a memory computes wrongly (look at `dmesg` "
       "and at what counts memory errors, and go on with --resume on another machine), or a plugin draws numbers "
       "without the generators that the program seeds");
}

}  // namespace antiphon::train
