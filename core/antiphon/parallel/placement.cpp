#include <antiphon/parallel/placement.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/parallel/agreed.h>

#include <antiphon/parallel/separate_gradients.h>

namespace antiphon::parallel {

void Replicated::make_usable() {
  if (!group_ || sum_) return;
  std::vector<Parameter> whole, parts;
  for (const auto& parameter : trained_) (parameter.box ? parts : whole).push_back(parameter);
  sum_.emplace(whole, *group_);
  if (copies_ && !parts.empty()) sum_of_parts_.emplace(parts, *copies_);
}

void Replicated::begin_last_pass() {
  for (auto* sum : {&sum_, &sum_of_parts_})
    if (*sum) (*sum)->begin();
}

void Replicated::end_pass() { separate_gradients(trained_); }

void Replicated::add_gradients() {
  for (auto* sum : {&sum_, &sum_of_parts_})
    if (*sum) (*sum)->finish();
}

Placement::Shares Replicated::share() const {
  if (!cell_) return {};
  if (copies_ && copies_->rank() > 0) return {std::nullopt, cell_->size()};
  return {cell_->rank(), cell_->size()};
}

int Replicated::largest(int own) { return static_cast<int>(parallel::largest(own, cell_)); }

// A stop is agreed on between batches; whoever fails otherwise leaves its cell in the middle of one.
void Replicated::run_uneven(const std::function<void()>& passes) {
  if (!cell_) return passes();
  try {
    passes();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::preempted) throw;
    fail(ErrorKind::distributed, fmt::format("a pass that other processes take part in was left: {}", error.what()));
  }
}

double Replicated::add_up(double own) { return parallel::sum(own, cell_); }

}  // namespace antiphon::parallel
