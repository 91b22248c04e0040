#include <antiphon/parallel/placement.h>

#include <antiphon/parallel/separate_gradients.h>

namespace antiphon::parallel {

void Replicated::make_usable() {
  if (group_ && !sum_) sum_.emplace(trained_, *group_);
}

void Replicated::begin_last_pass() {
  if (sum_) sum_->begin();
}

void Replicated::end_pass() { separate_gradients(trained_); }

void Replicated::add_gradients() {
  if (sum_) sum_->finish();
}

}  // namespace antiphon::parallel
