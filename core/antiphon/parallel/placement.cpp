#include <antiphon/parallel/placement.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/comm/out_of_memory.h>
#include <antiphon/parallel/agreed.h>
#include <antiphon/parallel/separate_gradients.h>

namespace antiphon::parallel {

int Placement::largest(int own) { return static_cast<int>(parallel::largest(own, block())); }

int64_t Placement::offload(const std::vector<Module*>& blocks, size_t learns_from) {
  offloaded_ = std::make_unique<OffloadedBlocks>(blocks, learns_from);
  return offloaded_->bytes();
}

nn::BlockPolicy* Placement::around(nn::BlockPolicy* inner) {
  return around_blocks(offloaded_ ? offloaded_->window().around(inner) : inner);
}

void Placement::end_pass() {
  if (offloaded_) offloaded_->window().end_pass();
  end_blocks();
}

void Placement::add_gradients() {
  if (offloaded_) offloaded_->window().end_step();
  sum_gradients();
}

void Placement::leave_to_others(const std::vector<Parameter>& own) {
  for (const auto& parameter : own) counted_by_others_.insert(parameter.tensor);
}

void Placement::leave_pass(const std::exception& reason) {
  if (comm::is_out_of_memory(reason))
    fail(ErrorKind::memory, "there is no memory for a pass that other processes take part in");
  fail(ErrorKind::distributed, fmt::format("a pass that other processes take part in was left: {}", reason.what()));
}

void Placement::in_block(const std::function<void()>& passes) const {
  if (!block()) return passes();
  using enum ErrorKind;
  try {
    return passes();
  } catch (const Error& error) {
    if (error.kind() == preempted || error.kind() == distributed || error.kind() == memory) throw;
    leave_pass(error);
  } catch (const std::exception& error) {
    leave_pass(error);
  }
}

Replicated::Replicated(std::vector<Held> held, const BlockMember& member) : Placement(member), held_(std::move(held)) {
  for (const auto& alike : held_)
    if (!alike.counts) leave_to_others(alike.parameters);
}

void Replicated::make_usable() {
  if (!sums_.empty()) return;
  for (const auto& held : held_)
    if (held.group) sums_.push_back(std::make_unique<GradientSum>(held.parameters, *held.group));
}

void Replicated::begin_last_pass() {
  for (auto& sum : sums_) sum->begin();
}

void Replicated::end_blocks() {
  for (const auto& held : held_) separate_gradients(held.parameters);
}

void Replicated::sum_gradients() {
  for (auto& sum : sums_) sum->finish();
}

void Replicated::run_uneven(const std::function<void()>& passes) { in_block(passes); }

double Replicated::add_up(double own) { return parallel::sum(own, block()); }

}  // namespace antiphon::parallel
